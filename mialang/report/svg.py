"""Inline SVG: elements as escaped markup, and scales with round ticks.

Charts place things across by per cent and down by pixels, so that they fill any width while their text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from mialang.report.summary import number

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def tag(name: str, *children: str, **attributes: str | float) -> Markup:
    """An element; attributes are written with `-` for `_`, and everything is escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value)) for key, value in attributes.items()
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)  # noqa: S704 - names are our own


def _short(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """A place across, from 0 to 1."""
    return f"{_short(share * 100)}%"


@dataclass(frozen=True)
class Scale:
    """Values to places across: `low` lies at `left`, `high` at `right`, both shares of the whole width."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str
    left: float = 0.0
    right: float = 1.0

    def share(self, value: float) -> float:
        """Where a value lies; what is outside lies at the end."""
        inside = min(max(value, self.low), self.high)
        return self.left + (self.right - self.left) * (inside - self.low) / (self.high - self.low)

    def at(self, value: float) -> str:
        """Where a value lies, for an attribute."""
        return percent(self.share(value))

    def words(self, tick: float) -> str:
        """A tick in words, without the unit."""
        if self.unit == "share":
            return f"{tick * 100:.4g}"
        return number(tick, self.unit) if abs(tick) >= 1000 else f"{tick:.4g}"


def scale_for(
    values: Iterable[float], unit: str, across: tuple[float, float], *, zero: bool = True, ticks: int = 4
) -> Scale:
    """A scale that holds some values.

    Args:
        values: what must fit; none is fine.
        unit: shares that need no less than half of it get the whole range from 0 to 100 %.
        across: where the scale begins and ends.
        zero: whether 0 must be on it.
        ticks: about how many ticks.
    """
    known = [value for value in values if math.isfinite(value)] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if unit == "share" and zero:
        low, high = min(low, 0.0), max(high, 1.0) if high > 0.5 else high
    if high - low < 1e-9 * max(1.0, abs(high)):
        reach = abs(high) * 0.05 or (0.05 if unit == "share" else 0.5)
        low, high = low - (0.0 if zero and low == 0 else reach), high + reach
    step = _step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = tuple(step * place for place in range(first, last + 1))
    return Scale(places[0], places[-1], places, unit, *across)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))
