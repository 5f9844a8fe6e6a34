"""What the run took: time by operator, the slowest nodes, what was known already, and the questions put to the target."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from mialang.meaning.units import duration
from mialang.plan.model import Arm, BudgetPlan
from mialang.report.record import Record
from mialang.report.svg import percent, tag

SLOWEST = 6
GRANTED = re.compile(r"([\d,]+) queries")


@dataclass(frozen=True)
class OperatorView:
    """All nodes of one operator in one role."""

    operator: str
    role: str
    nodes: int
    computed: int
    seconds: str
    bar: Markup


@dataclass(frozen=True)
class SlowView:
    """One slow node."""

    label: str
    node: str
    repeat: str
    seconds: str
    how: str
    memory: str


@dataclass(frozen=True)
class QueryView:
    """The questions of one arm of an attack, over its cells and repeats."""

    arm: str
    asked: str
    estimate: str
    granted: str
    refused: int
    seen: str


@dataclass(frozen=True)
class CostView:
    """What the section says."""

    wall: str
    computed: int
    cached: int
    total: str
    budget: str
    operators: tuple[OperatorView, ...]
    slowest: tuple[SlowView, ...]
    queries: tuple[tuple[str, tuple[QueryView, ...]], ...]


def view(record: Record) -> CostView:
    """What the section says."""
    made = record.outcome.get("nodes", {})
    cached = sum(bool(each["cached"]) for each in made.values())
    total = sum(record.seconds(name) for name in made)
    return CostView(
        wall=duration(float(record.outcome.get("seconds", 0.0))),
        computed=len(made) - cached,
        cached=cached,
        total=duration(total),
        budget=_budget(record.plan.budget),
        operators=tuple(_operators(record)),
        slowest=tuple(_slowest(record)),
        queries=tuple((attack, tuple(arms)) for attack, arms in _queries(record).items()),
    )


def _budget(budget: BudgetPlan) -> str:
    parts = []
    if budget.seconds is not None:
        parts.append(duration(budget.seconds))
    if budget.queries is not None:
        parts.append(f"{budget.queries:,.0f} questions")
    if budget.usd is not None:
        parts.append(f"{budget.usd:,.2f} usd")
    return ", ".join(parts) or "none set"


def bar(share: float) -> Markup:
    """A bar that fills a share of its cell."""
    inside = (
        tag("rect", x=0, y=0, width="100%", height=10, rx=2, class_="trough"),
        tag("rect", x=0, y=0, width=percent(min(max(share, 0.004), 1.0)), height=10, rx=2, class_="bar"),
    )
    return tag("svg", *inside, class_="bars", width="100%", height=10, aria_hidden="true")


def _operators(record: Record) -> Iterable[OperatorView]:
    made = record.outcome.get("nodes", {})
    groups: dict[tuple[str, str], list[str]] = {}
    for name in made:
        node = record.plan.nodes[name]
        groups.setdefault((node.operator, node.role), []).append(name)
    seconds = {key: sum(map(record.seconds, names)) for key, names in groups.items()}
    most = max(seconds.values(), default=0.0)
    for key in sorted(groups, key=lambda each: (-seconds[each], each)):
        names = groups[key]
        computed = sum(not made[name]["cached"] for name in names)
        share = seconds[key] / most if most else 0.0
        yield OperatorView(*key, len(names), computed, duration(seconds[key]), bar(share))


def _slowest(record: Record) -> Iterable[SlowView]:
    made = record.outcome.get("nodes", {})
    for name in sorted(made, key=lambda each: -record.seconds(each))[:SLOWEST]:
        node, evidence = record.plan.nodes[name], record.actions[name].evidence if name in record.actions else {}
        memory = f"{evidence['peak_mib']:,} MiB" if "peak_mib" in evidence else ""
        repeat = "shared" if node.repeat is None else str(node.repeat + 1)
        how = "known already" if made[name]["cached"] else "computed"
        yield SlowView(node.label, name, repeat, duration(record.seconds(name)), how, memory)


# -- questions -----------------------------------------------------------------------------------------------------


def _queries(record: Record) -> dict[str, list[QueryView]]:
    groups: dict[tuple[str, str, str, str], list[Arm]] = {}
    for arm in record.plan.arms:
        if arm.node is not None:
            groups.setdefault((arm.attack, arm.instance, arm.arm, arm.baseline), []).append(arm)
    found: dict[str, list[QueryView]] = {}
    estimates = {(each.attack, each.instance): each.queries for each in record.plan.attacks}
    for (attack, instance, sort, baseline), arms in groups.items():
        asked = [count for arm in arms if (count := record.asked(arm)) is not None]
        granted = _granted(record, attack) if sort != "blind" else None
        estimate = estimates.get((attack, instance)) if sort == "attack" else None
        view_ = QueryView(
            arm={"attack": "attack", "blind": "blind control"}.get(sort, f"baseline {baseline}"),
            asked=_span(asked),
            estimate=f"{estimate:,}" if estimate is not None else "",
            granted="free" if sort == "blind" else _granted_words(granted, asked),
            refused=sum(map(record.refused, arms)),
            seen=_seen(record, arms),
        )
        found.setdefault(f"{attack}: {instance}", []).append(view_)
    return found


def _granted_words(granted: int | None, asked: list[int]) -> str:
    if granted is None:
        return "not counted"
    return f"{granted:,}" + (f"; {max(asked) / granted * 100:.2g} % used" if asked and granted else "")


def _span(asked: list[int]) -> str:
    if not asked:
        return "none"
    low, high = min(asked), max(asked)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _granted(record: Record, attack: str) -> int | None:
    """The budget of the threat that an attack stands against; None where nobody counts.

    The plan keeps it in the words for the access.
    """
    names = {measured.threat for measured in record.plan.measurements if measured.attack == attack}
    for threat in record.plan.threats:
        found = GRANTED.search(threat.access) if threat.name in names else None
        if found:
            return int(found[1].replace(",", ""))
    return None


def _seen(record: Record, arms: list[Arm]) -> str:
    names: dict[str, None] = {}
    for arm in arms:
        for node in arm.nodes:
            if node in record.actions:
                names.update(dict.fromkeys(record.actions[node].evidence.get("by_observable", {})))
    return ", ".join(name.replace("_", " ") for name in names)
