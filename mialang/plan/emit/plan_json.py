"""A plan as JSON, and back."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from mialang.diagnostics import Diagnostic, error
from mialang.plan.model import PLAN_FORMAT, Plan


def as_json(plan: Plan) -> str:
    """The plan as indented JSON."""
    return json.dumps(plan.model_dump(mode="json"), indent=1) + "\n"


def plan_schema() -> dict[str, Any]:
    """The JSON schema of a plan."""
    return Plan.model_json_schema()


def read_plan(text: str, name: str) -> tuple[Plan | None, list[Diagnostic]]:
    """Read a saved plan; what is wrong with it is a finding."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as problem:
        title = f"`{name}` is not a plan: line {problem.lineno} is not JSON"
        return None, [error("E0710", title).help("write one with `mialang plan SPEC -o plan.json`")]
    if isinstance(raw, dict) and raw.get("format") not in (None, PLAN_FORMAT):
        title = f"`{name}` is a plan of format {raw['format']}, and this mialang reads format {PLAN_FORMAT}"
        return None, [error("E0710", title).help("make the plan again from its spec")]
    try:
        return Plan.model_validate(raw), []
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        title = f"`{name}` is not a plan: {where}: {first['msg']}"
        return None, [error("E0710", title).help("write one with `mialang plan SPEC -o plan.json`")]
