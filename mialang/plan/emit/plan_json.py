"""A plan as JSON, and back."""

from __future__ import annotations

import codecs
import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mialang.diagnostics import Diagnostic, error
from mialang.plan.model import PLAN_FORMAT, Plan
from mialang.plan.whole import gaps


def as_json(plan: Plan) -> str:
    """The plan as indented JSON."""
    return json.dumps(plan.model_dump(mode="json"), indent=1) + "\n"


def plan_schema() -> dict[str, Any]:
    """The JSON schema of a plan."""
    return Plan.model_json_schema()


def begins_a_plan(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a plan, whatever the file is called: no spec begins with a brace."""
    begun = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return begun.startswith(b"{") and b'"format"' in begun


def read_plan(text: str, name: str) -> tuple[Plan | None, list[Diagnostic]]:
    """Read a saved plan; what is wrong with it is a finding."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as problem:
        return _no_plan(name, f"line {problem.lineno} is not JSON")
    except RecursionError:
        return _no_plan(name, "it is nested too deeply")
    if not isinstance(raw, dict):
        return _no_plan(name, f"it holds {HELD.get(type(raw), 'a single value')} where a table belongs")
    if raw.get("format") not in (None, PLAN_FORMAT):
        title = f"`{name}` is a plan of format {raw['format']}, and this mialang reads format {PLAN_FORMAT}"
        return None, [error("E0710", title).help("make the plan again from its spec")]
    try:
        plan = Plan.model_validate(raw)
    except ValidationError as problem:
        return _no_plan(name, _words(problem.errors()[0]))
    if (gap := next(gaps(plan), None)) is not None:
        return _no_plan(name, gap)
    return plan, []


HELD = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value", type(None): "nothing"}


def _no_plan(name: str, reason: str) -> tuple[None, list[Diagnostic]]:
    finding = error("E0710", f"`{name}` is not a plan: {reason}")
    return None, [finding.help("write one with `mialang plan SPEC -o plan.json`")]


def _words(problem: ErrorDetails) -> str:
    """What a validator found, in the reader's words."""
    *above, last = (str(part) for part in problem["loc"])
    place = f" in `{'.'.join(above)}`" if above else ""
    match problem["type"]:
        case "missing":
            return f"it lacks `{last}`{place}"
        case "extra_forbidden":
            return f"`{last}`{place} is unknown"
    return f"`{last}`{place} holds something else than a plan holds there"
