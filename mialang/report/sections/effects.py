"""Whether defenses did anything: how many of the answers that attacks got were changed."""

from __future__ import annotations

from mialang.report.phrases import place
from mialang.report.record import Record


def idle_defenses(record: Record) -> list[str]:
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
