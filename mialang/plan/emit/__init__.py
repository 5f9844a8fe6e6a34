"""Ways to write a plan down: JSON, Mermaid, DOT, and a Python script that runs it."""

from mialang.plan.emit.graphs import as_dot, as_mermaid
from mialang.plan.emit.plan_json import as_json, begins_a_plan, plan_schema, read_plan
from mialang.plan.emit.script import as_script

__all__ = ["as_dot", "as_json", "as_mermaid", "as_script", "begins_a_plan", "plan_schema", "read_plan"]
