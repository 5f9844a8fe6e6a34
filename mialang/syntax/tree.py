"""The syntax tree of a `.mia` file. Nodes compare by what they say, not by where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

from mialang.source import Span

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def _node(kind: type[Kind]) -> type[Kind]:
    """Make a kind of node. What all kinds share is written once, in `Node`: making it anew for each costs start-up time.

    That nodes do not change is held by the type checker alone.
    """
    return dataclass(slots=True, eq=False, repr=False)(kind)


@_node
class Node:
    """A piece of a file and where it stands."""

    span: Span
    __match_args__: ClassVar[tuple[str, ...]]

    def _said(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__[1:])

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, wherever they stand."""
        return type(self) is type(other) and isinstance(other, Node) and self._said() == other._said()

    def __hash__(self) -> int:
        """Follow equality."""
        return hash((type(self), self._said()))

    def __repr__(self) -> str:
        """Show what the node says."""
        said = (f"{name}={getattr(self, name)!r}" for name in self.__match_args__[1:])
        return f"{type(self).__name__}({', '.join(said)})"


@_node
class Name(Node):
    """A bare word."""

    text: str


@_node
class Integer(Node):
    """A whole number."""

    value: int


@_node
class Number(Node):
    """A number with a decimal point or an exponent."""

    value: float


@_node
class Quantity(Node):
    """A number with a unit: `20 min`, `5 %`."""

    value: float
    unit: str


@_node
class String(Node):
    """A quoted text, its escapes resolved."""

    value: str


@_node
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@_node
class Attribute(Node):
    """`name = value`, in a block or a table."""

    name: Name
    value: Expression


@_node
class ListOf(Node):
    """`[a, b]`."""

    items: tuple[Expression, ...]


@_node
class Table(Node):
    """`{ a = 1, b = 2 }`."""

    entries: tuple[Attribute, ...]


@_node
class Negate(Node):
    """`-x`."""

    operand: Expression


@_node
class Not(Node):
    """`not x`."""

    operand: Expression


@_node
class Binary(Node):
    """Arithmetic: `+ - * /`."""

    operator: str
    left: Expression
    right: Expression


@_node
class Compare(Node):
    """`== != <= >= < >`."""

    operator: str
    left: Expression
    right: Expression


@_node
class Within(Node):
    """`x in list`."""

    item: Expression
    container: Expression


@_node
class Logic(Node):
    """`and`, `or`."""

    operator: str
    left: Expression
    right: Expression


@_node
class Interval(Node):
    """`low..high`, both ends included."""

    low: Expression
    high: Expression


@_node
class Member(Node):
    """`base.name`."""

    base: Expression
    name: Name


@_node
class Index(Node):
    """`base[key]`."""

    base: Expression
    key: Expression


@_node
class Argument(Node):
    """One argument of a call; `name` is absent where it is given by position."""

    name: Name | None
    value: Expression


@_node
class Call(Node):
    """`function(arguments)`."""

    function: Expression
    arguments: tuple[Argument, ...]


Expression = (
    Name | Integer | Number | Quantity | String | Boolean | ListOf | Table | Negate | Not | Binary | Compare
    | Within | Logic | Interval | Member | Index | Call
)  # fmt: skip


@_node
class Path(Node):
    """`std.attack`: names joined by dots."""

    parts: tuple[Name, ...]

    @property
    def text(self) -> str:
        """The path as written, without spaces."""
        return ".".join(part.text for part in self.parts)


@_node
class TypeName(Node):
    """`list[int(1..)]`: a path, arguments, and a range of allowed values."""

    path: Path
    arguments: tuple[TypeName, ...]
    refined: bool
    low: Expression | None
    high: Expression | None


@_node
class Doc(Node):
    """A triple-quoted text; indentation common to its lines is removed."""

    text: str


@_node
class ImportModule(Node):
    """`import std.image` or `import "file.mia" as f`."""

    module: Path | String
    alias: Name | None


@_node
class Renamed(Node):
    """One imported name, with the name it takes here."""

    name: Name
    alias: Name | None


@_node
class ImportNames(Node):
    """`import std.attack { GMI, LOMMA as L }`."""

    module: Path | String
    names: tuple[Renamed, ...]


@_node
class Param(Node):
    """`param name : type = default { facts }`."""

    name: Name
    type: TypeName
    default: Expression | None
    facts: tuple[Attribute, ...]


@_node
class Let(Node):
    """`let name = value`."""

    name: Name
    value: Expression


@_node
class Confidence(Node):
    """`at 95 % confidence`."""

    level: Quantity


@_node
class Where(Node):
    """`where condition`."""

    condition: Expression


@_node
class Because(Node):
    """`because "reason"`."""

    reason: String


@_node
class Rule(Node):
    """`require x <= 5 % at 95 % confidence where … because "…"`."""

    verb: str
    condition: Expression
    clauses: tuple[Confidence | Where | Because, ...]


@_node
class Block(Node):
    """`kind name : type { … }`."""

    kind: Name
    label: Name | String | None
    type: Path | None
    doc: Doc | None
    entries: tuple[Entry, ...]

    @property
    def head(self) -> Span:
        """The span of kind, label and type: what a message points at to mean the block."""
        return self.kind.span.to((self.type or self.label or self.kind).span)

    @property
    def name(self) -> str:
        """The label's text, or the empty string."""
        if self.label is None:
            return ""
        return self.label.text if isinstance(self.label, Name) else self.label.value

    def attributes(self) -> Iterator[Attribute]:
        """The `name = value` entries in order."""
        return (entry for entry in self.entries if isinstance(entry, Attribute))


Entry = Attribute | Rule | Block | Param | Let
Item = ImportModule | ImportNames | Param | Let | Rule | Block


@_node
class File(Node):
    """A whole file: its edition, its doc string, its items."""

    edition: int | None
    doc: Doc | None
    items: tuple[Item, ...]


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below a node, in the order of its fields."""
    for name in node.__match_args__:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Node))


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it, each before its children."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(list(children(current))))
