"""What counts as recovered: extents, their order, and when an attack gives what a threat fears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mialang.threat.order import Order

PER = ("corpus", "class", "record")


@dataclass(frozen=True)
class Extent:
    """An extent as it is feared, given or measured.

    Attributes:
        name: `verbatim`, `prototype`, …
        per: the unit that is recovered (`record`, `class`, …), or empty where it does not apply.
        length: how much of a record, in the unit of the modality; None where it does not apply.
    """

    name: str
    per: str = ""
    length: float | None = None

    def words(self) -> str:
        """The extent as a phrase."""
        per = f" per {self.per}" if self.per else ""
        length = f" of length {self.length:g}" if self.length is not None else ""
        return f"{self.name.replace('_', ' ')}{length}{per}"


@dataclass(frozen=True, eq=False)
class Extents:
    """The order of extents: from what is most to what is least of a record."""

    weaker: Mapping[str, tuple[str, ...]]

    @property
    def order(self) -> Order:
        """From strong to weak."""
        return Order(self.weaker)

    def covers(self, given: Extent, feared: Extent) -> bool:
        """Whether giving `given` gives `feared`: the extent, its unit and its length."""
        return (
            self.order.follows(feared.name, given.name)
            and _unit_covers(given.per, feared.per)
            and (feared.length is None or given.length is None or given.length >= feared.length)
        )


def _unit_covers(given: str, feared: str) -> bool:
    if not feared or given == feared:
        return True
    if given in PER and feared in PER:
        return PER.index(given) >= PER.index(feared)
    return False
