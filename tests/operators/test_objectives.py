"""Terms of objectives against their formulas."""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mialang.operators import objectives
from mialang.operators.algebra import Point
from mialang.operators.image.objectives import total_variation
from mialang.operators.moments import Statistics, feature_statistics
from tests.operators.stand_in import Formula, StandIn, run
from tests.operators.strategies import matrices

IDS = (3, 4, 8, 11, 20)


def asked(term, logits, columns, generator=None):
    """Evaluate a term on a model that answers its input as logits."""
    classes = IDS[: logits.shape[1]]
    target = StandIn(Formula(classes, tuple(logits.shape[1:]), lambda x: x))
    labels = torch.tensor(classes)[columns]
    return term(of=target)(Point(logits, logits, labels, generator or torch.Generator()))


@given(matrices(), st.integers(0, 4))
def test_identity_terms_follow_their_formulas(logits, column):
    columns = torch.arange(column, column + len(logits)) % logits.shape[1]
    p, picked = logits.softmax(1), logits.gather(1, columns.unsqueeze(1)).squeeze(1)
    p_y = p.gather(1, columns.unsqueeze(1)).squeeze(1)
    expected = functional.cross_entropy(logits, columns, reduction="none").clamp_max(87.0)
    torch.testing.assert_close(
        asked(partial(objectives.cross_entropy, labels=None), logits, columns).clamp_max(87.0),
        expected,
        rtol=1e-3,
        atol=1e-3,
    )
    torch.testing.assert_close(asked(objectives.confidence, logits, columns), p_y)
    torch.testing.assert_close(asked(objectives.one_minus_confidence, logits, columns), 1 - p_y)
    torch.testing.assert_close(asked(objectives.negative_logit, logits, columns), -picked)
    others = logits.clone()
    others[torch.arange(len(logits)), columns] = -torch.inf
    torch.testing.assert_close(asked(objectives.margin, logits, columns), others.max(1).values - picked)
    agrees = asked(objectives.agreement, logits, columns)
    assert torch.equal(agrees, (p.argsort(dim=1, descending=True, stable=True)[:, 0] == columns).float())
    poincare = asked(objectives.poincare, logits, columns)
    assert torch.isfinite(poincare).all()
    assert (poincare >= 0).all()


def test_poincare_falls_as_the_logits_turn_to_the_class():
    near, far = torch.tensor([[9.0, 0.5, 0.5]]), torch.tensor([[0.5, 9.0, 0.5]])
    column = torch.tensor([0])
    assert asked(objectives.poincare, near, column) < asked(objectives.poincare, far, column)


def test_cross_entropy_of_a_hopeless_start_still_points_uphill():
    x = torch.tensor([[0.0, 80.0]], requires_grad=True)
    value = asked(partial(objectives.cross_entropy, labels=None), x, torch.tensor([0]))
    (slope,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(slope, torch.tensor([[-1.0, 1.0]]))


def regulariser(draw, seed):
    target = StandIn(Formula((0, 1), (4,), lambda x: x[:, :2]))
    statistics = Statistics(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.5, 1.0, 2.0, 0.0]), 10)
    term = objectives.feature_regulariser(of=target, statistics=statistics, draw=draw)
    x = torch.zeros(4000, 4)
    return term(Point(x, x, None, torch.Generator().manual_seed(seed))), statistics


def test_the_feature_regulariser_draws_its_anchor_from_the_normal_distribution():
    # R-LOMMA-1: a released code draws a vector and overwrites it with the mean; a variance passes there for a logarithm.
    values, statistics = regulariser(draw=True, seed=1)
    again, _ = regulariser(draw=True, seed=1)
    other, _ = regulariser(draw=True, seed=2)
    assert torch.equal(values, again)
    assert not torch.equal(values, other)
    assert values.unique().numel() > len(values) / 2
    expected = (statistics.mean.square() + statistics.deviation.square()).mean()  # E (μ + σε)² = μ² + σ²
    torch.testing.assert_close(values.mean(), expected, rtol=0.05, atol=0)


def test_the_feature_regulariser_without_draw_is_the_distance_from_the_mean():
    values, statistics = regulariser(draw=False, seed=1)
    torch.testing.assert_close(values, statistics.mean.square().mean().expand(len(values)))


class Rows:
    def __init__(self, inputs):
        self.inputs, self.targets, self.classes = inputs, torch.zeros(len(inputs), dtype=torch.long), (0,)

    def __len__(self):
        return len(self.inputs)

    def first(self, limit):
        return Rows(self.inputs[:limit])


@given(matrices(least=2), st.integers(1, 8))
def test_feature_statistics_hold_a_standard_deviation(x, limit):
    target = StandIn(Formula((0, 1), tuple(x.shape[1:]), lambda x: x))
    found = feature_statistics(of=target, about=Rows(x), limit=limit, run=run())
    used = x[:limit].double()
    assert found.count == len(used) == target.asked
    torch.testing.assert_close(found.mean.double(), used.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.deviation.double(), used.std(0, correction=0), rtol=1e-3, atol=1e-3)


def test_norms_of_known_pictures():
    flat, step = torch.full((1, 1, 2, 2), 0.5), torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    x = torch.cat([flat, step])
    here = Point(x, x, None, torch.Generator())
    assert total_variation()(here).tolist() == [0.0, 1.0]
    assert objectives.l2()(here).tolist() == [1.0, 2.0]
