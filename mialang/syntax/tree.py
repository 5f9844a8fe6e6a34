"""The syntax tree of a `.mia` file. Nodes compare by what they say, not by where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mialang.source import Span


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of a file and where it stands."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare word."""

    text: str


@dataclass(frozen=True, slots=True)
class Integer(Node):
    """A whole number."""

    value: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number with a decimal point or an exponent."""

    value: float


@dataclass(frozen=True, slots=True)
class Quantity(Node):
    """A number with a unit: `20 min`, `5 %`."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class String(Node):
    """A quoted text, its escapes resolved."""

    value: str


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """`name = value`, in a block or a table."""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[a, b]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Table(Node):
    """`{ a = 1, b = 2 }`."""

    entries: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """`-x`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not x`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic: `+ - * /`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`== != <= >= < >`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Within(Node):
    """`x in list`."""

    item: Expression
    container: Expression


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`and`, `or`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Interval(Node):
    """`low..high`, both ends included."""

    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`base.name`."""

    base: Expression
    name: Name


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`base[key]`."""

    base: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One argument of a call; `name` is absent where it is given by position."""

    name: Name | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(arguments)`."""

    function: Expression
    arguments: tuple[Argument, ...]


Expression = (
    Name | Integer | Number | Quantity | String | Boolean | ListOf | Table | Negate | Not | Binary | Compare
    | Within | Logic | Interval | Member | Index | Call
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Path(Node):
    """`std.attack`: names joined by dots."""

    parts: tuple[Name, ...]

    @property
    def text(self) -> str:
        """The path as written, without spaces."""
        return ".".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """`list[int(1..)]`: a path, arguments, and a range of allowed values."""

    path: Path
    arguments: tuple[TypeName, ...]
    refined: bool
    low: Expression | None
    high: Expression | None


@dataclass(frozen=True, slots=True)
class Doc(Node):
    """A triple-quoted text; indentation common to its lines is removed."""

    text: str


@dataclass(frozen=True, slots=True)
class ImportModule(Node):
    """`import std.image` or `import "file.mia" as f`."""

    module: Path | String
    alias: Name | None


@dataclass(frozen=True, slots=True)
class Renamed(Node):
    """One imported name, with the name it takes here."""

    name: Name
    alias: Name | None


@dataclass(frozen=True, slots=True)
class ImportNames(Node):
    """`import std.attack { GMI, LOMMA as L }`."""

    module: Path | String
    names: tuple[Renamed, ...]


@dataclass(frozen=True, slots=True)
class Param(Node):
    """`param name : type = default { facts }`."""

    name: Name
    type: TypeName
    default: Expression | None
    facts: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value`."""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Confidence(Node):
    """`at 95 % confidence`."""

    level: Quantity


@dataclass(frozen=True, slots=True)
class Where(Node):
    """`where condition`."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class Because(Node):
    """`because "reason"`."""

    reason: String


@dataclass(frozen=True, slots=True)
class Rule(Node):
    """`require x <= 5 % at 95 % confidence where … because "…"`."""

    verb: str
    condition: Expression
    clauses: tuple[Confidence | Where | Because, ...]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
