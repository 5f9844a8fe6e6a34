"""Which attack beats which baseline: said in words, by the bounds of their difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mialang.plan.model import MeasurementPlan
from mialang.report.bounds import Estimate, difference
from mialang.report.evidence import DEFAULT_CONFIDENCE, Missing
from mialang.report.phrases import interval_words, place
from mialang.report.record import Record
from mialang.report.summary import number

WORDS = BEATS, LEVEL, LOSES = "beats", "is level with", "loses to"


@dataclass(frozen=True)
class Rival:
    """A baseline beside an attack: its figure, and what the attack has ahead of it."""

    name: str
    value: str
    ahead: str


@dataclass(frozen=True)
class Standing:
    """An attack in some cells: its figure, and the baselines that it beats, is level with and loses to.

    Attributes:
        cells: the cells in words; several where all of it is the same.
        measured: what was measured.
        rivals: baselines by the word for how the attack stands to them.
        missing: why the attack has no figure.
    """

    attack: str
    cells: tuple[str, ...]
    measured: str
    value: str
    rivals: Mapping[str, tuple[Rival, ...]]
    missing: str = ""


def standings(record: Record, attack: str) -> list[Standing]:
    """How the recipes of an attack block stand to the baselines, by the first leakage measurement of them."""
    plan = next((each for each in record.plan.measurements if each.attack == attack and each.sort == "leakage"), None)
    if plan is None:
        return []
    found: dict[object, Standing] = {}
    for cell in record.evidence.cells(plan.name):
        for instance in record.evidence.instances(plan.name, cell):
            made = _standing(record, plan, cell, instance)
            alike = (made.attack, made.value, made.missing, tuple(made.rivals.items()))
            before = found.get(alike)
            cells = (*before.cells, *made.cells) if before is not None else made.cells
            found[alike] = Standing(made.attack, cells, made.measured, made.value, made.rivals, made.missing)
    return list(found.values())


def _standing(record: Record, plan: MeasurementPlan, cell: Mapping[str, int], instance: str) -> Standing:
    field = plan.fields[0] if plan.fields else ""
    name = plan.name + (f".{field}" if field else "")
    where = (place(record, cell),)
    evidence = record.evidence
    own = evidence.sample(plan.name, cell, instance, "attack", "", field)
    if isinstance(own, Missing):
        return Standing(instance, where, name, own.kind, {}, own.reason)
    rivals: dict[str, list[Rival]] = {}
    for baseline in evidence.baselines(plan.name, cell, instance):
        other = evidence.sample(plan.name, cell, instance, "baseline", baseline, field)
        if isinstance(other, Missing):
            continue
        first, second = (own, other) if plan.higher == "worse" else (other, own)
        ahead = difference(first, second, DEFAULT_CONFIDENCE)
        told = f"{number(ahead.point, plan.unit)} {interval_words(ahead, plan.unit)}"
        rivals.setdefault(_word(ahead), []).append(Rival(baseline, number(other.point, plan.unit), told))
    ordered = {word: tuple(rivals[word]) for word in WORDS if word in rivals}
    return Standing(instance, where, name, number(own.point, plan.unit), ordered)


def _word(ahead: Estimate) -> str:
    """An attack beats a baseline where the lower bound of what it has ahead is above 0; a single repeat decides nothing."""
    if ahead.lower is not None and ahead.lower > 0:
        return BEATS
    if ahead.upper is not None and ahead.upper < 0:
        return LOSES
    return LEVEL


def unbounded(found: Iterable[Standing]) -> bool:
    """Whether nothing is decided because nothing has bounds."""
    return any(rival.ahead.endswith("repeat") for each in found for rivals in each.rivals.values() for rival in rivals)
