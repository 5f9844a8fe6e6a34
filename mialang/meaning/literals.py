"""Reading literals and types straight from the tree: what declarations are made of, before any name has a meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mialang.diagnostics import Diagnostic, did_you_mean, error
from mialang.meaning.types import BLOCKS, GENERIC, PLAIN, WORDED, Type
from mialang.meaning.units import Quantity
from mialang.source import Span
from mialang.syntax import tree

LITERALS = {
    "a list of names": "`[scores, label]`",
    "a list of lists of names": "`[[trained], [classes, shape]]`",
    "one name": "`scores`, without brackets",
    "a text in quotes": '`"package.module:function"`',
    "`true` or `false`": "`true`",
    "a whole number": "`1`",
    "a table": "`{ name = value }`",
    "a number": "`0.5`",
}


@dataclass
class LiteralReader:
    """Reads literals; what is not one becomes a finding and a default."""

    found: list[Diagnostic] = field(default_factory=list)

    def refuse(self, node: tree.Node, wanted: str) -> None:
        """Report that something else belongs here."""
        self.found.append(
            error("E0210", f"this must be {wanted}", node.span).help(f"write for example {LITERALS[wanted]}")
        )

    def names(self, node: tree.Expression | None) -> tuple[str, ...]:
        """A name or a list of names."""
        match node:
            case None:
                return ()
            case tree.ListOf():
                return tuple(name for item in node.items for name in self.names(item))
            case tree.Name():
                return (node.text,)
            case tree.String():
                return (node.value,)
        self.refuse(node, "a list of names")
        return ()

    def groups(self, node: tree.Expression | None) -> tuple[tuple[str, ...], ...]:
        """A list of lists of names."""
        if isinstance(node, tree.ListOf):
            return tuple(self.names(item) for item in node.items)
        if node is not None:
            self.refuse(node, "a list of lists of names")
        return ()

    def name(self, node: tree.Expression | None) -> str:
        """One name."""
        found = self.names(node)
        if node is not None and len(found) != 1:
            self.refuse(node, "one name")
        return found[0] if found else ""

    def text(self, node: tree.Expression | None) -> str:
        """A quoted text."""
        if isinstance(node, tree.String):
            return node.value
        if node is not None:
            self.refuse(node, "a text in quotes")
        return ""

    def boolean(self, node: tree.Expression | None) -> bool:
        """`true` or `false`; absent is false."""
        if isinstance(node, tree.Boolean):
            return node.value
        if node is not None:
            self.refuse(node, "`true` or `false`")
        return False

    def integer(self, node: tree.Expression | None, default: int) -> int:
        """A whole number."""
        if isinstance(node, tree.Integer):
            return node.value
        if node is not None:
            self.refuse(node, "a whole number")
        return default

    def table(self, node: tree.Expression | None) -> dict[str, tree.Expression]:
        """A table's entries by name."""
        if isinstance(node, tree.Table):
            return {entry.name.text: entry.value for entry in node.entries}
        if node is not None:
            self.refuse(node, "a table")
        return {}

    def type(self, node: tree.TypeName) -> Type:
        """A type; kinds are checked later, when all declarations are known."""
        name = node.path.text
        low, high = self._bound(node.low), self._bound(node.high)
        if name in WORDED:
            return Type(name, tuple(Type(argument.path.text) for argument in node.arguments))
        arguments = tuple(self.type(argument) for argument in node.arguments)
        if name in GENERIC and len(arguments) != GENERIC[name]:
            self.found.append(
                error("E0240", f"`{name}` takes one type in square brackets", node.span).help(
                    f"write `{name}[int]`, for example"
                )
            )
            return Type("any")
        if name not in GENERIC and arguments:
            self.found.append(
                error("E0240", f"`{name}` takes no types in square brackets", node.span).help(f"write `{name}`")
            )
        if low is not None and high is not None and low > high:
            title = f"no number lies between {low:g} and {high:g}"
            self.found.append(error("E0240", title, node.span).help(f"write `{name}({high:g}..{low:g})`"))
            low = high = None
        return Type(name, arguments, low, high)

    def _bound(self, node: tree.Expression | None) -> float | None:
        match node:
            case None:
                return None
            case tree.Integer() | tree.Number():
                return node.value
            case tree.Quantity():
                return Quantity.of(node.value, node.unit).value
            case tree.Negate():
                bound = self._bound(node.operand)
                return None if bound is None else -bound
        self.refuse(node, "a number")
        return None


def plain(node: tree.Expression) -> Any:
    """A literal number, text or truth value; None for anything else."""
    match node:
        case tree.Integer() | tree.Number() | tree.String() | tree.Boolean():
            return node.value
        case tree.Negate(operand=tree.Integer() | tree.Number() as operand):
            return -operand.value
    return None


def unknown_types(type_: Type, kinds: set[str], span: Span) -> list[Diagnostic]:
    """Findings for types that name no plain type and no declared kind."""
    if type_.name in WORDED:
        return []
    found = [finding for argument in type_.arguments for finding in unknown_types(argument, kinds, span)]
    known = PLAIN | GENERIC.keys() | BLOCKS | kinds
    if type_.name not in known:
        found.append(
            error("E0201", f"there is no type called `{type_.name}`", span).help(
                did_you_mean(type_.name, known)
                or "plain types are `int`, `float`, `share`, `bool`, `string`, `path`; the others are kinds, declared in `std.kind`"
            )
        )
    return found
