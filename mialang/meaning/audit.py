"""The typed spec: what an audit asks, with every name resolved and every place remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from mialang.meaning.blocks import PriorValue
from mialang.meaning.declarations import Metric
from mialang.meaning.registry import Registry
from mialang.meaning.schema import SPEC_BLOCKS
from mialang.meaning.values import Application, Value, fill, holes, is_unknown
from mialang.source import Source, Span
from mialang.syntax import tree

ASKING = SPEC_BLOCKS.keys() - {"data", "target", "judge", "prior"}  # the sorts of blocks that make a file an audit
VIEWS = ("gain", "blind", "baseline", "over_baseline")
Cell = Mapping[str, int]  # axis → which of its values, by place


@dataclass(frozen=True)
class Threat:
    """Who attacks which model, knowing what, seeing what, to recover what, past which defense."""

    name: str
    target: Value
    access: Value
    priors: Value
    extent: Value
    defense: Value
    spans: Mapping[str, Span] = field(repr=False)

    def values(self) -> tuple[Value, ...]:
        """Everything it says."""
        return (self.target, self.access, self.priors, self.extent, self.defense)

    @cached_property
    def axes(self) -> frozenset[str]:
        """The axes of the matrix that it mentions: in cells that differ along others it is the same."""
        return frozenset(axis for value in self.values() for axis in holes(value, "axis"))


@dataclass(frozen=True)
class Instance:
    """One recipe of an attack: the name that metrics pick it by, and the recipe with its arguments."""

    name: str
    recipe: Value
    span: Span = field(repr=False)


@dataclass(frozen=True)
class Attack:
    """Recipes run against a threat."""

    name: str
    against: str
    use: tuple[Instance, ...]
    every: bool
    controls: bool
    span: Span = field(repr=False)
    against_span: Span = field(repr=False)


@dataclass(frozen=True)
class Measurement:
    """A metric with its arguments, under the name that gates use."""

    name: str
    value: Application
    span: Span = field(repr=False)

    @property
    def metric(self) -> Metric:
        """The metric's declaration."""
        assert isinstance(self.value.declaration, Metric)
        return self.value.declaration

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its parts; templates over list parameters are filled in. Empty where it is one number."""
        names: list[str] = []
        for name in self.metric.fields:
            start, _, rest = name.partition("{")
            parameter, _, end = rest.partition("}")
            values = self.value.arguments.get(parameter) if rest else None
            if isinstance(values, tuple):
                names.extend(f"{start}{value}{end}" for value in values)
            else:
                names.append(name)
        return tuple(names)


@dataclass(frozen=True)
class Matrix:
    """Axes and their values, repeats, and the cells that are dropped."""

    axes: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    repeat: int = 1
    skip: Value = None
    spans: Mapping[str, Span] = field(default_factory=dict, repr=False)

    def cells(self, axes: frozenset[str] | None = None) -> Iterator[Cell]:
        """The cells over some axes (all by default), without the skipped ones."""
        names = [name for name in self.axes if axes is None or name in axes]
        if self.skip is None:
            for places in product(*(range(len(self.axes[name])) for name in names)):
                yield dict(zip(names, places, strict=True))
            return
        seen: set[tuple[int, ...]] = set()
        for whole in Matrix(self.axes).cells():
            places = tuple(whole[name] for name in names)
            if places not in seen and not self.truth(self.skip, whole):
                seen.add(places)
                yield dict(zip(names, places, strict=True))

    def values(self, cell: Cell) -> dict[str, Value]:
        """The value of each axis in a cell."""
        return {name: self.axes[name][place] for name, place in cell.items()}

    def at(self, value: Value, cell: Cell) -> Value:
        """A value in a cell: its axes filled in."""
        return fill(value, {("axis", name): item for name, item in self.values(cell).items()})

    def truth(self, condition: Value, cell: Cell) -> bool:
        """Whether a condition holds in a cell."""
        return self.at(condition, cell) is True


# -- gates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """A number in a gate, with its dimension."""

    value: float
    dimension: str = ""


@dataclass(frozen=True)
class Reading:
    """A measurement read in a gate: `leak[LOMMA].gain.top1`, perhaps in another cell."""

    measurement: str
    instance: str
    view: str
    field: str
    at: Mapping[str, Value]
    span: Span = dataclasses.field(compare=False, repr=False)


@dataclass(frozen=True)
class Arithmetic:
    """Two terms joined by `+ - * /`."""

    sign: str
    left: Term
    right: Term


Term = Constant | Reading | Arithmetic


@dataclass(frozen=True)
class Comparison:
    """Two terms compared."""

    sign: str
    left: Term
    right: Term


@dataclass(frozen=True)
class Junction:
    """Conditions joined by `and`, `or`; or one condition under `not`."""

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | Junction


@dataclass(frozen=True)
class GateRule:
    """One `require`, `warn` or `control`."""

    verb: str
    condition: Condition
    where: Value
    confidence: float | None
    because: str
    axes: frozenset[str]
    span: Span = field(repr=False)
    text: str = ""

    def readings(self) -> Iterator[Reading]:
        """Every measurement that it reads."""
        yield from readings(self.condition)


def readings(part: Condition | Term) -> Iterator[Reading]:
    """Every measurement read in a condition or term."""
    match part:
        case Reading():
            yield part
        case Comparison() | Arithmetic():
            yield from readings(part.left)
            yield from readings(part.right)
        case Junction():
            for each in part.parts:
                yield from readings(each)


@dataclass(frozen=True)
class Gate:
    """What must hold, under a title.

    Attributes:
        rules: the rules that could be read.
        verbs: the verbs of all rules that are written, readable or not.
    """

    title: str
    rules: tuple[GateRule, ...]
    span: Span = field(repr=False)
    verbs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Budget:
    """What the audit may cost; None is no limit."""

    seconds: float | None = None
    queries: float | None = None
    usd: float | None = None
    spans: Mapping[str, Span] = field(default_factory=dict, repr=False)


@dataclass
class Audit:
    """A whole spec.

    Attributes:
        source: its text.
        doc: what it says of itself.
        registry: what is known by name.
        recipes: the recipes that it imports or declares, by the name they have here.
        library: all baseline recipes of the standard library.
        named: every named value, by name, for people to see.
        judges: the models that recognise what came back.
        written: the sorts of blocks that the spec holds, readable or not.
        unread: the sorts of blocks, and `import`, of which something could not be read; empty text for an unknown sort.
        unmeasured: names of measurements that could not be read.
        items: what the spec's file holds, as it is written.
        settings: threats in cells that have been worked out.
    """

    source: Source
    doc: str
    registry: Registry
    threats: dict[str, Threat] = field(default_factory=dict)
    attacks: dict[str, Attack] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)
    gates: list[Gate] = field(default_factory=list)
    matrix: Matrix = field(default_factory=Matrix)
    budget: Budget = field(default_factory=Budget)
    recipes: dict[str, Application] = field(default_factory=dict)
    named: dict[str, Value] = field(default_factory=dict)
    judges: dict[str, Application] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    unmeasured: set[str] = field(default_factory=set)
    items: tuple[tree.Item, ...] = field(default=(), repr=False)
    measured: dict[str, int] = field(
        default_factory=dict
    )  # sizes of data that have been read, by digest of their value
    settings: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    def priors(self, threat: Threat, cell: Cell) -> tuple[PriorValue, ...]:
        """The priors of a threat in a cell."""
        value = self.matrix.at(threat.priors, cell)
        many = value if isinstance(value, tuple) else (value,)
        return tuple(each for each in many if isinstance(each, PriorValue))

    @property
    def places(self) -> dict[str, Span]:
        """Where named values are declared, by name, and recipes are used, as `ATTACK[RECIPE]`."""
        found = {
            name: value.span for name, value in self.named.items() if isinstance(value, Application) and value.span
        }
        for attack in self.attacks.values():
            found |= {f"{attack.name}[{instance.name}]": instance.span for instance in attack.use}
        return found

    @property
    def is_library(self) -> bool:
        """Whether the file only says what things are, for other files to use, and so need not ask anything itself."""
        return not self.written & ASKING

    def complete(self, *sorts: str) -> bool:
        """Whether all blocks of some sorts could be read, so that what is missing there is really missing."""
        return not self.unread & {"", *sorts}

    def sound(self, threat: Threat) -> bool:
        """Whether a threat could be read in full."""
        return not any(is_unknown(value) for value in threat.values())
