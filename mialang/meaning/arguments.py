"""What is said of arguments: that one is misspelled, has no unit, does not fit its parameter."""

from __future__ import annotations

from mialang.diagnostics import Diagnostic, closest, error
from mialang.meaning.declarations import Declaration, Operator, Parameter
from mialang.meaning.misfit import Misfit
from mialang.meaning.types import Type
from mialang.meaning.values import Value
from mialang.syntax import tree

CLASSES = "classes"  # the parameter of records and models that names class labels
UNITS_NEEDED = {
    "seconds": "5 s`, `5 min` or `5 h", "bytes": "5 MB", "usd": "5 usd", "queries": "5_000 queries", "tokens": "32 tokens",
}  # fmt: skip
LITERALS = (tree.Quantity, tree.Integer, tree.Number, tree.Negate)


def misspelled(name: str, arguments: tuple[tree.Argument, ...], declaration: Declaration) -> bool:
    """Whether an argument of no known name is a slip of a parameter's."""
    unknown = [
        each.name.text for each in arguments if each.name is not None and each.name.text not in declaration.by_name
    ]
    return any(closest(word, declaration.by_name) == [name] for word in unknown)


def because(misfit: Misfit, node: tree.Node, label: str = "") -> Diagnostic:
    """The finding that a value does not fit: it points at the item of a list that is wrong, and shows it as it is written."""
    for place in misfit.place:
        if isinstance(node, tree.ListOf) and place < len(node.items):
            node = node.items[place]
    title = misfit.title
    if misfit.value and isinstance(node, LITERALS):
        title = title.replace(f"`{misfit.value}`", f"`{node.span.text}`", 1)
    finding = error(misfit.code, title, node.span, label).note(misfit.note)
    return finding.hide(node.span) if misfit.secret else finding


def beside_declaration(finding: Diagnostic, declaration: Declaration, parameter: Parameter) -> Diagnostic:
    """A finding about an argument with the parameter that it is for, where that is declared in a file of the user's."""
    if parameter.span is None or declaration.module.startswith("std."):
        return finding
    return finding.also(parameter.span, "declared here")


def signature_words(declaration: Declaration) -> str:
    """The parameters of a declaration, for a help line."""
    shown = ", ".join(
        parameter.name if parameter.required else f"{parameter.name} = …" for parameter in declaration.parameters
    )
    return f"its signature is `{declaration.name}({shown})`"


def unitless(node: tree.Node, wanted: Type) -> Misfit | None:
    """A bare number where only a unit says what it means."""
    if wanted.bare().name not in UNITS_NEEDED or not isinstance(node, tree.Integer | tree.Number):
        return None
    example = UNITS_NEEDED[wanted.bare().name]
    return Misfit("E0212", f"`{node.span.text}` has no unit", f"write for example `{example}`")


def no_such_class(declaration: Declaration, chosen: Value) -> Misfit | None:
    """Classes that records of a type cannot bear; or none chosen."""
    if not isinstance(declaration, Operator) or not isinstance(chosen, tuple):
        return None
    if not chosen:
        return Misfit("E0211", "no class is chosen", "name at least one: `classes = [0]`")
    match declaration.labels:
        case tree.Interval(low=tree.Integer() as low, high=tree.Integer() as high):
            strangers = [label for label in chosen if not low.value <= label <= high.value]
            if strangers:
                shown = ", ".join(map(str, strangers[:5])) + (" …" if len(strangers) > 5 else "")
                return Misfit(
                    "E0211",
                    f"`{declaration.name}` has no {'class' if len(strangers) == 1 else 'classes'} {shown}",
                    f"its classes are {low.value} to {high.value}",
                )
    return None
