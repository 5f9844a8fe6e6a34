"""What a plan will cost: time, questions, nodes; from what was measured before, else from what operators declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mialang.diagnostics import Diagnostic, error, warning
from mialang.meaning.units import duration
from mialang.plan.model import Node, Plan


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        nodes: how many nodes there are, or were selected.
        cached: how many of them are in the store already.
        seconds: running time of the others.
        unknown: how many of the others have no estimate.
        queries: upper bound on questions to targets that count them, all attacks together.
        usd: upper bound on what those of them cost that are not known yet, in US dollars, beside the price of tokens.
    """

    nodes: int
    cached: int
    seconds: float
    unknown: int
    queries: int
    usd: float = 0.0


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
    usd = sum((node.queries or 0) * _price(plan, node) for node in steps if node.id not in cached)
    return Cost(len(steps), sum(node.id in cached for node in steps), seconds, unknown, queries, usd)


def _price(plan: Plan, node: Node) -> float:
    """US dollars that a question of a node costs: of what it asks through its handles, where somebody else runs that."""
    handles = [plan.nodes[name] for name in node.inputs if plan.nodes[name].role == "handle"]
    targets = [plan.nodes[each.params["model"]["$node"]] for each in handles]
    terms = [
        value for each in targets for value in each.params.values() if isinstance(value, dict) and "$term" in value
    ]
    return max((float(each["args"].get("price", 0.0)) for each in terms), default=0.0)


def within_budget(plan: Plan, cost: Cost, *, running: bool = False) -> list[Diagnostic]:
    """Findings where an estimate lies above the budget.

    Args:
        plan: the plan.
        cost: its estimate.
        running: whether it is about to run: then too little time is a warning, for a run stops in time and can go on.
    """
    found = []
    limit = plan.budget.seconds
    if limit is not None and cost.seconds > limit:
        title = f"the audit would take about {duration(cost.seconds)}, and its budget is {duration(limit)}"
        lower = "raise `budget { time = … }`, or lower steps, repeats or cells"
        found.append(
            warning("E0701", title).note("it stops when that is spent; running again goes on from there").help(lower)
            if running
            else error("E0701", title).help(lower)
        )
    if plan.budget.usd is not None and cost.usd > plan.budget.usd + 1e-9:
        found.append(
            error(
                "E0701",
                f"the attacks' questions may cost up to {cost.usd:,.2f} usd, and the budget is {plan.budget.usd:,.2f} usd",
            ).help("raise `budget { cost = … }`, or lower steps, starts, records, repeats or the threat's `queries`")
        )
    if plan.budget.queries is not None and cost.queries > plan.budget.queries:
        found.append(
            error(
                "E0701",
                f"the attacks may ask up to {cost.queries:,} questions, and the budget allows {plan.budget.queries:,.0f}",
            ).help("raise `budget { queries = … }`, or lower steps, starts or limits")
        )
    return found
