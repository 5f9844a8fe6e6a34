"""Whether there was anything to see: defenses that changed no answer, targets that learned nothing."""

from __future__ import annotations

from mialang.report.phrases import place
from mialang.report.record import Record

BARELY = 0.02  # of accuracy above that of the commonest class


def idle(record: Record) -> list[str]:
    """A sentence for each defense that changed nothing and each target that learned nothing."""
    return _idle_defenses(record) + _idle_targets(record)


def _idle_defenses(record: Record) -> list[str]:
    """A sentence for each attack and cell in which a defense on answers changed none of them."""
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    for arm in record.plan.arms:
        if arm.arm != "attack":
            continue
        key = arm.instance, place(record, arm.cell)
        for name in arm.nodes:
            evidence = record.actions[name].evidence if name in record.actions else {}
            defended, changed = counted.get(key, (0, 0))
            counted[key] = defended + int(evidence.get("defended", 0)), changed + int(evidence.get("changed", 0))
    return [
        f"The defense in `{cell}` changed none of the {defended:,} answers that {instance} got: figures of this cell say "
        "nothing about it."
        for (instance, cell), (defended, changed) in counted.items()
        if defended and not changed
    ]


def _idle_targets(record: Record) -> list[str]:
    """A sentence for each sort of target that answers no better than who always names the commonest class."""
    found: dict[str, tuple[float, float]] = {}
    for name, node in record.plan.nodes.items():
        notes = record.notes(name) if node.role == "target" else {}
        reached, usual = notes.get("train_accuracy"), notes.get("commonest_class")
        if reached is not None and usual is not None and reached <= usual + BARELY:
            found.setdefault(node.label, (reached, usual))
    return [
        f"`{label}` is right on {reached:.1%} of what it was trained on, where always naming the commonest class gets {usual:.1%}: "
        "it learned nothing that could come back, so that figures of attacks on it say nothing."
        for label, (reached, usual) in found.items()
    ]
