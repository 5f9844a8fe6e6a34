"""Access as a record of independent dimensions, ordered pointwise.

`a ⊑ b` holds iff whatever an adversary with access `a` can learn, one with access `b` can compute. Sights are kept
down-closed, so ⊑ on them is inclusion, and join and meet are union and intersection (Birkhoff).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mialang.threat.observables import Observables

KNOWLEDGE = ("architecture", "classes", "preprocessing", "vocabulary", "training_recipe", "defense")
ACTS = ("observe", "inject", "modify")


@dataclass(frozen=True)
class Gap:
    """One dimension on which an access falls short of a need."""

    dimension: str
    name: str
    needed: float = math.inf
    granted: float = 0

    def words(self) -> str:
        """The gap as a phrase after "needs"."""
        name = self.name.replace("_", " ")
        match self.dimension:
            case "sees":
                return f"to see {name}" + (f" ({self.needed:g}, granted {self.granted:g})" if self.granted else "")
            case "holds":
                return f"to hold {name}"
            case "queries":
                return f"{self.needed:,.0f} queries, {self.granted:,.0f} are granted"
            case "knows":
                return f"to know the {name}"
        return f"to {name} the training"


@dataclass(frozen=True)
class Access:
    """What an adversary may see, hold, ask, know and do.

    Attributes:
        sees: observables answered to inputs, with sizes (infinity where a size does not apply); down-closed.
        holds: leaked artefacts, with sizes.
        queries: how many inputs may be asked about, 0 to infinity.
        knows: facts about the model.
        acts: what may be done to the training.
    """

    sees: Mapping[str, float]
    holds: Mapping[str, float]
    queries: float = math.inf
    knows: frozenset[str] = frozenset()
    acts: frozenset[str] = frozenset({"observe"})

    @classmethod
    def of(  # noqa: PLR0913 - one argument per dimension
        cls,
        observables: Observables,
        *,
        sees: Mapping[str, float] | Iterable[str] = (),
        holds: Mapping[str, float] | Iterable[str] = (),
        queries: float = math.inf,
        knows: Iterable[str] = (),
        acts: Iterable[str] = ("observe",),
    ) -> Access:
        """Build an access: sights are closed downwards, and with the weights in hand nothing is metered."""
        closed = observables.closure(_sized(sees))
        budget = math.inf if "weights" in closed else queries
        return cls(closed, _sized(holds), budget, frozenset(knows), frozenset(acts) | {"observe"})

    @classmethod
    def nothing(cls) -> Access:
        """The bottom: nothing is seen, held, asked or known."""
        return cls({}, {}, 0)

    def __le__(self, other: Access) -> bool:
        return not gaps(self, other)

    def __hash__(self) -> int:
        return hash((frozenset(self.sees.items()), frozenset(self.holds.items()), self.queries, self.knows, self.acts))

    def __or__(self, other: Access) -> Access:
        """Join: what both together allow. A budget belongs to the questions, so the larger one stands."""
        return Access(
            _merge(self.sees, other.sees),
            _merge(self.holds, other.holds),
            max(self.queries, other.queries),
            self.knows | other.knows,
            self.acts | other.acts,
        )

    def __and__(self, other: Access) -> Access:
        """Meet: what each of the two allows."""
        return Access(
            _common(self.sees, other.sees),
            _common(self.holds, other.holds),
            min(self.queries, other.queries),
            self.knows & other.knows,
            self.acts & other.acts,
        )


def gaps(need: Access, have: Access) -> list[Gap]:
    """Every dimension on which `have` falls short of `need`; empty iff `need ⊑ have`."""
    found = [
        Gap(dimension, name, size, granted.get(name, 0))
        for dimension, wanted, granted in (("sees", need.sees, have.sees), ("holds", need.holds, have.holds))
        for name, size in sorted(wanted.items())
        if granted.get(name, 0) < size
    ]
    if need.queries > have.queries:
        found.append(Gap("queries", "queries", need.queries, have.queries))
    found += [Gap("knows", name) for name in sorted(need.knows - have.knows)]
    found += [Gap("acts", name) for name in sorted(need.acts - have.acts)]
    return found


def _sized(names: Mapping[str, float] | Iterable[str]) -> dict[str, float]:
    return dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, math.inf)


def _merge(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {*one, *other}}


def _common(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: min(one[name], other[name]) for name in one.keys() & other.keys()}
