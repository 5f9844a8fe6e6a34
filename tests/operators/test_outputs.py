"""Output defenses: what leaves the model, row by row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.defenses import outputs
from mialang.operators.errors import OperatorError
from tests.operators.strategies import matrices

probabilities = matrices().map(lambda logits: logits.softmax(1))


def released(transform, p, seed=0):
    return transform(p, generator=torch.Generator().manual_seed(seed))


@given(probabilities, st.integers(0, 4))
def test_rounding_keeps_the_digits_asked_for(p, digits):
    r = released(outputs.round_scores(digits=digits), p)
    scaled = r.double() * 10**digits
    torch.testing.assert_close(scaled, scaled.round(), rtol=0, atol=1e-3)
    assert ((r - p).abs() <= 0.5 * 10**-digits + 1e-6).all()


@given(probabilities, st.integers(1, 5))
def test_truncation_keeps_k_scores_that_sum_to_one(p, k):
    k = min(k, p.shape[1] - 1)
    r = released(outputs.truncate_scores(k=k), p)
    assert ((r > 0).sum(1) <= k).all()
    torch.testing.assert_close(r.sum(1), torch.ones(len(r)))
    assert torch.equal(r.argmax(1), p.argmax(1)) or (p.sort(dim=1).values[:, -2:].diff(dim=1) == 0).any()


@given(probabilities, st.floats(0.001, 1))
def test_a_cutoff_leaves_rows_that_sum_to_one(p, below):
    # R-ART-3: a released cutoff does not renormalise.
    r = released(outputs.cut_scores(below=below), p)
    torch.testing.assert_close(r.sum(1), torch.ones(len(r)))
    assert torch.equal(r > 0, ((p >= below) & (p > 0)) | (outputs.LabelsOnly()(p, generator=torch.Generator()) > 0))


@given(probabilities)
def test_labels_only_releases_exactly_one_1_per_row(p):
    # R-ART-2: a released version sets the predicted columns of all rows in every row.
    r = released(outputs.labels_only(), p)
    assert torch.equal(r.sum(1), torch.ones(len(r)))
    assert set(r.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal((r * p).sum(1), p.max(1).values)


def test_a_defense_that_hides_nothing_is_refused():
    # L24: what is null by its settings must not pass for a defense.
    p = torch.full((2, 3), 1 / 3)
    for make in (
        lambda: outputs.cut_scores(below=0.0),
        lambda: outputs.noise_scores(deviation=0.0),
        lambda: released(outputs.truncate_scores(k=3), p),
        lambda: released(outputs.truncate_scores(k=9), p),
    ):
        with pytest.raises(OperatorError, match="hides nothing"):
            make()


@given(probabilities, st.floats(0.01, 2), st.integers(0, 9))
def test_noise_is_repeatable_and_leaves_probabilities(p, deviation, seed):
    noisy = outputs.noise_scores(deviation=deviation)
    r = released(noisy, p, seed)
    assert torch.equal(r, released(noisy, p, seed))
    assert (r >= 0).all()
    torch.testing.assert_close(r.sum(1), torch.ones(len(r)))


def test_noise_differs_between_rows_and_answers():
    p = torch.full((2, 3), 1 / 3)
    noisy, generator = outputs.noise_scores(deviation=0.1), torch.Generator().manual_seed(0)
    first, second = noisy(p, generator=generator), noisy(p, generator=generator)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
