"""What each defense leaks against what the model is still good for: one figure a leakage measurement, one table for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from mialang.plan.model import MeasurementPlan
from mialang.report.bounds import Estimate
from mialang.report.charts import Spot, frontier
from mialang.report.evidence import DEFAULT_CONFIDENCE, Figure, Missing
from mialang.report.phrases import Told, place, told
from mialang.report.record import Record

UNDEFENDED = "none()"


@dataclass(frozen=True)
class TradeoffRow:
    """One cell: what the model is good for, what that is against the undefended one, and the worst gain of each measurement."""

    number: int
    where: str
    utility: Told
    lost: str
    gains: tuple[Told, ...]


@dataclass(frozen=True)
class TradeoffView:
    """One utility against every leakage measurement that varies along the same axes."""

    utility: str
    leaks: tuple[str, ...]
    figures: tuple[Markup, ...]
    rows: tuple[TradeoffRow, ...]


def tradeoffs(record: Record) -> Iterable[TradeoffView]:
    """One view per utility measurement and set of axes, where there are at least two cells to compare."""
    plans = record.plan.measurements
    utilities = [(plan, field) for plan in plans if plan.sort == "utility" for field in plan.fields or ("",)]
    for utility, field in utilities:
        leaks = [
            (plan, each)
            for plan in plans
            if plan.sort == "leakage" and plan.axes == utility.axes
            for each in plan.fields or ("",)
        ]
        cells = record.evidence.cells(utility.name)
        if leaks and len(cells) > 1:
            yield _tradeoff(utility, field, leaks, cells, record)


def _tradeoff(
    utility: MeasurementPlan,
    field: str,
    leaks: list[tuple[MeasurementPlan, str]],
    cells: list[dict[str, int]],
    record: Record,
) -> TradeoffView:
    good = [record.evidence.figure(utility.name, cell, "", "", field, DEFAULT_CONFIDENCE).value for cell in cells]
    worst = [[_worst(plan, each, cell, record) for cell in cells] for plan, each in leaks]
    name = _named(utility, field)
    figures = []
    for (plan, each), found in zip(leaks, worst, strict=True):
        spots = [
            Spot(number, leak.value, value)
            for number, (leak, value) in enumerate(zip(found, good, strict=True), start=1)
            if isinstance(leak.value, Estimate) and isinstance(value, Estimate)
        ]
        if spots:
            figures.append(frontier(spots, plan.unit, utility.unit, (f"{_named(plan, each)} gain", name)))
    rows = tuple(
        TradeoffRow(
            number=place_ + 1,
            where=place(record, cell),
            utility=told(good[place_], utility.unit),
            lost=_lost(cell, good, cells, record, utility),
            gains=tuple(
                told(found[place_].value, plan.unit, f"by {found[place_].instance}" if found[place_].instance else "")
                for (plan, _), found in zip(leaks, worst, strict=True)
            ),
        )
        for place_, cell in enumerate(cells)
    )
    return TradeoffView(name, tuple(_named(plan, each) for plan, each in leaks), tuple(figures), rows)


def _named(plan: MeasurementPlan, field: str) -> str:
    return plan.name + (f".{field}" if field else "")


def _worst(plan: MeasurementPlan, field: str, cell: Mapping[str, int], record: Record) -> Figure:
    """The attack with the largest gain by its upper bound; where one has no figure, neither has the worst case."""
    figures = list(record.evidence.every(plan.name, cell, "gain", field, DEFAULT_CONFIDENCE))
    missing = next((figure for figure in figures if figure.missing is not None), None)
    if missing is not None:
        return missing
    if not figures:
        return Figure("", Missing("not available", "nothing was measured here"))

    def size(figure: Figure) -> float:
        assert isinstance(figure.value, Estimate)
        return figure.value.point if figure.value.upper is None else figure.value.upper

    return max(figures, key=size)


def _lost(
    cell: Mapping[str, int],
    good: list[Estimate | Missing],
    cells: list[dict[str, int]],
    record: Record,
    plan: MeasurementPlan,
) -> str:
    """How far a cell is from the one that differs in having no defense."""
    reference = {
        axis: record.plan.matrix[axis].index(UNDEFENDED) if UNDEFENDED in record.plan.matrix[axis] else at
        for axis, at in cell.items()
    }
    if reference == cell or reference not in cells:
        return ""
    own, other = good[cells.index(dict(cell))], good[cells.index(reference)]
    if isinstance(own, Missing) or isinstance(other, Missing):
        return ""
    change = own.point - other.point
    if plan.unit == "share":
        return f"{change * 100:+.1f} points".replace("-", "−")
    return f"{change:+.3g}".replace("-", "−")
