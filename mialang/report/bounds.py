"""Bounds on what was measured: one-sided, and the wider of two.

Repeats differ because everything random is drawn anew: Student's t over the means of the repeats bounds that. Within the
repeats a rate was observed on finitely many outputs: Clopper and Pearson's exact bound (Biometrika 26, 1934) bounds
that, so that nothing recovered in five repeats is not taken for nothing recoverable. Other quantities are resampled
over distinct items (percentile bootstrap). The wider of the two stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import betaincinv, stdtrit

RESAMPLES = 2000
SEED = 20241115


@dataclass(frozen=True)
class Sample:
    """What was measured in one cell: values by repeat, each belonging to an item.

    Attributes:
        values: per repeat, the values.
        items: per repeat, the items that they belong to; items are the unit of resampling.
        rate: whether the values are shares, from 0 to 1.
    """

    values: tuple[tuple[float, ...], ...]
    items: tuple[tuple[str, ...], ...]
    rate: bool

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each repeat."""
        return tuple(math.fsum(values) / len(values) for values in self.values if values)

    @property
    def point(self) -> float:
        """The mean over repeats."""
        return math.fsum(self.means) / len(self.means)

    @property
    def trials(self) -> int:
        """How many values there are."""
        return sum(map(len, self.values))


@dataclass(frozen=True)
class Estimate:
    """A figure with its one-sided bounds; a bound is None where none exists."""

    point: float
    lower: float | None
    upper: float | None
    repeats: int
    trials: int


def t_bounds(means: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """One-sided bounds on the mean of repeats, each at the given confidence; None for fewer than two repeats."""
    n = len(means)
    if n < 2:
        return None
    mean = math.fsum(means) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in means) / (n - 1))
    reach = float(stdtrit(n - 1, confidence)) * deviation / math.sqrt(n)
    return mean - reach, mean + reach


def exact_bounds(successes: float, trials: int, confidence: float) -> tuple[float, float]:
    """One-sided Clopper-Pearson bounds on a rate, each at the given confidence."""
    lower = 0.0 if successes <= 0 else float(betaincinv(successes, trials - successes + 1, 1 - confidence))
    upper = 1.0 if successes >= trials else float(betaincinv(successes + 1, trials - successes, confidence))
    return lower, upper


def bootstrap_bounds(sample: Sample, confidence: float) -> tuple[float, float] | None:
    """Percentile bounds on the mean, resampling distinct items; None for fewer than two items."""
    totals: dict[str, list[float]] = {}
    for values, items in zip(sample.values, sample.items, strict=True):
        for value, item in zip(values, items, strict=True):
            totals.setdefault(item, []).append(value)
    if len(totals) < 2:
        return None
    sums = np.array([math.fsum(values) for values in totals.values()])
    counts = np.array([len(values) for values in totals.values()])
    draws = np.random.default_rng(SEED).integers(0, len(sums), size=(RESAMPLES, len(sums)))
    same = bool((counts == counts[0]).all())  # as where every repeat attacks the same records
    means = sums[draws].sum(1) / (counts[0] * len(counts) if same else counts[draws].sum(1))
    lower, upper = np.quantile(means, [1 - confidence, confidence])
    return float(lower), float(upper)


def estimate(sample: Sample, confidence: float) -> Estimate:
    """A figure with the wider of its bounds on each side."""
    point = sample.point
    bounds = [t_bounds(sample.means, confidence), _within(sample, confidence)]
    known = [each for each in bounds if each is not None]
    lower = min((each[0] for each in known), default=None) if bounds[0] is not None else None
    upper = max((each[1] for each in known), default=None) if bounds[0] is not None else None
    if sample.rate:
        lower = None if lower is None else max(0.0, lower)
        upper = None if upper is None else min(1.0, upper)
    return Estimate(point, lower, upper, len(sample.means), sample.trials)


@lru_cache(maxsize=1024)  # a report says the same figure in several places, and gains share their controls
def _within(sample: Sample, confidence: float) -> tuple[float, float] | None:
    if sample.rate and all(value in (0, 1) for values in sample.values for value in values):
        successes = math.fsum(value for values in sample.values for value in values)
        return exact_bounds(successes, sample.trials, confidence)
    return bootstrap_bounds(sample, confidence)


def difference(first: Sample, second: Sample, confidence: float) -> Estimate:
    """A difference, paired by repeat, with the wider of its bounds.

    The exact bounds of two rates each get half of the error that is allowed (Bonferroni), so that the bound on their
    difference holds whatever joins them.
    """
    pairs = list(zip(first.means, second.means, strict=True))
    differences = [one - other for one, other in pairs]
    point = math.fsum(differences) / len(differences)
    across = t_bounds(differences, confidence)
    half = (1 + confidence) / 2
    one, other = _within(first, half), _within(second, half)
    lower = upper = None
    if across is not None:
        lower, upper = across
        if one is not None and other is not None:
            lower, upper = min(lower, one[0] - other[1]), max(upper, one[1] - other[0])
        if first.rate:
            lower, upper = max(-1.0, lower), min(1.0, upper)
    return Estimate(point, lower, upper, len(differences), first.trials)
