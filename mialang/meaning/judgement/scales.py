"""Scales: between which values the two sides of a comparison lie, and so whether it can fail or hold at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mialang.meaning.arithmetic import ARITHMETIC, COMPARISON
from mialang.meaning.audit import Audit, Cell, Comparison, Condition, Constant, Reading, Term
from mialang.meaning.audit import readings as readings_of
from mialang.meaning.gates import measured_axes

SCALES = {"share": (0.0, 1.0), "area": (0.0, 1.0), "distance": (0.0, math.inf), "queries": (0.0, math.inf)}
DIFFERENCES = ("gain", "over_baseline")  # views that subtract one measurement from another
OPPOSITES = {"<=": ">", ">=": "<", "<": ">=", ">": "<=", "==": "!=", "!=": "=="}
DIGITS = 12  # to which sums are rounded: 10 % + 20 % is 30 %
ANYTHING = (-math.inf, math.inf)
Interval = tuple[float, float]
Key = tuple[str, str, str, str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class Side:
    """One side of a comparison in a cell.

    Attributes:
        span: the least and the largest value that it can have.
        keys: what it reads, cell by cell.
        total: how often each is added and which number beside; None where it is no such sum.
    """

    span: Interval
    keys: frozenset[Key]
    total: tuple[dict[Key, float], float] | None


def scale_of(reading: Reading, audit: Audit) -> Interval:
    """The least and the largest value that a measurement can have."""
    low, high = SCALES.get(audit.measurements[reading.measurement].metric.unit, ANYTHING)
    return (low - high, high - low) if reading.view in DIFFERENCES else (low, high)


def side_of(term: Term, cell: Cell, audit: Audit) -> Side:
    """What a term comes to in a cell."""
    match term:
        case Constant():
            return Side((term.value, term.value), frozenset(), ({}, term.value))
        case Reading():
            key = _key(term, cell, audit)
            return Side(scale_of(term, audit), frozenset([key]), ({key: 1.0}, 0.0))
    left, right = side_of(term.left, cell, audit), side_of(term.right, cell, audit)
    return Side(_joined(term.sign, left.span, right.span), left.keys | right.keys, _sum(term.sign, left, right))


def _key(reading: Reading, cell: Cell, audit: Audit) -> Key:
    axes = measured_axes(audit.measurements[reading.measurement], audit)
    fixed = {axis: audit.matrix.axes[axis].index(value) for axis, value in reading.at.items()}
    place = {axis: at for axis, at in ({**cell} | fixed).items() if axis in axes}
    return (reading.measurement, reading.instance, reading.view, reading.field, tuple(sorted(place.items())))


def _joined(sign: str, left: Interval, right: Interval) -> Interval:
    if sign == "/" and right[0] <= 0 <= right[1]:
        return ANYTHING
    ends = [ARITHMETIC[sign](one, other) for one in left for other in right]
    if any(math.isnan(end) for end in ends):
        return ANYTHING
    return round(min(ends), DIGITS), round(max(ends), DIGITS)


def _sum(sign: str, left: Side, right: Side) -> tuple[dict[Key, float], float] | None:
    if left.total is None or right.total is None:
        return None
    (ones, number), (others, other) = left.total, right.total
    if sign in "+-":
        factor = 1.0 if sign == "+" else -1.0
        made = {key: ones.get(key, 0.0) + factor * others.get(key, 0.0) for key in ones | others}
        return {key: count for key, count in made.items() if count}, round(number + factor * other, DIGITS)
    if sign == "*" and not ones:
        return {key: count * number for key, count in others.items()}, number * other
    if others or (sign == "/" and not other):
        return None
    factor = other if sign == "*" else 1 / other
    return {key: count * factor for key, count in ones.items()}, number * factor


def outcome(comparison: Comparison, cell: Cell, audit: Audit) -> bool | None:
    """Whether a comparison holds in a cell whatever is measured (True), or never does (False); None where that is open."""
    left, right = side_of(comparison.left, cell, audit), side_of(comparison.right, cell, audit)
    low, high = _joined("-", left.span, right.span)
    difference = _sum("-", left, right)
    if difference is not None and not difference[0]:
        low = high = difference[1]
    holds = COMPARISON[comparison.sign]
    match comparison.sign:
        case "==" | "!=":
            settled = low == high or not low <= 0 <= high
            return holds(low if low == high else 1.0, 0.0) if settled else None
        case _:
            ends = {holds(low, 0.0), holds(high, 0.0)}
    return ends.pop() if len(ends) == 1 else None


def reads_itself(comparison: Comparison, cell: Cell, audit: Audit) -> bool:
    """Whether both sides read the same measurements in the same cells."""
    left, right = side_of(comparison.left, cell, audit), side_of(comparison.right, cell, audit)
    return bool(left.keys) and left.keys == right.keys


def comparisons(condition: Condition, *, turned: bool = False) -> Iterator[tuple[Comparison, bool]]:
    """The comparisons all of which must hold for a condition to hold, and whether each stands under a `not` and is turned round.

    Args:
        condition: a condition.
        turned: whether its opposite is meant.
    """
    if isinstance(condition, Comparison):
        sign = OPPOSITES[condition.sign] if turned else condition.sign
        yield replace(condition, sign=sign), turned
    elif condition.word == "not":
        yield from comparisons(condition.parts[0], turned=not turned)
    elif condition.word == ("or" if turned else "and"):
        for part in condition.parts:
            yield from comparisons(part, turned=turned)


def elsewhere(comparison: Comparison) -> bool:
    """Whether a comparison reads another cell than the one that it is made in."""
    return any(reading.at for reading in (*readings_of(comparison.left), *readings_of(comparison.right)))
