"""Words and signs that every section of the page shares: statuses, places in the matrix, figures with their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mialang.plan.model import Plan
from mialang.report.bounds import Estimate
from mialang.report.evidence import Missing
from mialang.report.record import Record
from mialang.report.summary import cell_words, number

Json = Any
EVERYWHERE = "the whole audit"
NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class Mark:
    """A status as a word and a sign: colour is never the only way to tell it.

    Attributes:
        look: the style class.
    """

    word: str
    sign: str
    look: str


MARKS = {
    "pass": Mark("pass", "✓", "pass"),
    "fail": Mark("fail", "✗", "fail"),
    "inconclusive": Mark("inconclusive", "?", "inconclusive"),
    "error": Mark("error", "!", "error"),
    NOT_EVALUATED: Mark(NOT_EVALUATED, "–", "unevaluated"),
    "none": Mark("no gate", "–", "unevaluated"),
}


def place(record: Record, cell: Mapping[str, int]) -> str:
    """A cell in words."""
    return named(cell_words(record, cell))


def named(cell: Mapping[str, str]) -> str:
    """Values by axis, in words; the axes are named where there are several, or where a value names nothing, as a number."""
    if len(cell) > 1 or not all(value[:1].isalpha() for value in cell.values()):
        return ", ".join(f"{axis} = {value}" for axis, value in cell.items())
    return next(iter(cell.values()), EVERYWHERE)


def matrix_words(plan: Plan) -> str:
    """The size of the matrix: how many values each axis has, and how many cells are left where some are skipped."""
    sizes = {axis: len(values) for axis, values in plan.matrix.items()}
    words = " × ".join(f"{size} {axis}" for axis, size in sizes.items()) or "1 cell"
    skips = plan.cells < math.prod(sizes.values())
    return f"{words}{f' ({plan.cells} cells, the others skipped)' if skips else ''} × {plan.repeats} repeats"


def unit_of(term: Json, plan: Plan) -> str:
    """The unit of a condition or of one of its terms: that of the first measurement in it, else of its numbers."""
    units = {measurement.name: measurement.unit for measurement in plan.measurements}
    pending, spoken = [term], ""
    while pending:
        part = pending.pop(0)
        if "read" in part:
            return units[part["read"]]
        spoken = spoken or part.get("dimension", "")
        pending.extend(part[side] for side in ("left", "right") if side in part)
        pending.extend(part.get("parts", ()))
    return spoken


@dataclass(frozen=True)
class Told:
    """A figure for a table: the point, its interval below it, and a note; or the word for what is missing, and why.

    Attributes:
        missing: whether there is no figure.
    """

    point: str
    interval: str = ""
    note: str = ""
    missing: bool = False


def told(value: Estimate | Missing, unit: str, note: str = "") -> Told:
    """A figure in words."""
    if isinstance(value, Missing):
        return Told(value.kind, note=value.reason, missing=True)
    return Told(number(value.point, unit), interval_words(value, unit), note)


def interval_words(value: Estimate, unit: str) -> str:
    """The bounds of a figure; says so where it has none."""
    if value.lower is None or value.upper is None:
        return "no bounds: a single repeat"
    if unit == "share":
        return f"[{value.lower * 100:.1f}, {value.upper * 100:.1f}]"
    return f"[{number(value.lower, unit)}, {number(value.upper, unit)}]"


def outputs_words(value: Estimate | Missing) -> str:
    """How many repeats a figure rests on, and how many values each gave."""
    if isinstance(value, Missing):
        return ""
    return f"{value.repeats} × {value.trials / value.repeats:.4g}"


def unit_words(unit: str) -> str:
    """A unit as it stands on an axis."""
    return "%" if unit == "share" else unit


def call_words(value: Json) -> str:
    """A parameter of a node as a reader would write it; artefacts are left to the drawing."""
    match value:
        case {"$term": name, "args": arguments}:
            inside = ", ".join(f"{key} = {call_words(each)}" for key, each in arguments.items() if each is not None)
            return f"{name}({inside})"
        case {"$algebra": sign, "operands": [left, right]}:
            return f"{call_words(left)} {sign} {call_words(right)}"
        case {"$node": name} | {"$model": name} | {"$handle": name}:
            return str(name).rpartition("-")[0]
        case dict():
            return "{" + ", ".join(f"{key} = {call_words(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(call_words, value)) + "]"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
    return str(value)
