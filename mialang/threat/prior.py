"""Prior knowledge: a set of granted items, ordered by inclusion; its kind is derived, never claimed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["none", "statistics", "public", "shadow", "overlapping"]
ORDER: tuple[Kind, ...] = ("none", "statistics", "public", "shadow", "overlapping")


@dataclass(frozen=True)
class Item:
    """One item that a prior may grant.

    Attributes:
        name: `images`, `edges`, …
        nature: what granting it makes of the prior; an `overlapping` item is part of the secret by nature.
    """

    name: str
    nature: Kind

    @property
    def overlaps(self) -> bool:
        """Whether the item is part of the secret by nature, so that no disjointness is asked of it."""
        return self.nature == "overlapping"


def prior_kind(items: Iterable[Item]) -> Kind:
    """The strongest nature among the items."""
    return max((item.nature for item in items), key=ORDER.index, default="none")
