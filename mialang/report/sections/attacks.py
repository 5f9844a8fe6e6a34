"""The attacks: where each comes from, how it departs from its paper, what it needs, what it minimises, what it hands over."""

from __future__ import annotations

from dataclasses import dataclass

from mialang.plan.model import AttackPlan, Node
from mialang.report.phrases import call_words
from mialang.report.record import Record


@dataclass(frozen=True)
class AttackView:
    """One recipe of one attack block."""

    plan: AttackPlan
    name: str
    selection: str


@dataclass(frozen=True)
class AttacksView:
    """What the section says."""

    attacks: tuple[AttackView, ...]
    baselines: tuple[str, ...]


def view(record: Record) -> AttacksView:
    """What the section says."""
    attacks = tuple(
        AttackView(
            each,
            each.instance if each.instance == each.recipe else f"{each.instance} ({each.recipe})",
            _selection(each, record),
        )
        for each in record.plan.attacks
    )
    baselines = dict.fromkeys(arm.baseline for arm in record.plan.arms if arm.arm == "baseline")
    return AttacksView(attacks, tuple(baselines))


def _selection(attack: AttackPlan, record: Record) -> str:
    """How what is handed over was chosen: the last step, where it takes what it gives."""
    node = next(
        (_last(arm.node, record) for arm in record.plan.arms if _is_of(arm.attack, arm.instance, attack) and arm.node),
        None,
    )
    if node is None:
        return "it was not run"
    if not any(record.plan.nodes[each].kind == node.kind for each in node.inputs):
        return f"no selection: `{node.operator}` hands over everything that it found"
    settings = ", ".join(
        f"{name} = {call_words(value)}" for name, value in node.params.items() if isinstance(value, int | float | str)
    )
    by = record.notes(node.id).get("formula")
    return f"`{node.operator}({settings})`" + (f", ranked by `{by}`" if by else "")


def _is_of(attack: str, instance: str, plan: AttackPlan) -> bool:
    return attack == plan.attack and instance.partition(".")[0] == plan.instance


def _last(node: str | None, record: Record) -> Node | None:
    return None if node is None else record.plan.nodes[node]
