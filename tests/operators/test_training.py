"""Training defenses against their formulas, and private training against its accountant."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mialang.operators.defenses.private import PrivateTraining, fit_privately, on_the_way
from mialang.operators.defenses.training import NegativeLabelSmoothing, dp_sgd, negative_label_smoothing
from mialang.operators.errors import OperatorError
from mialang.operators.image import architectures
from mialang.operators.models import piecewise
from mialang.operators.training import Schedule, TrainingDefense, fit, loss_of, share_correct
from tests.operators.stand_in import run
from tests.operators.strategies import matrices

FULL = {"start": 0.0, "full": 0.0}


@given(matrices(), st.integers(0, 4), st.floats(-0.9, 0.9))
def test_label_smoothing_is_torchs_for_either_sign(logits, column, alpha):
    # R-DAR-2: a released version divides by the batch twice; at α = 0 the loss is torch's cross-entropy.
    columns = torch.arange(column, column + len(logits)) % logits.shape[1]
    ours = NegativeLabelSmoothing(alpha, **FULL).loss(logits, columns, 0, 10)
    nll = functional.cross_entropy(logits, columns, reduction="none")
    uniform = -logits.log_softmax(1).mean(1)
    torch.testing.assert_close(ours, (1 - alpha) * nll + alpha * uniform, rtol=1e-4, atol=1e-4)
    if alpha >= 0:
        torchs = functional.cross_entropy(logits, columns, reduction="none", label_smoothing=alpha)
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-4)


def test_smoothing_sets_in_as_scheduled():
    # R-DAR-2: the released ramp is fixed to epochs 50 and 75; here it is a share of training.
    ramp = NegativeLabelSmoothing(-0.05, start=0.5, full=0.75)
    strengths = [round(ramp.strength(epoch, 100), 6) for epoch in (0, 49, 50, 60, 75, 99)]
    assert strengths == [0, 0, 0, -0.02, -0.05, -0.05]
    assert NegativeLabelSmoothing(-0.05, 0.5, 0.5).strength(5, 10) == -0.05


def test_null_defenses_and_impossible_ones_are_refused():
    # L24: a defense without effect is not a defense.
    for make, message in (
        (lambda: negative_label_smoothing(alpha=0.0, start=0.5, full=0.75), "defends nothing"),
        (lambda: negative_label_smoothing(alpha=-0.1, start=0.8, full=0.75), "before it starts"),
        (lambda: dp_sgd(noise_multiplier=None, epsilon=None, max_grad_norm=1.0, delta=1e-5), "either a noise"),
        (lambda: dp_sgd(noise_multiplier=1.0, epsilon=8.0, max_grad_norm=1.0, delta=1e-5), "either a noise"),
        (lambda: dp_sgd(noise_multiplier=0.0, epsilon=None, max_grad_norm=1.0, delta=1e-5), "no privacy"),
    ):
        with pytest.raises(OperatorError, match=message):
            make()


def test_the_first_defense_with_a_loss_decides_it():
    logits, columns = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    smoothing = NegativeLabelSmoothing(-0.1, **FULL)
    expected = smoothing.loss(logits, columns, 3, 4)
    assert torch.equal(loss_of([TrainingDefense(), smoothing], logits, columns, 3, 4), expected)
    plain = functional.cross_entropy(logits, columns, reduction="none")
    assert torch.equal(loss_of([], logits, columns, 3, 4), plain)


def two_moons(n=120):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator)
    return x, (x[:, 0] > 0).long()


def test_imitation_of_probabilities_reaches_them():
    x, columns = two_moons()
    soft = torch.nn.functional.one_hot(columns, 2) * 0.8 + 0.1
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    fit(network, x, soft, schedule=Schedule(40, 0.02, 32), defenses=(), run=run())
    assert share_correct(network, x, columns) > 0.9
    assert 0.75 < float(network(x).detach().softmax(1).max(1).values.mean()) < 0.9


def private(noise, *, clip=1.0, epochs=2, batch=20, lr=0.05, seed=0, size=100):
    x, columns = two_moons(size)
    with run(seed).seeded():
        network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    defense = PrivateTraining(noise, None, clip, 1e-5)
    schedule = Schedule(epochs, lr, batch)
    facts = fit_privately(network, x, columns, schedule=schedule, private=defense, defenses=[defense], run=run(seed))
    return network, facts


def test_epsilon_is_the_accountants_and_falls_with_noise():
    from opacus.accountants import RDPAccountant

    _, facts = private(noise=1.0)
    accountant = RDPAccountant()
    for _ in range(facts["steps"]):
        accountant.step(noise_multiplier=1.0, sample_rate=0.2)
    assert facts["epsilon"] == pytest.approx(accountant.get_epsilon(1e-5))
    assert facts["steps"] == 10
    assert private(noise=3.0)[1]["epsilon"] < facts["epsilon"]
    assert private(noise=1.0, epochs=4)[1]["epsilon"] > facts["epsilon"]
    assert facts["privacy_unit"] == "one training record"


def test_a_target_epsilon_is_reached_from_below():
    x, columns = two_moons()
    network = nn.Linear(2, 2)
    defense = PrivateTraining(None, 4.0, 1.0, 1e-5)
    facts = fit_privately(
        network, x, columns, schedule=Schedule(2, 0.05, 24), private=defense, defenses=[defense], run=run()
    )
    assert 3.5 < facts["epsilon"] <= 4.0
    assert facts["noise_multiplier"] > 0


def test_clipping_bounds_what_one_record_can_move():
    # With clipping so tight that gradients vanish beside Adam's epsilon, no record moves the weights; noise is tiny too.
    network, _ = private(noise=1e-6, clip=1e-12)
    with run(0).seeded():
        fresh = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    moved = max(
        float((a - b).detach().abs().max()) for a, b in zip(network.parameters(), fresh.parameters(), strict=True)
    )
    assert moved < 1e-3
    learned, _ = private(noise=0.1, epochs=12)
    assert share_correct(learned, *two_moons()) > 0.8


def test_private_training_is_repeatable_and_survives_empty_draws():
    first, _ = private(noise=1.0, batch=1, size=12)  # a draw of 12 records at rate 1/12 is often empty
    again, _ = private(noise=1.0, batch=1, size=12)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.isfinite(a).all()


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize(
    "made",
    [
        architectures.cnn(width=8),
        architectures.resnet(depth=1, width=8),
        architectures.mlp(hidden=16, layers=2),
        architectures.lenet5(),
    ],
)
def test_the_way_back_reaches_every_layer_and_gives_the_gradient_of_every_record(made):
    from opacus import GradSampleModule

    side = 32
    with run(3).seeded():
        network = PrivateTraining(1.0, None, 1.0, 1e-5).network(made.build((1, side, side), 3))
        x, columns = torch.rand(4, 1, side, side), torch.tensor([0, 1, 2, 1])
    wrapped = GradSampleModule(network, loss_reduction="mean")
    functional.cross_entropy(wrapped(x), columns).backward(inputs=on_the_way(wrapped))
    samples = {name: parameter.grad_sample.clone() for name, parameter in network.named_parameters()}
    wrapped.remove_hooks()
    for record in range(len(x)):
        loss = functional.cross_entropy(network(x[record : record + 1]), columns[record : record + 1])
        alone = torch.autograd.grad(loss, list(network.parameters()))
        for (name, _), gradient in zip(network.named_parameters(), alone, strict=True):
            torch.testing.assert_close(samples[name][record], gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_private_training_replaces_batch_normalisation_and_says_so():
    defense = PrivateTraining(1.0, None, 1.0, 1e-5)
    network = defense.network(architectures.cnn(width=8).build((1, 8, 8), 3))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert any(isinstance(layer, nn.GroupNorm) for layer in network.modules())
    assert torch.isfinite(network(torch.rand(1, 1, 8, 8))).all()


def test_accuracy_is_taken_part_by_part_and_keeps_nothing_for_a_gradient():
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(len(x))
            assert not torch.is_grad_enabled()
            return super().forward(x)

    network, x = Watched(2**10, 3), torch.rand(300, 2**10)
    with torch.no_grad():
        columns = network(x).argmax(1)
    columns[:30] = (columns[:30] + 1) % 3
    seen.clear()
    assert share_correct(network, x, columns) == 0.9
    assert seen == [128, 128, 44]


def test_parts_give_the_same_rows_and_what_needs_a_gradient_is_not_cut():
    network, x = nn.Linear(2**10, 3), torch.rand(300, 2**10)
    seen = []
    whole = network(x)

    def work(part):
        seen.append(len(part))
        return network(part)

    assert torch.allclose(piecewise(work, x), whole, atol=1e-6)
    piecewise(work, x.clone().requires_grad_())
    assert piecewise(work, x[:0]).shape == (0, 3)
    assert seen == [128, 128, 44, 300, 0]
