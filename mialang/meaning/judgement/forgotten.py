"""Parameters and named values that nothing reads: a setting that changes nothing looks like one that does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mialang.diagnostics import Diagnostic, warning
from mialang.meaning.audit import Audit
from mialang.syntax import tree


def nothing_is_forgotten(audit: Audit) -> Iterator[Diagnostic]:
    """Every `param` and `let` of the spec, and of the recipes that it declares, is read somewhere."""
    if audit.unread:
        return  # what could not be read may have mentioned anything
    for item in audit.items:
        if isinstance(item, tree.Block) and item.kind.text == "recipe":
            yield from _unread(item.entries, item.entries, f"the recipe `{item.name}`")
    if not audit.is_library:  # a file of things for others to use is read from outside
        yield from _unread(audit.items, audit.items, "the spec")


def _unread(declared: Iterable[tree.Node], among: Iterable[tree.Node], where: str) -> Iterator[Diagnostic]:
    waiting = {item.name.text: item for item in declared if isinstance(item, tree.Param | tree.Let)}
    for node in among:
        for name in mentions(node):
            waiting.pop(name, None)
        if not waiting:
            return
    for name, item in waiting.items():
        noun = "parameter" if isinstance(item, tree.Param) else "value"
        yield (
            warning("W0208", f"nothing in {where} reads the {noun} `{name}`", item.name.span, "never mentioned")
            .note("setting it changes nothing, and looks as if it did")
            .help(f"write `{name}` where it belongs, or remove it")
        )


def mentions(node: tree.Node) -> Iterator[str]:
    """The names that a piece of a file reads: not those that it declares, of arguments, of keys or of members."""
    pending = [node]
    while pending:
        current = pending.pop()
        match current:
            case tree.Name():
                yield current.text
            case tree.Param(default=default, type=kind):
                pending += [part for part in (default, kind.low, kind.high) if part is not None]
            case tree.Let(value=value) | tree.Attribute(value=value) | tree.Argument(value=value):
                pending.append(value)
            case tree.Member(base=base):
                pending.append(base)
            case tree.Block(entries=entries):
                pending += entries
            case tree.ImportModule() | tree.ImportNames() | tree.Doc():
                pass
            case _:
                pending += tree.children(current)
