"""Values that exist only while lowering: a handle bound to a threat, a granted item, a leaked artefact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mialang.meaning.declarations import DefenseDeclaration, ObservableDeclaration
from mialang.meaning.values import Application, Structured, Value, signature


@dataclass(frozen=True, eq=False)
class BoundHandle(Structured):
    """The target as one threat lets it be asked.

    Attributes:
        target: the model, training defenses included.
        sees: observables with sizes; None for everything.
        knows: facts about the model that may be read.
        transforms: defenses on answers, in order.
        decoy: `permuted` for a blind control, else empty.
        checks: facts that must hold before anyone asks.
    """

    target: Value
    sees: Mapping[str, float] | None
    knows: frozenset[str]
    transforms: tuple[Application, ...]
    decoy: str
    checks: tuple[Application, ...]

    def signature(self) -> list[Any]:
        """Everything that changes an answer."""
        sees = None if self.sees is None else sorted((name, min(size, 1e18)) for name, size in self.sees.items())
        transforms = [signature(each) for each in self.transforms]
        return ["handle", signature(self.target), sees, sorted(self.knows), transforms, self.decoy]

    def parts(self) -> tuple[Value, ...]:
        """The model and the defenses on its answers."""
        return (self.target, *self.transforms)


@dataclass(frozen=True, eq=False)
class Granted(Structured):
    """A prior item that a threat grants: from here on the adversary has it."""

    item: str
    value: Value
    checks: tuple[Application, ...]

    def signature(self) -> list[Any]:
        """The item and its value."""
        return ["granted", self.item, signature(self.value)]

    def parts(self) -> tuple[Value, ...]:
        """The value."""
        return (self.value,)


@dataclass(frozen=True, eq=False)
class Leaked(Structured):
    """A leaked artefact: taken from the defended target and the records behind it."""

    observable: ObservableDeclaration
    size: float | None
    handle: BoundHandle
    records: Value
    permuted: bool

    def signature(self) -> list[Any]:
        """What leaked, of what, and whether it is a decoy."""
        return [
            "leaked",
            self.observable.identity,
            self.size,
            self.handle.digest,
            signature(self.records),
            self.permuted,
        ]

    def parts(self) -> tuple[Value, ...]:
        """The model and the records."""
        return (self.handle, self.records)


@dataclass(frozen=True, eq=False)
class Defended(Structured):
    """An artefact behind a defense that acts on data or on a finished model."""

    defense: Application
    value: Value

    def signature(self) -> list[Any]:
        """The defense and what it acts on."""
        return ["behind", signature(self.defense), signature(self.value)]

    def parts(self) -> tuple[Value, ...]:
        """The defense and what it acts on."""
        return (self.defense, self.value)

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        """The same defense on something else."""
        return Defended(self.defense, change(self.value))

    @property
    def declaration(self) -> DefenseDeclaration:
        """The defense's declaration."""
        assert isinstance(self.defense.declaration, DefenseDeclaration)
        return self.defense.declaration
