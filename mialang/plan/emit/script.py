"""A plan as a straight-line Python script."""

from __future__ import annotations

from mialang.plan.model import Plan


def as_script(plan: Plan) -> str:
    """The script."""
    raise NotImplementedError(plan)
