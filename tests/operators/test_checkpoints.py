"""A step that is interrupted anywhere and taken up again makes the same bytes as one that was not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from torch import nn

from mialang.engine.codec import pack
from mialang.operators import search
from mialang.operators.asking import Pairs, ask
from mialang.operators.checkpoints import plain, rebuilt
from mialang.operators.defenses.private import PrivateTraining
from mialang.operators.defenses.training import NegativeLabelSmoothing
from mialang.operators.distillation import distill
from mialang.operators.graph.architectures import gcn
from mialang.operators.graph.node_classifier import node_classifier
from mialang.operators.image import architectures, decoders, gan_networks, generators
from mialang.operators.image.classifier import classifier
from mialang.operators.image.images import Images
from mialang.operators.models import Model, state_of
from mialang.operators.objectives import cross_entropy, l2
from mialang.operators.optimisers import adam, nesterov
from mialang.operators.run import Run
from mialang.operators.search import descend
from mialang.operators.spaces import Pixels
from mialang.operators.stopping import converged
from mialang.operators.text import sampling
from mialang.operators.text.bag_of_words import fit_bag_of_words
from mialang.operators.text.decoding import random_token
from mialang.operators.text.sampling import sample
from mialang.operators.text.texts import Texts
from mialang.operators.training import Schedule, fit
from tests.operators.graph.graphs import communities
from tests.operators.stand_in import StandIn
from tests.operators.test_repulsion import climbed
from tests.operators.text.asked import handle
from tests.operators.text.small_language_model import TEXT
from tests.operators.text.small_language_model import model as small_model
from tests.operators.text.test_causal_lm import trained as a_language_model
from tests.operators.text.test_prefix_decoder import LINES, fitted, vectors


class PowerCutError(BaseException):
    """The process dies."""


@dataclass
class Disk:
    """What outlives a process.

    Attributes:
        every: how many steps lie between two checkpoints.
        lives: after how many steps each process dies; the last one lives on.
    """

    every: int = 1
    lives: list[int] = field(default_factory=list)
    file: tuple[bytes, str] | None = None
    steps: int = 0
    target: StandIn | None = None

    def due(self) -> bool:
        self.steps += 1
        if self.lives and self.steps > self.lives[0]:
            raise PowerCutError
        return self.steps % self.every == 0

    def save(self, arrays, facts) -> None:
        self.file = save(arrays), json.dumps(facts, allow_nan=False)

    def load(self):
        return None if self.file is None else (load(self.file[0]), json.loads(self.file[1]))

    def counts(self):
        return None if self.target is None else {"asked": self.target.asked}

    def recount(self, counts) -> None:
        if self.target is not None:
            self.target.asked = counts["asked"]


def to_the_end(step: Callable[[Run, StandIn], object], disk: Disk) -> tuple[bytes, int, dict[str, object]]:
    """Run a step in as many processes as it takes; return what it made, what it asked, what it noted."""
    while True:
        torch.manual_seed(len(disk.lives))  # a new process has another global state
        disk.steps = 0
        disk.target = StandIn(victim(), budget=100_000)
        run = Run(seed=7, keeper=disk)
        try:
            made = step(run, disk.target)
        except PowerCutError:
            disk.lives.pop(0)
            continue
        return pack(made.kind, made.arrays(), made.facts()), disk.target.asked, run.notes


@cache
def pictures() -> Images:
    draw = torch.Generator().manual_seed(3)
    raw = torch.randint(0, 256, (40, 1, 8, 8), generator=draw, dtype=torch.uint8)
    raw[:20, :, :4] = 0
    labels = torch.arange(2).repeat_interleave(20)
    return Images(raw.numpy(), 255.0, labels.numpy(), {0: "a", 1: "b"})


@cache
def victim() -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = architectures.mlp(hidden=6, layers=1).build((1, 8, 8), 2)
    return Model(architectures.mlp(hidden=6, layers=1), (1, 8, 8), (0, 1), state_of(network))


CLASSIFIER = {
    "trained": pictures(),
    "tested": None,
    "accuracy": None,
    "lr": 0.01,
    "batch": 16,
    "weights": None,
    "classes": None,
    "shape": None,
}


def trained(run: Run, target: StandIn):
    smoothing = NegativeLabelSmoothing(-0.05, 0.5, 0.75)
    return classifier(model=architectures.cnn(width=4), epochs=4, training=[smoothing], run=run, **CLASSIFIER)


def privately_trained(run: Run, target: StandIn):
    private = PrivateTraining(noise=1.0, epsilon=None, clip=1.0, delta=1e-5)
    return classifier(model=architectures.cnn(width=4), epochs=2, training=[private], run=run, **CLASSIFIER)


def student(run: Run, target: StandIn):
    into = architectures.mlp(hidden=8, layers=1)
    return distill(of=target, about=pictures(), into=into, epochs=4, lr=0.01, batch=16, run=run)


def gan(run: Run, target: StandIn):
    networks = gan_networks.convolutional(width=4)
    return generators.wgan_gp(
        on=pictures(), latent=3, networks=networks, steps=9, critic_steps=2, lr=1e-3, batch=16, run=run
    )


def decoder(run: Run, target: StandIn):
    pairs = ask(of=target, what="scores", about=pictures(), run=run)
    return decoders.fit_inverse_decoder(on=pairs, truncate=None, width=4, epochs=4, lr=0.01, batch=16, run=run)


def repelled(run: Run, target: StandIn):
    made, _ = climbed(target, over=Pixels((1, 8, 8), 0.5, 0.3), at_most=90, starts=2, use=run, radius=0.2)
    return made


def searched(by, until, keep: str):
    def step(run: Run, target: StandIn):
        over = Pixels((1, 8, 8), 0.5, 0.3)
        loss = cross_entropy(of=target, labels=None) + 0.1 * l2()
        return descend(over=over, minimise=loss, by=by, steps=6, starts=3, until=until, keep=keep, run=run)

    return step


def language_model(run: Run, target: StandIn):
    return a_language_model(run=run, epochs=2, trained=Texts(TEXT))


def prefix_decoder(run: Run, target: StandIn):
    return fitted(width=8, epochs=3, run=run)


def words(run: Run, target: StandIn):
    pairs = Pairs(LINES, vectors(8), "embedding", (), "me")
    return fit_bag_of_words(on=pairs, words=20, epochs=5, lr=0.01, batch=6, run=run)


def nodes(run: Run, target: StandIn):
    graph = replace(communities(), split=communities().split | {"validation": communities().split["test"]})
    architecture = gcn(hidden=4, layers=2, dropout=0.5)
    return node_classifier(model=architecture, trained=graph, epochs=8, lr=0.01, decay=5e-4, run=run)


def samples(run: Run, target: StandIn):
    free = random_token(top_k=40, top_p=1.0, temperature=1.0)
    return sample(of=handle(small_model()), count=10, tokens=4, by=free, prompts=None, words=5, run=run)


STEPS = {
    "language model": language_model,
    "prefix decoder": prefix_decoder,
    "words": words,
    "nodes": nodes,
    "samples": samples,
    "classifier": trained,
    "private classifier": privately_trained,
    "student": student,
    "GAN": gan,
    "decoder": decoder,
    "repulsion": repelled,
    "search": searched(nesterov(lr=0.05, momentum=0.9), None, "last"),
    "search that stops": searched(adam(lr=0.05, beta1=0.9, beta2=0.999), converged(below=0.3, window=3), "lowest"),
}


@cache
def uninterrupted(name: str) -> tuple[bytes, int, dict[str, object]]:
    """What a step makes in one go; called where the sizes of its parts are patched already."""
    return to_the_end(STEPS[name], Disk())


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=8)
@given(st.integers(1, 3), st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_interrupted_anywhere_and_taken_up_again_makes_the_same_bytes(name: str, every: int, lives: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "MEMORY", 2 * 64 * search.FOOTPRINT)  # two rows at once, so three chunks
        patch.setattr(sampling, "ROUND", 3)
        assert to_the_end(STEPS[name], Disk(every, lives)) == uninterrupted(name)


def test_what_was_done_is_not_done_again() -> None:
    disk = Disk(lives=[7])
    to_the_end(gan, disk)
    assert disk.steps == 2, "of nine steps seven were kept"


@given(st.integers(1, 12))
def test_a_loop_that_its_body_left_is_over(life: int) -> None:
    def step(run: Run) -> list[float]:
        with run.seeded():
            first = run.loop("left", None)
            first.kept["seen"] = []
            for number in first:
                first.kept["seen"].append(float(torch.rand(1)))  # from torch's own source, as dropout draws
                if number == 4:
                    break
            between = float(torch.rand(1, generator=run.generator))
            second = run.loop("whole", 5)
            second.kept["seen"] = []
            for number in second:
                run.note("last", number)
                second.kept["seen"].append(float(torch.rand(1)))
                if number == 0:
                    run.note("first", number)
        return [*first.kept["seen"], between, *second.kept["seen"], run.notes["first"], run.notes["last"]]

    disk = Disk(lives=[life])
    while True:
        disk.steps = 0
        try:
            again = step(Run(seed=0, keeper=disk))
            break
        except PowerCutError:
            disk.lives = []
    assert again == step(Run(seed=0))


def test_the_seams_cost_nothing_where_nothing_is_due() -> None:
    run = Run(seed=0)
    loop = run.loop("empty", 3)
    loop.kept["seen"] = []
    for step in loop:
        loop.kept["seen"].append(step)
    assert loop.kept["seen"] == [0, 1, 2]


def test_two_loops_of_one_name_keep_apart() -> None:
    def step(run: Run):
        return [list(run.loop("same", 3)) for _ in range(2)]

    disk = Disk(lives=[4])
    with pytest.raises(PowerCutError):
        step(Run(seed=0, keeper=disk))
    disk.lives, disk.steps = [], 0
    assert step(Run(seed=0, keeper=disk)) == [[], [1, 2]]


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4),
        st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8, torch.float64]).map(
            lambda kind: torch.arange(6).reshape(2, 3).to(kind)
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(0, 9)), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(values)
def test_values_survive_the_plain_form(value: object) -> None:
    arrays = {}
    facts = json.loads(json.dumps(plain(value, arrays), allow_nan=False))
    assert same(value, rebuilt(facts, load(save(arrays)), torch.device("cpu")))


@given(st.sampled_from([(2, 3, 4, 5), (2, 1, 4, 4), (1, 3, 1, 2)]), st.permutations(range(4)))
def test_the_order_in_memory_survives(shape: tuple[int, ...], order: list[int]) -> None:
    tensor = torch.rand(shape).permute(order)
    arrays = {}
    again = rebuilt(plain(tensor, arrays), arrays, torch.device("cpu"))
    assert torch.equal(tensor, again)
    assert again.is_contiguous() == tensor.is_contiguous()
    assert tensor.is_contiguous() or again.stride() == tensor.stride()


def test_overlapping_memory_and_strange_values() -> None:
    arrays = {}
    wide = torch.rand(1, 3).expand(4, 3)
    assert torch.equal(rebuilt(plain(wide, arrays), arrays, torch.device("cpu")), wide)
    with pytest.raises(TypeError, match="cannot hold a set"):
        plain({1, 2}, {})


def test_an_optimiser_and_its_schedule_come_back_exactly() -> None:
    def parts():
        network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, amsgrad=True)
        return network, optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=9)

    torch.manual_seed(0)
    network, optimiser, pace = parts()
    for _ in range(3):
        network(torch.rand(1, 2, 5, 5)).sum().backward()
        optimiser.step()
        pace.step()
    arrays = {}
    facts = json.loads(json.dumps(plain(optimiser.state_dict(), arrays)))
    _, other, _ = parts()
    other.load_state_dict(rebuilt(facts, arrays, torch.device("cpu")))
    for one, two in zip(optimiser.state.values(), other.state.values(), strict=True):
        for name in one:
            assert torch.equal(one[name], two[name])
            assert one[name].stride() == two[name].stride()


def test_training_goes_on_where_a_kept_state_is_of_the_middle_of_an_epoch() -> None:
    inputs, columns = pictures().inputs, torch.arange(2).repeat_interleave(20)

    def step(run: Run) -> dict[str, torch.Tensor]:
        with run.seeded():
            network = architectures.mlp(hidden=6, layers=1).build((1, 8, 8), 2)
            fit(network, inputs, columns, schedule=Schedule(3, 0.01, 8), defenses=(), run=run)
        return state_of(network)

    disk = Disk(every=7, lives=[12])
    with pytest.raises(PowerCutError):
        step(Run(seed=0, keeper=disk))
    disk.lives, disk.steps = [], 0
    again = step(Run(seed=0, keeper=disk))
    assert disk.steps == 15 - 7
    assert all(torch.equal(value, again[name]) for name, value in step(Run(seed=0)).items())
