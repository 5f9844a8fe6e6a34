"""Bounds: they hold what they promise, and the wider one stands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mialang.meaning.judgement.gating import least_upper_bound
from mialang.report.bounds import Sample, difference, estimate, exact_bounds, t_bounds

rates = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=6), min_size=2, max_size=5)
numbers = st.lists(st.lists(st.floats(-50, 50), min_size=2, max_size=5), min_size=2, max_size=5)
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


def sample(values: list[list[float]], *, rate: bool) -> Sample:
    return Sample(
        tuple(map(tuple, values)), tuple(tuple(f"item {place}" for place in range(len(each))) for each in values), rate
    )


@given(st.integers(0, 40), st.integers(1, 40), levels)
def test_exact_bounds_are_those_of_clopper_and_pearson(successes: int, more: int, level: float) -> None:
    trials = successes + more
    lower, upper = exact_bounds(successes, trials, level)
    expected = stats.binomtest(successes, trials).proportion_ci(confidence_level=2 * level - 1, method="exact")
    assert lower == pytest.approx(expected.low, abs=1e-9)
    assert upper == pytest.approx(expected.high, abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), levels)
def test_t_bounds_are_students(means: list[float], level: float) -> None:
    found = t_bounds(means, level)
    assert found is not None
    spread = float(np.std(means, ddof=1)) / math.sqrt(len(means))
    assert found[1] == pytest.approx(
        float(np.mean(means)) + float(stats.t.ppf(level, len(means) - 1)) * spread, abs=1e-6
    )
    assert t_bounds(means[:1], level) is None


@given(rates, levels)
def test_a_bound_is_the_wider_of_the_two(values: list[list[float]], level: float) -> None:
    made = sample(values, rate=True)
    found = estimate(made, level)
    across = t_bounds(made.means, level)
    within = exact_bounds(sum(map(sum, values)), sum(map(len, values)), level)
    assert across is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.upper >= min(1.0, within[1]) - 1e-12
    assert found.upper >= min(1.0, across[1]) - 1e-12
    assert found.lower <= max(0.0, min(within[0], across[0])) + 1e-12
    assert 0 <= found.lower <= found.point + 1e-9
    assert found.point - 1e-9 <= found.upper <= 1


def test_nothing_in_five_repeats_is_not_zero() -> None:
    found = estimate(sample([[0.0] * 5] * 5, rate=True), 0.95)
    assert found.point == 0
    assert found.upper == pytest.approx(1 - 0.05 ** (1 / 25))
    assert found.upper == pytest.approx(least_upper_bound(25, 0.95))


@given(rates, levels, levels)
def test_more_confidence_is_never_narrower(values: list[list[float]], one: float, other: float) -> None:
    low, high = sorted((one, other))
    loose, tight = estimate(sample(values, rate=True), low), estimate(sample(values, rate=True), high)
    assert loose.upper is not None
    assert tight.upper is not None
    assert loose.upper <= tight.upper + 1e-12


@given(numbers)
def test_distances_are_bounded_by_resampling_items(values: list[list[float]]) -> None:
    found = estimate(sample(values, rate=False), 0.9)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= found.upper


def test_a_single_run_has_no_bounds() -> None:
    found = estimate(sample([[0.0, 1.0, 1.0]], rate=True), 0.95)
    assert (found.lower, found.upper) == (None, None)
    assert found.point == pytest.approx(2 / 3)


@given(rates.filter(lambda values: len({*map(len, values)}) == 1), levels)
def test_a_difference_with_itself_is_zero_and_bounded_on_both_sides(values: list[list[float]], level: float) -> None:
    made = sample(values, rate=True)
    found = difference(made, made, level)
    assert found.point == 0
    assert found.lower is not None
    assert found.upper is not None
    assert -1 <= found.lower <= 0 <= found.upper <= 1
    assert found.upper >= least_upper_bound(made.trials, (1 + level) / 2) - 1e-9 or sum(map(sum, values)) > 0


def test_the_bound_of_a_rate_covers_it_as_often_as_promised() -> None:
    generator = np.random.default_rng(7)
    truth, covered = 0.2, 0
    for _ in range(400):
        draws = generator.random((5, 10)) < truth
        found = estimate(sample(draws.astype(float).tolist(), rate=True), 0.9)
        assert found.upper is not None
        covered += found.upper >= truth
    assert covered / 400 >= 0.88
