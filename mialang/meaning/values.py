"""What expressions mean: plain data, applications of declared things, and holes still to be filled.

Values are immutable and compare by a digest of their structure, so the same computation written twice is one value.
Plain Python stands for plain data: `int float str bool None`, tuples for lists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mialang.meaning.arithmetic import ArithmeticProblem, calculate, compare
from mialang.meaning.declarations import Declaration, Operator
from mialang.meaning.types import Type
from mialang.meaning.units import Quantity
from mialang.source import Span

COMPACT = json.JSONEncoder(separators=(",", ":"))


class Structured:
    """A value made of parts; equal to another iff their digests are equal."""

    @cached_property
    def digest(self) -> str:
        """Forty hexadecimal digits that stand for the whole structure."""
        return hashlib.sha1(COMPACT.encode(self.signature()).encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def extent_of_parts(self) -> tuple[int, int]:
        """How many parts it has all in all, those of shared parts counted each time, and in how many levels."""
        return _extent(self.parts())

    def signature(self) -> list[Any]:
        """The structure as JSON, parts by their digests."""
        raise NotImplementedError

    def parts(self) -> tuple[Value, ...]:
        """The values directly inside."""
        return ()

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:  # noqa: ARG002 - a leaf has no parts
        """The same structure with its parts changed."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structured) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=False)
class Unknown(Structured):
    """The value of something already reported as wrong; whatever uses it stays silent."""

    def signature(self) -> list[Any]:
        return ["unknown", id(self)]


@dataclass(frozen=True, eq=False)
class Range(Structured):
    """`low..high`, both included; an open end is None."""

    low: float | None
    high: float | None

    def signature(self) -> list[Any]:
        return ["range", self.low, self.high]


@dataclass(frozen=True, eq=False)
class TableValue(Structured):
    """Named values in the order written."""

    entries: Mapping[str, Value]

    def signature(self) -> list[Any]:
        return ["table", [[name, signature(value)] for name, value in self.entries.items()]]

    def parts(self) -> tuple[Value, ...]:
        return tuple(self.entries.values())

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        return TableValue({name: change(value) for name, value in self.entries.items()})


@dataclass(frozen=True, eq=False)
class Sight(Structured):
    """An observable named in an expression, with its size if it has one; the size may be an axis that waits for its value."""

    name: str
    size: Any = None

    def signature(self) -> list[Any]:
        return ["sight", self.name, signature(self.size)]

    def parts(self) -> tuple[Value, ...]:
        return (self.size,) if isinstance(self.size, Structured) else ()

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        return Sight(self.name, change(self.size)) if isinstance(self.size, Structured) else self


@dataclass(frozen=True, eq=False)
class Application(Structured):
    """A declared thing with its arguments: every parameter is present, defaults filled in."""

    declaration: Declaration
    arguments: Mapping[str, Value]
    span: Span | None = field(default=None, repr=False)
    label: str = ""
    text: str = field(default="", repr=False)

    def signature(self) -> list[Any]:
        given = [[name, signature(value)] for name, value in sorted(self.arguments.items())]
        return ["apply", self.declaration.identity, given]

    def parts(self) -> tuple[Value, ...]:
        return tuple(self.arguments.values())

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        changed = {name: change(value) for name, value in self.arguments.items()}
        if all(changed[name] is value for name, value in self.arguments.items()):
            return self
        return replace(self, arguments=changed)

    @property
    def name(self) -> str:
        """The declared name."""
        return self.declaration.name

    @property
    def is_step(self) -> bool:
        """Whether it returns an artefact and so becomes a node of the graph."""
        return isinstance(self.declaration, Operator) and self.declaration.is_step


@dataclass(frozen=True, eq=False)
class Algebra(Structured):
    """Values joined by a sign: objectives and scores by `+ - * /`, or numbers and conditions that still have holes."""

    operator: str
    operands: tuple[Value, ...]
    kind: str

    def signature(self) -> list[Any]:
        return ["algebra", self.operator, self.kind, [signature(value) for value in self.operands]]

    def parts(self) -> tuple[Value, ...]:
        return self.operands

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        try:
            return joined(self.operator, tuple(change(value) for value in self.operands), self.kind)
        except ArithmeticProblem:
            return Unknown()  # a rule of the judgement tells where this happens, and why


@dataclass(frozen=True, eq=False)
class Part(Structured):
    """A member of an artefact: `gan.latent`."""

    base: Value
    name: str
    kind: str

    def signature(self) -> list[Any]:
        return ["part", signature(self.base), self.name]

    def parts(self) -> tuple[Value, ...]:
        return (self.base,)

    def rebuilt(self, change: Callable[[Value], Value]) -> Value:
        return Part(change(self.base), self.name, self.kind)


@dataclass(frozen=True, eq=False)
class Hole(Structured):
    """A value not known yet: a parameter of a recipe, or an axis of the matrix."""

    origin: str
    name: str
    type: Type

    def signature(self) -> list[Any]:
        return ["hole", self.origin, self.name]


@dataclass(frozen=True, eq=False)
class TargetHandle(Structured):
    """What a recipe calls `target`: the only way from an attack to the model."""

    def signature(self) -> list[Any]:
        return ["target"]


