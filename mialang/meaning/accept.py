"""Whether a value fits a type, and what it becomes: quantities to base units, ranges to lists of labels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

from mialang.diagnostics import closest, listed
from mialang.meaning.arithmetic import is_number
from mialang.meaning.declarations import AccessDeclaration, DefenseDeclaration, ExtentDeclaration, Operator, Recipe
from mialang.meaning.forms import FORMS, malformed
from mialang.meaning.misfit import Misfit
from mialang.meaning.offers import makers_of, offered
from mialang.meaning.registry import Registry
from mialang.meaning.types import TEXTS, Type
from mialang.meaning.units import Quantity
from mialang.meaning.values import (
    Algebra,
    Application,
    DefendedModel,
    HeldArtefact,
    Hole,
    Named,
    Part,
    PriorItem,
    Range,
    Reference,
    Sight,
    Structured,
    TableValue,
    TargetHandle,
    Unknown,
    Value,
)
from mialang.meaning.words import EXAMPLES, belonging, measure_words, number_words, type_words, with_article

DIMENSIONS = {
    "share": "share",
    "seconds": "time",
    "queries": "queries",
    "tokens": "tokens",
    "usd": "usd",
    "bytes": "size",
}
NUMBER = re.compile(r"-?\d+(\.\d+)?")
COUNTS = {"queries", "tokens", "steps", "epochs", "bits"}
MOST_LABELS = 100_000


def kind_of(value: Value, registry: Registry) -> str:
    """The kind of an artefact or description; the empty string for plain data."""
    match value:
        case Application(declaration=Operator() as operator):
            narrower = value.arguments.get(operator.same_kind_as)
            return (kind_of(narrower, registry) if narrower is not None else "") or operator.returns
        case Application(declaration=DefenseDeclaration()):
            return "defense"
        case Application(declaration=AccessDeclaration()):
            return "access"
        case Application(declaration=ExtentDeclaration()):
            return "extent"
        case Application(declaration=Recipe()):
            return "recipe"
        case Algebra() | Part() | PriorItem() | HeldArtefact():
            return value.kind
        case TargetHandle() | DefendedModel():
            return "model"
        case Reference():
            return value.declaration.noun
        case Named():
            return value.sort
        case Hole():
            return value.type.bare().name
    return ""


def describe(value: Value, registry: Registry) -> str:
    """A value in a few words, for messages."""
    match value:
        case Sight():
            return f"the observable `{value.name}`"
        case Reference():
            return f"the {value.declaration.noun} `{value.declaration.name}`"
        case Named():
            return f"the {value.sort} `{value.name}`"
        case TargetHandle():
            return "the target"
        case Application():
            return f"`{value.label or value.name}` ({kind_of(value, registry).replace('_', ' ')})"
        case Range():
            return "a range"
        case TableValue():
            return "a table"
        case Structured():
            kind = kind_of(value, registry)
            return with_article(kind) if kind else "this"
    return _plain_words(value)


def _plain_words(value: Value) -> str:
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case str():
            return f'the text "{value}"'
        case None:
            return "nothing"
        case tuple():
            return "a list"
    return f"`{value}`"


def accept(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    """Fit a value to a type; return what it becomes, and why it does not fit if so."""
    if isinstance(value, Unknown) or wanted.name == "any":
        return value, None
    if wanted.optional:
        return (None, None) if value is None else accept(value, wanted.item, registry)
    if isinstance(value, Hole):
        return value, _hole(value, wanted, registry)
    if isinstance(value, Algebra) and value.kind == "number":
        numeric = wanted.name in NUMERIC
        return value, None if numeric else _mismatch(value, wanted, registry)
    fitter = FITTERS.get(wanted.name, _kind)
    return fitter(value, wanted, registry)


def _mismatch(value: Value, wanted: Type, registry: Registry, help_: str = "") -> Misfit:
    title = f"{describe(value, registry)} stands where {belonging(type_words(wanted.unlimited()))}"
    return Misfit("E0210", title, help_ or _way_out(value, wanted, registry))


def _way_out(value: Value, wanted: Type, registry: Registry) -> str:
    """One concrete thing to write instead."""
    match value:
        case (single,) if wanted.name != "list":
            return (
                f"write `{single}`, without brackets"
                if isinstance(single, int | float | str)
                else "leave the square brackets out"
            )
        case str() if wanted.name in NUMERIC and NUMBER.fullmatch(value):
            return f"write `{value}` without quotes"
        case float() if wanted.name == "int" and math.isfinite(value):
            return f"write `{math.floor(value)}` or `{math.ceil(value)}`"
    if wanted.name in registry.kinds:
        return makers_of(wanted.name, registry)
    return offered(wanted)


def _hole(hole: Hole, wanted: Type, registry: Registry) -> Misfit | None:
    have, want = hole.type.bare(), wanted.bare()
    alike = any({have.name, want.name} <= sort for sort in (NUMERIC, TEXTS | FORMS.keys()))
    if alike or "any" in (have.name, want.name) or have.name == want.name or registry.is_a(have.name, want.name):
        return None
    return Misfit(
        "E0210", f"`{hole.name}` is {type_words(Type(have.name))}, and {belonging(type_words(Type(want.name)))} here"
    )


def _in_range(value: float, wanted: Type) -> Misfit | None:
    if (wanted.low is None or value >= wanted.low) and (wanted.high is None or value <= wanted.high):
        return None
    low = f"at least {_measured(wanted.low, wanted)}" if wanted.low is not None else ""
    high = f"at most {_measured(wanted.high, wanted)}" if wanted.high is not None else ""
    shown = _measured(value, wanted)
    help_ = f"give {' and '.join(filter(None, [low, high]))}"
    return Misfit("E0211", f"`{shown}` is out of range", help_, value=shown)


def _measured(value: float, wanted: Type) -> str:
    """A number of a type as a spec would write it, with the unit that it has."""
    dimension = DIMENSIONS.get(wanted.name)
    return str(Quantity(value, dimension)) if dimension else number_words(value)


def _int(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    if isinstance(value, Quantity) and value.dimension in COUNTS:
        value = value.value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        unit = isinstance(value, Quantity)
        return value, _united(value, "whole number") if unit else _mismatch(value, wanted, registry)
    return value, _in_range(value, wanted)


def _united(value: Value, what: str) -> Misfit:
    title = f"`{value}` has a unit, and a plain {what} belongs here"
    return Misfit("E0212", title, "leave the unit out", value=str(value))


def _float(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    if isinstance(value, Quantity):
        if value.dimension != "share":
            return value, _united(value, "number")
        value = value.value
    if not is_number(value):
        return value, _mismatch(value, wanted, registry)
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return value, _mismatch(value, wanted, registry)
    return number, _in_range(number, wanted)


def _quantity(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    dimension = DIMENSIONS[wanted.name]
    if isinstance(value, Quantity):
        if value.dimension != dimension:
            title = f"`{value}` is {measure_words(value.dimension)}, and {measure_words(dimension)} belongs here"
            return value, Misfit("E0212", title, f"write for example `{EXAMPLES[wanted.name]}`", value=str(value))
        number = value.value
    elif is_number(value):
        number = float(value)  # type: ignore[arg-type]
        if wanted.name == "share" and not 0 <= number <= 1:
            return value, Misfit(
                "E0211", f"`{number:g}` is not a share", f"write `{number:g} %`, or a number from 0 to 1"
            )
    else:
        return value, _mismatch(value, wanted, registry)
    if number < 0:
        help_ = f"write for example `{EXAMPLES[wanted.name]}`"
        return value, Misfit("E0211", f"`{value}` is below zero", help_, value=str(value))
    return number, _in_range(number, wanted)


def _plain(type_: type) -> Callable[[Value, Type, Registry], tuple[Value, Misfit | None]]:
    def fit(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
        return value, None if isinstance(value, type_) else _mismatch(value, wanted, registry)

    return fit


def _formed(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    """Texts of a form."""
    if not isinstance(value, str):
        misfit = _mismatch(value, wanted, registry, f"write {type_words(wanted)}")
        return value, replace(misfit, secret=wanted.name == "variable")
    return value, malformed(value, wanted)


def _choice(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    if isinstance(value, str) and value in wanted.options:
        return value, None
    shown = f"`{value}`" if isinstance(value, str) else describe(value, registry)
    return value, none_of(shown, wanted)


def none_of(shown: str, wanted: Type) -> Misfit:
    """Why a word does not fit where one of a few is asked for."""
    near = closest(shown.strip("`"), wanted.options)
    help_ = f"did you mean `{near[0]}`?" if near else f"write {type_words(wanted)}"
    return Misfit("E0210", f"{shown} is none of {listed(wanted.options)}", help_)


def _list(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    if not isinstance(value, tuple):
        shown = f"[{value}]" if isinstance(value, int | float | Quantity) else "[…]"
        return value, _mismatch(value, wanted, registry, f"write a list in square brackets: `{shown}`")
    items = []
    for place, item in enumerate(value):
        fitted, misfit = accept(item, wanted.item, registry)
        if misfit is not None:
            return value, replace(misfit, place=(place, *misfit.place))
        items.append(fitted)
    return tuple(items), _count(len(items), wanted)


def _count(found: int, wanted: Type) -> Misfit | None:
    """Why a list or set of so many values is too short, or too long."""
    if _in_range(found, wanted) is None:
        return None
    few = wanted.low is not None and found < wanted.low
    title = f"this holds {found} values, too {'few' if few else 'many'}" if found != 1 else "this holds one value only"
    help_ = f"list at least {number_words(wanted.low)}" if few and wanted.low else ""
    return Misfit("E0211", title if found else "nothing is listed here", help_)


def _set(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    if isinstance(value, Range):
        low, high = value.low, value.high
        if low is None or high is None or not (float(low).is_integer() and float(high).is_integer()):
            return value, Misfit("E0210", "this range needs two whole ends", "write for example `0..4`")
        if high < low:
            return value, Misfit(
                "E0211", f"this range is empty: {high:g} comes before {low:g}", f"write `{high:g}..{low:g}`"
            )
        if high - low >= MOST_LABELS:
            return value, Misfit("E0211", f"this range holds more than {MOST_LABELS:,} labels", "narrow it")
        labels = tuple(range(int(low), int(high) + 1))
        return labels, _count(len(labels), wanted)
    many = value if isinstance(value, tuple) else (value,)
    fitted, misfit = _list(many, Type("list", wanted.arguments), registry)
    if misfit is not None or not isinstance(fitted, tuple):
        return value, misfit
    labels = tuple(sorted(set(fitted)))
    return labels, _count(len(labels), wanted)


def _sight(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    return value, None if isinstance(value, Sight) else _mismatch(value, wanted, registry)


def _kind(value: Value, wanted: Type, registry: Registry) -> tuple[Value, Misfit | None]:
    kind = kind_of(value, registry)
    if isinstance(value, TargetHandle | DefendedModel):
        return value, None if registry.is_a(wanted.name, "model") else _mismatch(value, wanted, registry)
    if kind and (kind == wanted.name or registry.is_a(kind, wanted.name)):
        return value, None
    if wanted.name == "defense" and isinstance(value, tuple) and value:
        return _list(value, Type("list", (wanted,)), registry)
    if isinstance(value, Application) and isinstance(value.declaration, Recipe):
        return value, None  # what its result is, is known once it is elaborated
    if isinstance(value, Reference) and isinstance(value.declaration, Operator):
        help_ = f"call it: `{value.declaration.name}(…)`"
        return value, _mismatch(value, wanted, registry, help_)
    return value, _mismatch(value, wanted, registry)


NUMERIC = {"int", "float", *DIMENSIONS}
FITTERS: dict[str, Callable[[Value, Type, Registry], tuple[Value, Misfit | None]]] = {
    "int": _int,
    "float": _float,
    **dict.fromkeys(DIMENSIONS, _quantity),
    "bool": _plain(bool),
    "string": _plain(str),
    "path": _plain(str),
    **dict.fromkeys(FORMS, _formed),
    "knowledge": _plain(str),
    "table": _plain(TableValue),
    "range": _plain(Range),
    "one_of": _choice,
    "list": _list,
    "set": _set,
    "observable": _sight,
}

__all__ = ["Misfit", "Structured", "accept", "describe", "kind_of", "none_of"]
