"""What a plan will cost: time, questions, nodes; from what was measured before, else from what operators declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.units import duration
from mialang.plan.model import Plan


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        nodes: how many nodes there are, or were selected.
        cached: how many of them are in the store already.
        seconds: running time of the others.
        unknown: how many of the others have no estimate.
        queries: upper bound on questions to targets that count them, all attacks together.
    """

    nodes: int
    cached: int
    seconds: float
    unknown: int
    queries: int


def estimate(plan: Plan, cached: frozenset[str] = frozenset(), measured: Mapping[str, float] | None = None) -> Cost:
    """Estimate the cost of a plan.

    Args:
        plan: the plan.
        cached: nodes whose results are in the store.
        measured: seconds that operators took before, by operator.
    """
    measured = measured or {}
    seconds, unknown = 0.0, 0
    steps = [node for node in plan.nodes.values() if not node.passes_on]
    if plan.selected is not None:
        chosen = frozenset(plan.selected)
        steps = [node for node in steps if node.id in chosen]
    for node in steps:
        if node.id in cached:
            continue
        known = measured.get(node.operator, node.seconds)
        if known is None:
            unknown += 1
        else:
            seconds += known
    queries = sum(node.queries or 0 for node in steps)
    return Cost(len(steps), sum(node.id in cached for node in steps), seconds, unknown, queries)


def within_budget(plan: Plan, cost: Cost) -> list[Diagnostic]:
    """Findings where an estimate lies above the budget."""
    found = []
    limit = plan.budget.seconds
    if limit is not None and cost.seconds > limit:
        found.append(
            error(
                "E0701", f"the audit would take about {duration(cost.seconds)}, and its budget is {duration(limit)}"
            ).help("raise `budget { time = … }`, or lower steps, repeats or cells")
        )
    if plan.budget.queries is not None and cost.queries > plan.budget.queries:
        found.append(
            error(
                "E0701",
                f"the attacks may ask up to {cost.queries:,} questions, and the budget allows {plan.budget.queries:,.0f}",
            ).help("raise `budget { queries = … }`, or lower steps, starts or limits")
        )
    return found