@dataclass(frozen=True, eq=False)
class PriorItem(Structured):
    """`prior.images`: an item that the threat must grant."""

    name: str
    kind: str

    def signature(self) -> list[Any]:
        return ["prior", self.name]


@dataclass(frozen=True, eq=False)
class HeldArtefact(Structured):
    """`held.stored_embeddings`: a leaked artefact that the threat must grant."""

    name: str
    kind: str

    def signature(self) -> list[Any]:
        return ["held", self.name]


@dataclass(frozen=True, eq=False)
class Named(Structured):
    """A block of the spec named in an expression: a threat, an attack, a prior, a metric."""

    sort: str
    name: str

    def signature(self) -> list[Any]:
        return [self.sort, self.name]


@dataclass(frozen=True, eq=False)
class DefendedModel(Structured):
    """`threat.target`: the target behind the threat's defense, as metrics hold it."""

    threat: str

    def signature(self) -> list[Any]:
        return ["defended", self.threat]


@dataclass(frozen=True, eq=False)
class Reference(Structured):
    """A declared thing named but not called: a recipe in `use`, a recipe handed to another."""

    declaration: Declaration

    def signature(self) -> list[Any]:
        return ["reference", self.declaration.identity]


@dataclass(frozen=True, eq=False)
class Special(Structured):
    """A word that only its place gives meaning: `every(applicable)`, `matrix`."""

    word: str

    def signature(self) -> list[Any]:
        return ["special", self.word]


def joined(sign: str, operands: tuple[Value, ...], kind: str) -> Value:
    """Join values; numbers and conditions without holes are worked out at once.

    Raises:
        ArithmeticProblem: they do not fit.
    """
    if kind not in ("number", "condition") or any(isinstance(part, Hole | Algebra | Unknown) for part in operands):
        return Algebra(sign, operands, kind)
    match sign:
        case "not":
            return not operands[0]
        case "and":
            return bool(operands[0] and operands[1])
        case "or":
            return bool(operands[0] or operands[1])
        case "in":
            container = operands[1]
            if isinstance(container, Range):
                return (container.low is None or compare(">=", operands[0], container.low)) and (
                    container.high is None or compare("<=", operands[0], container.high)
                )
            return isinstance(container, tuple) and operands[0] in container
        case "+" | "-" | "*" | "/":
            result: Value = calculate(sign, operands[0], operands[1])
            return result
    return compare(sign, operands[0], operands[1])


Value = int | float | str | bool | None | tuple[Any, ...] | Quantity | Structured


def signature(value: Value) -> Any:
    """A value as JSON; structured values by their digest."""
    if isinstance(value, Structured):
        return {"#": value.digest}
    if isinstance(value, tuple):
        return [signature(item) for item in value]
    if isinstance(value, Quantity):
        return {"quantity": [value.value, value.dimension]}
    return value


def inside(value: Value) -> tuple[Value, ...]:
    """The values directly inside any value."""
    if isinstance(value, tuple):
        return value
    return value.parts() if isinstance(value, Structured) else ()


def walk(value: Value) -> Iterator[Value]:
    """A value and everything inside it, each structured value once."""
    pending: list[Value] = [value]
    seen: set[str] = set()
    while pending:
        current = pending.pop()
        if isinstance(current, Structured):
            if current.digest in seen:
                continue
            seen.add(current.digest)
        yield current
        pending.extend(reversed(inside(current)))


def _extent(parts: Iterable[Value]) -> tuple[int, int]:
    total, levels = 1, 0
    for part in parts:
        if isinstance(part, Structured):
            inner = part.extent_of_parts
        else:
            inner = _extent(part) if isinstance(part, tuple) else (1, 0)
        total += inner[0]
        levels = max(levels, inner[1])
    return total, levels + 1


def is_small(value: Value, most: int, deepest: int) -> bool:
    """Whether a value has at most so many parts and levels; values made of small ones are looked at quickly."""
    total, levels = value.extent_of_parts if isinstance(value, Structured) else _extent((value,))
    return total <= most and levels <= deepest


def is_unknown(value: Value) -> bool:
    """Whether a value rests on something already reported."""
    return any(isinstance(part, Unknown) for part in walk(value))


def replaced(value: Value, change: Callable[[Value], Value | None]) -> Value:
    """Rebuild a value, asking `change` at every part; None means: look inside."""
    memory: dict[str, Value] = {}

    def rebuild(current: Value) -> Value:
        if isinstance(current, tuple):
            return tuple(rebuild(item) for item in current)
        if not isinstance(current, Structured):
            return current
        if current.digest not in memory:
            answer = change(current)
            memory[current.digest] = current.rebuilt(rebuild) if answer is None else answer
        return memory[current.digest]

    return rebuild(value)


def fill(value: Value, holes: Mapping[tuple[str, str], Value]) -> Value:
    """Fill holes, given by origin and name."""

    def answer(current: Value) -> Value | None:
        if isinstance(current, Hole):
            return holes.get((current.origin, current.name), current)
        return None

    return replaced(value, answer)


def holes(value: Value, origin: str) -> set[str]:
    """The names of the holes of one origin inside a value."""
    return {part.name for part in walk(value) if isinstance(part, Hole) and part.origin == origin}
