"""The evidence: each measurement as an interval plot and as a table, and what each defense leaks against what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from mialang.plan.model import MeasurementPlan
from mialang.report.charts import SERIES, Group, Limit, Line, Series, interval_plot, key_mark
from mialang.report.evidence import DEFAULT_CONFIDENCE, Missing
from mialang.report.phrases import EVERYWHERE, Told, outputs_words, place, told, unit_words
from mialang.report.record import Record
from mialang.report.sections.tradeoff import TradeoffView, tradeoffs
from mialang.report.summary import number
from mialang.report.verdict import RuleVerdict

Json = Any
Place = tuple[str, str, tuple[tuple[str, int], ...]]  # measurement, attack, cell
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}


@dataclass(frozen=True)
class RowView:
    """One attack (or one model) in one cell."""

    name: str
    value: Told
    blind: Told | None
    gain: Told | None
    baseline: Told | None
    over: Told | None
    outputs: str
    units: str


@dataclass(frozen=True)
class CellView:
    """One cell of the matrix."""

    title: str
    rows: tuple[RowView, ...]


@dataclass(frozen=True)
class MeasuredView:
    """One field of one measurement; there is no plot where there is no figure."""

    name: str
    anchor: str
    metric: str
    about: str
    unit: str
    direction: str
    leaks: bool
    plot: Markup | None
    keys: tuple[tuple[Markup, str], ...]
    limits: tuple[tuple[str, str], ...]
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class EvidenceView:
    """What the section says."""

    measured: tuple[MeasuredView, ...]
    tradeoffs: tuple[TradeoffView, ...]
    confidence: str


def view(record: Record) -> EvidenceView:
    """What the section says."""
    empty = _without_output(record)
    measured = tuple(
        _measured(plan, field, record, empty) for plan in record.plan.measurements for field in plan.fields or ("",)
    )
    return EvidenceView(measured, tuple(tradeoffs(record)), f"{DEFAULT_CONFIDENCE * 100:g} %")


def _measured(plan: MeasurementPlan, field: str, record: Record, empty: Mapping[Place, str]) -> MeasuredView:
    name = plan.name + (f".{field}" if field else "")
    cells, groups = [], []
    limits = tuple(_limits(plan, field, record))
    for cell in record.evidence.cells(plan.name):
        title = "" if not cell else place(record, cell)
        here = tuple(limit for at, limit in limits if _agree(at, cell))
        group, rows = _cell(plan, field, cell, record, empty)
        cells.append(CellView(title or EVERYWHERE, tuple(rows)))
        groups.append(Group(title, tuple(group), here))
    shown = dict.fromkeys(line.series for group in groups for line in group.lines)
    known = any(not isinstance(line.value, Missing) for group in groups for line in group.lines)
    series: list[str] = [*shown, *(["gain"] if any(line.gain for group in groups for line in group.lines) else [])]
    return MeasuredView(
        name=name,
        anchor="measured-" + name.replace(".", "-"),
        metric=plan.metric,
        about=f"attack {plan.attack}" if plan.attack else "",
        unit=unit_words(plan.unit),
        direction=_direction(plan),
        leaks=plan.sort == "leakage",
        plot=interval_plot(groups, plan.unit, f"{name}, {unit_words(plan.unit)}") if known else None,
        keys=tuple((key_mark(each), SERIES[each]) for each in series),
        limits=tuple(_limit_words(limits, plan.unit)),
        cells=tuple(cells),
    )


def _direction(plan: MeasurementPlan) -> str:
    if plan.sort == "leakage":
        return "higher is more leakage" if plan.higher == "worse" else "lower is more leakage"
    return "higher is worse" if plan.higher == "worse" else "higher is better"


def _cell(
    plan: MeasurementPlan, field: str, cell: Mapping[str, int], record: Record, empty: Mapping[Place, str]
) -> tuple[list[Line], list[RowView]]:
    lines: list[Line] = []
    rows: list[RowView] = []
    for instance in record.evidence.instances(plan.name, cell):
        figure = partial(record.evidence.figure, plan.name, cell, instance, field=field, confidence=DEFAULT_CONFIDENCE)
        own = figure("").value
        series: Series = "attack" if plan.attack else "model"
        outputs, units = outputs_words(own), empty.get(_at(plan.name, instance, cell), "")
        if plan.sort != "leakage":
            lines.append(Line(instance, series, own))
            rows.append(RowView(instance, told(own, plan.unit), None, None, None, None, outputs, units))
            continue
        blind, gain, baseline, over = figure("blind"), figure("gain"), figure("baseline"), figure("over_baseline")
        lines.append(Line(instance, series, own, gain.value))
        if not isinstance(own, Missing):
            lines.append(Line("blind", "blind", blind.value))
            lines.append(Line("baseline", "baseline", baseline.value))
        best = told(baseline.value, plan.unit, baseline.baseline)
        blind_, gain_, over_ = (told(each.value, plan.unit) for each in (blind, gain, over))
        rows.append(RowView(instance, told(own, plan.unit), blind_, gain_, best, over_, outputs, units))
    return lines, rows


def _at(measurement: str, instance: str, cell: Mapping[str, int]) -> Place:
    return measurement, instance, tuple(sorted(cell.items()))


def _without_output(record: Record) -> dict[Place, str]:
    """How many of the units that attacks attempted came back empty, over all repeats; metrics count them as failures."""
    counts: dict[Place, list[int]] = {}
    for reading in record.plan.readings:
        notes = record.notes(reading.node) if reading.arm == "attack" and reading.node is not None else {}
        if "units_attempted" in notes:
            count = counts.setdefault(_at(reading.measurement, reading.instance, reading.cell), [0, 0])
            count[0] += len(notes.get("units_without_output", ()))
            count[1] += int(notes["units_attempted"])
    return {
        place_: f"{empty} of {attempted} units without output" for place_, (empty, attempted) in counts.items() if empty
    }


# -- limits that gates set -----------------------------------------------------------------------------------------


def _limits(plan: MeasurementPlan, field: str, record: Record) -> Iterable[tuple[Mapping[str, int], Limit]]:
    """Thresholds that gates set on the level or the gain of a measurement, with the cell of each."""
    for gate in record.verdict.gates:
        for rule in gate.rules:
            yield from _rule_limits(rule, plan, field)


def _rule_limits(rule: RuleVerdict, plan: MeasurementPlan, field: str) -> Iterable[tuple[Mapping[str, int], Limit]]:
    condition = rule.rule.condition
    if "compare" not in condition:
        return
    sign, left, right = condition["compare"], condition["left"], condition["right"]
    flipped = "read" not in left
    if flipped:
        sign, left, right = FLIPPED[sign], right, left
    if (
        left.get("read") != plan.name
        or left["field"] != field
        or left["view"] not in ("", "gain")
        or sign in ("==", "!=")
    ):
        return
    for cell in rule.cells:
        value = cell.observed if flipped else cell.threshold
        value = right.get("number") if value is None else value
        if value is None:
            continue
        here = {axis: {**cell.cell, **left["at"]}[axis] for axis in plan.axes if axis in {**cell.cell, **left["at"]}}
        text = f"{rule.rule.verb} {rule.rule.text}"
        yield (
            here,
            Limit(
                value,
                rule.rule.verb,
                sign in ("<=", "<"),
                left["view"] == "gain",
                left["instance"],
                text,
                "number" in right,
            ),
        )


def _limit_words(limits: Sequence[tuple[Mapping[str, int], Limit]], unit: str) -> Iterable[tuple[str, str]]:
    """Each rule once; what its threshold comes to is said where it is worked out."""
    values: dict[tuple[str, str], list[float]] = {}
    plainly = {(limit.verb, limit.text): limit.plain for _, limit in limits}
    for _, limit in limits:
        values.setdefault((limit.verb, limit.text), []).append(limit.value)
    for (verb, text), found in values.items():
        low, high = number(min(found), unit), number(max(found), unit)
        yield verb, text if plainly[verb, text] else f"{text}: {low if low == high else f'{low} to {high}'}"


def _agree(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(other.get(axis, number_) == number_ for axis, number_ in one.items())
