"""Generators, students, decoders and baselines on tiny data."""

from __future__ import annotations

import pytest
import torch

from mialang.operators.algebra import Point
from mialang.operators.asking import ask
from mialang.operators.baselines import class_means, nearest_public
from mialang.operators.distillation import distill
from mialang.operators.errors import OperatorError
from mialang.operators.image import architectures, datasets, decoders, gan_networks, generators
from mialang.operators.image.classifier import classifier
from tests.operators.stand_in import Formula, StandIn, run

GAN = {"latent": 6, "steps": 7, "critic_steps": 3, "lr": 1e-3, "batch": 16}


@pytest.fixture(scope="module")
def public():
    return datasets.digits(split="all", classes=(5, 6, 7), limit=120, run=run())


@pytest.fixture(scope="module")
def target():
    secret = datasets.digits(split="train", classes=(0, 1, 2), limit=240, run=run())
    rest = {"tested": None, "accuracy": None, "training": [], "weights": None, "classes": None, "shape": None}
    model = architectures.mlp(hidden=32, layers=1)
    return classifier(model=model, trained=secret, epochs=8, lr=3e-3, batch=32, run=run(), **rest)


@pytest.mark.parametrize("networks", [gan_networks.dense(hidden=16), gan_networks.convolutional(width=4)], ids=str)
def test_a_gan_trains_repeatably_and_generates_pictures(public, networks):
    made = generators.wgan_gp(on=public, networks=networks, run=run(1), **GAN)
    again = generators.wgan_gp(on=public, networks=networks, run=run(1), **GAN)
    other = generators.wgan_gp(on=public, networks=networks, run=run(2), **GAN)
    assert all(torch.equal(made.state[name], again.state[name]) for name in made.state)
    assert any(not torch.equal(made.state[name], other.state[name]) for name in made.state)
    code = made.latent.start(5, torch.Generator().manual_seed(0))
    pictures = made.latent.decode(code)
    assert pictures.shape == (5, 1, 8, 8)
    assert (pictures >= 0).all()
    assert (pictures <= 1).all()
    assert torch.equal(made.latent.project(code), code)
    score = generators.realism(of=made)(Point(pictures, code, None, torch.Generator()))
    assert score.shape == (5,)
    together, alone = made.latent.decode(code), made.latent.decode(code[:1])
    torch.testing.assert_close(together[:1], alone)  # evaluation mode: a picture does not depend on its batch


def test_the_critic_comes_to_tell_real_from_noise(public):
    long = GAN | {"steps": 150, "lr": 2e-3}
    made = generators.wgan_gp(on=public, networks=gan_networks.dense(hidden=32), run=run(), **long)
    noise = torch.rand(len(public), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert made.pair.judge(public.inputs).mean() > made.pair.judge(noise).mean()


def test_the_gradient_penalty_in_closed_form():
    class Linear(gan_networks.Pair):
        def __init__(self, slope):
            super().__init__(torch.nn.Identity(), torch.nn.Identity())
            self.slope = slope

        def judge(self, pictures):
            return pictures.flatten(1) @ self.slope

    slope = torch.tensor([3.0, 4.0])  # length 5 everywhere
    assert float(generators._gradient_penalty(Linear(slope), torch.rand(3, 1, 1, 2))) == 16.0


def test_a_gan_that_diverges_says_so(public):
    with pytest.raises(OperatorError, match="the GAN diverged at step"):
        generators.wgan_gp(
            on=public, networks=gan_networks.dense(hidden=8), run=run(), **GAN | {"lr": 1e30, "steps": 40}
        )


def test_sides_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(OperatorError, match="sides that 4 divides"):
        gan_networks.convolutional(width=4).build((1, 7, 8), 3)


def test_a_student_agrees_with_its_target_and_one_of_a_decoy_does_not(public, target):
    settings = {"about": public, "into": architectures.mlp(hidden=32, layers=1), "epochs": 60, "lr": 1e-2, "batch": 32}
    handle, notes = StandIn(target), run()
    student = distill(of=handle, run=notes, **settings)
    assert handle.asked == len(public)
    assert student.classes == target.classes
    assert notes.notes["agreement"] > 0.95
    unseen = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(1)).bernoulli()
    same = student.answer("logits", public.inputs).argmax(1) == target.answer("logits", public.inputs).argmax(1)
    assert same.float().mean() == pytest.approx(notes.notes["agreement"])
    blind_notes = run()
    distill(of=StandIn(target, decoy=True), run=blind_notes, **settings | {"epochs": 3})
    assert blind_notes.notes["agreement"] < notes.notes["agreement"]
    assert unseen.shape[0] == 200


def test_pairs_hold_question_and_answer(public, target):
    made = ask(of=StandIn(target), what="scores", about=public, run=run())
    assert torch.equal(made.inputs, public.inputs)
    torch.testing.assert_close(made.answers, target.answer("logits", public.inputs).softmax(1))
    assert made.classes == target.classes


def test_truncation_keeps_the_largest_log_scores():
    scores = torch.tensor([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    assert decoders.truncated(scores, 2).gt(0).tolist() == [[True, True, False], [True, False, False]]
    whole = decoders.truncated(scores, 3)
    torch.testing.assert_close(whole[0], scores[0].log() + 50)
    assert whole[1].tolist() == [50, 0, 0]


def test_a_decoder_learns_and_decodes_every_class(public, target):
    pairs = ask(of=StandIn(target), what="scores", about=public, run=run())
    errors = []
    for epochs in (1, 25):
        notes = run()
        made = decoders.fit_inverse_decoder(
            on=pairs, truncate=None, width=4, epochs=epochs, lr=1e-2, batch=32, run=notes
        )
        errors.append(notes.notes["error"])
    assert errors[1] < errors[0]
    outputs = decoders.decode_classes(by=made, certainty=0.999, run=run())
    assert outputs.labels.tolist() == [0, 1, 2]
    assert outputs.values.shape == (3, 1, 8, 8)
    narrow = decoders.fit_inverse_decoder(on=pairs, truncate=9, width=4, epochs=1, lr=1e-2, batch=32, run=run())
    assert narrow.truncate == 3


def test_the_nearest_public_records_are_those_with_the_largest_score(public, target):
    handle = StandIn(target)
    made = nearest_public(of=handle, about=public, keep=4, run=run())
    scores = target.answer("logits", public.inputs).softmax(1)
    assert handle.asked == len(public)
    assert made.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for column, label in enumerate(target.classes):
        torch.testing.assert_close(made.scores[made.labels == label], scores[:, column].topk(4).values)
    rows = {tuple(picture.flatten().tolist()) for picture in public.inputs}
    assert all(tuple(picture.flatten().tolist()) in rows for picture in made.values)


def test_class_means_leave_out_what_the_model_never_says(public):
    one_sided = StandIn(
        Formula(
            (0, 1, 2),
            public.shape,
            lambda x: torch.stack([x.sum((1, 2, 3)), 0 * x.sum((1, 2, 3)), x[:, 0, 0, 0] - 9], 1),
        )
    )
    made = class_means(of=one_sided, about=public, run=run())
    assert made.labels.tolist() == [0]
    assert made.attempted == (0, 1, 2)
    torch.testing.assert_close(made.values[0], public.inputs.mean(0))
