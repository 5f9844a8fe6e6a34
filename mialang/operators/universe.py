"""The universe of a metric: what could be recovered at all, without what a threat gives away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, Self

from mialang.operators.artefacts import Artefact
from mialang.operators.run import Run


class Revealing(Protocol):
    """A granted or leaked artefact whose holder knows part of the secret."""

    def reveals(self) -> Collection[int]:
        """Return the units (places of records, numbers of pairs) that are known already."""


class Claiming(Protocol):
    """What an attack hands over, unit by unit."""

    def without(self, units: Collection[int]) -> Self:
        """Return the outputs without those of some units, which are no longer attempted either."""


def unrevealed(*, of: Claiming, granted: Sequence[Revealing], run: Run) -> Artefact:
    """Take from an attack's outputs the units that some grant reveals; notes how many there are."""
    units = {unit for each in granted for unit in each.reveals()}
    run.note("units_revealed", len(units))
    left = of.without(units)
    assert isinstance(left, Artefact)
    return left
