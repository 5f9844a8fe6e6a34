"""Witnesses of the access order and the decoy."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators import observables
from tests.operators.strategies import matrices

ids = (3, 4, 8, 11, 20)


@given(matrices())
def test_scores_are_probabilities_in_the_order_of_the_logits(logits):
    p = observables.scores(logits, classes=ids[: logits.shape[1]])
    assert (p >= 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(len(p)))
    assert torch.equal(p.gather(1, logits.argmax(1, keepdim=True)).squeeze(1), p.max(1).values)


@given(matrices(), st.integers(1, 5))
def test_top_k_keeps_exactly_the_k_largest(logits, k):
    classes = ids[: logits.shape[1]]
    k = min(k, len(classes))
    p = observables.scores(logits, classes=classes) + 1e-6  # no score is 0, so that kept ones can be counted
    kept = observables.top_k(p, classes=classes, k=k)
    assert ((kept > 0).sum(1) == k).all()
    assert torch.equal(kept[kept > 0], p[kept > 0])
    smallest_kept = torch.where(kept > 0, kept, torch.inf).min(1).values
    largest_left = torch.where(kept > 0, -torch.inf, p).max(1).values
    assert (smallest_kept >= largest_left).all()


@given(matrices(), st.integers(1, 5))
def test_the_label_is_the_same_from_scores_and_from_any_top_k(logits, k):
    classes = ids[: logits.shape[1]]
    p = observables.scores(logits, classes=classes)
    label = observables.label(p, classes=classes)
    assert set(label.tolist()) <= set(classes)
    assert torch.equal(
        label, observables.label(observables.top_k(p, classes=classes, k=min(k, len(classes))), classes=classes)
    )


def test_between_equal_scores_the_lower_column_wins():
    equal = torch.full((2, 4), 0.25)
    assert observables.label(equal, classes=(5, 6, 7, 8)).tolist() == [5, 5]
    assert observables.top_k(equal, classes=(5, 6, 7, 8), k=2).tolist() == [[0.25, 0.25, 0, 0]] * 2


@given(st.integers(0, 12), st.integers(0, 99))
def test_a_decoy_permutes_answers_and_leaves_none_in_its_place(n, seed):
    answer = torch.arange(n, dtype=torch.float32).unsqueeze(1).repeat(1, 3)
    moved = observables.permuted(answer, generator=torch.Generator().manual_seed(seed))
    assert sorted(moved[:, 0].tolist()) == answer[:, 0].tolist()
    assert n < 2 or not (moved == answer).any()


@given(st.integers(1, 6))
def test_a_decoy_has_gradient_zero_and_not_none(n):
    x = torch.rand(n, 3, requires_grad=True)
    moved = observables.permuted((x * 2).softmax(1), generator=torch.Generator())
    (slope,) = torch.autograd.grad(moved[:, 0].log().sum(), x)
    assert torch.equal(slope, torch.zeros_like(x))
