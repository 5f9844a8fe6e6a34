"""Artefacts survive the trip through plain arrays and JSON without losing a bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given

from mialang.operators.artefacts import KINDS, Artefact, restore
from mialang.operators.asking import Pairs
from mialang.operators.errors import OperatorError
from mialang.operators.image import architectures, gan_networks
from mialang.operators.image.decoders import Decoder
from mialang.operators.image.generators import Generator
from mialang.operators.models import Architecture, Model, state_of
from mialang.operators.moments import Statistics
from tests.operators.strategies import candidates, images

SHAPE = (1, 8, 8)


def returned(artefact: Artefact) -> Artefact:
    arrays, facts = artefact.arrays(), json.loads(json.dumps(artefact.facts()))
    assert all(value.dtype != object and value.flags["C_CONTIGUOUS"] for value in arrays.values())
    return restore(artefact.kind, {name: value.copy() for name, value in arrays.items()}, facts)


def assert_equal(a: Artefact, b: Artefact):
    assert type(a) is type(b)
    assert a.facts() == b.facts()
    left, right = a.arrays(), b.arrays()
    assert list(left) == list(right)
    for name, value in left.items():
        assert value.dtype == right[name].dtype
        assert value.tobytes() == right[name].tobytes()


@given(images())
def test_images_return_exactly(made):
    assert_equal(made, returned(made))


@given(candidates())
def test_candidates_return_exactly(made):
    assert_equal(made, returned(made))


@pytest.mark.parametrize(
    "architecture",
    [
        architectures.cnn(width=4),
        architectures.resnet(depth=2, width=4),
        architectures.mlp(hidden=8, layers=2),
        architectures.mcnn(),
        architectures.scnn(),
        architectures.lenet5(),
    ],
    ids=str,
)
def test_a_model_answers_the_same_after_its_return(architecture: Architecture):
    network = architecture.build(SHAPE, 3)
    made = Model(architecture, SHAPE, (0, 4, 9), state_of(network), {"epochs": 2})
    again = returned(made)
    assert_equal(made, again)
    x = torch.rand(5, *SHAPE)
    for observable in ("logits", "features"):
        torch.testing.assert_close(made.answer(observable, x), again.answer(observable, x), rtol=0, atol=0)
    assert made.answer("logits", x).shape == (5, 3)


def test_generators_and_decoders_return_exactly():
    for networks in (gan_networks.dense(hidden=8), gan_networks.convolutional(width=4)):
        made = Generator(networks, 6, SHAPE, state_of(networks.build(SHAPE, 6)))
        again = returned(made)
        assert_equal(made, again)
        z = made.latent.start(4, torch.Generator().manual_seed(1))
        assert made.latent.decode(z).shape == (4, *SHAPE)
        torch.testing.assert_close(made.latent.decode(z), again.latent.decode(z), rtol=0, atol=0)
    architecture = Architecture("upsampler", {"width": 4})
    decoder = Decoder(architecture, (1, 2, 3), SHAPE, 2, state_of(architecture.build(SHAPE, 3)))
    assert_equal(decoder, returned(decoder))


def test_small_artefacts_return_exactly():
    assert_equal(made := Pairs(torch.rand(3, 2), torch.rand(3, 4), "scores", (0, 1, 2, 3)), returned(made))
    assert_equal(made := Statistics(torch.rand(4), torch.rand(4), 7), returned(made))


def test_a_model_built_where_gradients_are_off_still_gives_gradients_later():
    architecture = architectures.cnn(width=4)
    made = Model(architecture, SHAPE, (0, 1), state_of(architecture.build(SHAPE, 2)))
    with torch.inference_mode():
        made.answer("logits", torch.rand(2, *SHAPE))
    x = torch.rand(2, *SHAPE, requires_grad=True)
    (slope,) = torch.autograd.grad(made.answer("logits", x).sum(), x)
    assert slope.abs().sum() > 0


def test_building_a_model_leaves_the_global_random_state_alone():
    architecture = architectures.mlp(hidden=4, layers=1)
    made = Model(architecture, SHAPE, (0, 1), state_of(architecture.build(SHAPE, 2)))
    before = torch.get_rng_state()
    assert made.network is not None
    assert torch.equal(before, torch.get_rng_state())


def test_batch_norm_statistics_are_those_of_the_network():
    architecture = architectures.cnn(width=4)
    made = Model(architecture, SHAPE, (0, 1), state_of(architecture.build(SHAPE, 2)))
    statistics = made.batch_norm_statistics()
    assert [tuple(mean.shape) for mean, _ in statistics.values()] == [(4,), (8,)]
    assert all(np.allclose(variance, 1) for _, variance in statistics.values())


def test_unknown_kinds_and_observables_are_refused_in_words():
    with pytest.raises(OperatorError, match="no artefact kind `nothing`"):
        restore("nothing", {}, {})
    made = Model(architectures.mlp(hidden=4, layers=1), SHAPE, (0, 1), {})
    with pytest.raises(OperatorError, match="no observable `scores` of its own"):
        made.answer("scores", torch.rand(1, *SHAPE))
    assert "candidates" in KINDS
