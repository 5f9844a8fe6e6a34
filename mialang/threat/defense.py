"""A defense as a function on access: it can only take away, and taking twice takes no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mialang.threat.access import Access
from mialang.threat.observables import Observables

ACTS_ON = ("data", "training", "model", "output", "representation")
ON_ANSWERS = ("output", "representation")


@dataclass(frozen=True)
class Shield:
    """What a defense does to access.

    Attributes:
        name: the defense.
        acts: where it acts, one of `ACTS_ON`.
        hides: observables that are no longer answered.
        limits: observables that are answered at most at this size.
        transforms: observables whose answers it changes.
        on: observables or artefacts that it is limited to; empty for all.
    """

    name: str
    acts: str
    hides: frozenset[str] = frozenset()
    limits: Mapping[str, float] = field(default_factory=dict)
    transforms: frozenset[str] = frozenset()
    on: frozenset[str] = frozenset()

    @property
    def on_answers(self) -> bool:
        """Whether it acts on what the model answers rather than on the model."""
        return self.acts in ON_ANSWERS

    def bypassed_by(self, access: Access) -> bool:
        """Whether the access steps around it: who holds the weights asks a copy of their own."""
        return self.on_answers and "weights" in access.sees

    def guards(self, artefact: str, records: str = "") -> bool:
        """Whether a leaked artefact was taken behind it; not even the weights step around that.

        Args:
            artefact: the artefact.
            records: the observable whose answers it holds.
        """
        if not self.on_answers:
            return False
        return artefact in (self.on or self.transforms) or (not self.on and records in self.transforms)

    def behind(self, access: Access, observables: Observables) -> Access:
        """The access that is left behind the defense."""
        if not self.on_answers or self.bypassed_by(access):
            return access
        order = observables.order
        # Whoever sees something stronger than what is hidden or changed could undo the defense, so that goes too.
        gone = (
            {stronger for hidden in self.hides for stronger in order.above(hidden)} if not self.on else set(self.hides)
        )
        changed = {stronger for name in self.transforms for stronger in order.above(name)} - self.transforms
        gone |= {name for name in changed if not self.on and name in observables.by_name}
        sees = {name: min(size, self.limits.get(name, size)) for name, size in access.sees.items() if name not in gone}
        holds = {name: size for name, size in access.holds.items() if name not in self.hides}
        return replace(access, sees=sees, holds=holds)
