"""An exhibit: what the outputs of one attack block are shown from, whatever their modality."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mialang.plan.model import Arm
from mialang.report.phrases import place
from mialang.report.record import Record

Place = tuple[str, int, tuple[tuple[str, int], ...]]  # attack, repeat, cell


@dataclass(frozen=True)
class Exhibit:
    """The outputs of one attack block.

    Attributes:
        record: the run.
        attack: the attack block.
        unit: what an output claims to be: `class` or `record`.
        secret: the node that holds the private records; None where the spec names none.
        kind: kind of what it holds.
        reveal: whether what is private may be shown. Where it may not, it must be absent from the markup.
    """

    record: Record
    attack: str
    unit: str
    secret: str | None
    kind: str
    reveal: bool

    def arms(self, arm: str) -> list[Arm]:
        """The arms of one sort, in order."""
        return [each for each in self.record.plan.arms if each.attack == self.attack and each.arm == arm]

    def stands(self, arm: str) -> list[Stand]:
        """What is shown side by side: each attack (or baseline) in each cell, cells with the same nodes together."""
        found: dict[tuple[str, ...], Stand] = {}
        grouped: dict[tuple[str, str], list[Arm]] = {}
        for each in self.arms(arm):
            name = each.baseline if arm == "baseline" else each.instance
            grouped.setdefault((name, place(self.record, each.cell)), []).append(each)
        for (name, where), arms in grouped.items():
            same = (name, *(each.node or each.reason for each in arms))
            if same in found:
                found[same].add(where)
            else:
                found[same] = Stand(name, [where], arms)
        return list(found.values())

    def counterpart(self, arm: Arm) -> Arm | None:
        """The blind control of an attack's arm."""
        return self._blind.get(_at(arm))

    @cached_property
    def _blind(self) -> dict[Place, Arm]:
        return {_at(each): each for each in self.arms("blind")}


def _at(arm: Arm) -> Place:
    return arm.instance, arm.repeat, tuple(sorted(arm.cell.items()))


@dataclass(frozen=True)
class Stand:
    """One attack in one cell, or in several cells in which it is the very same computation.

    Attributes:
        arms: its repeats.
    """

    name: str
    cells: list[str]
    arms: list[Arm]

    def add(self, cell: str) -> None:
        """Let it stand for one more cell."""
        if cell not in self.cells:
            self.cells.append(cell)


def exhibits(record: Record, *, reveal: bool) -> Iterable[Exhibit]:
    """One exhibit per attack block."""
    threats = {measured.attack: measured.threat for measured in record.plan.measurements if measured.attack}
    extents = {threat.name: threat.extent for threat in record.plan.threats}
    for attack in dict.fromkeys(arm.attack for arm in record.plan.arms):
        threat = threats.get(attack) or next(iter(extents), "")
        secret = record.plan.secrets.get(threat)
        kind = record.plan.nodes[secret].kind if secret in record.plan.nodes else ""
        unit = "record" if extents.get(threat, "").endswith("per record") else "class"
        yield Exhibit(record, attack, unit, secret, kind, reveal)
