"""Ranked pairs of nodes: how the attacks stand to the baselines, ROC curves, and maps of scores beside the true links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from mialang.plan.model import Arm, Reading
from mialang.report.phrases import NOT_EVALUATED, place
from mialang.report.pictures import LEVELS, SIDE, Array, shown
from mialang.report.rendering import render
from mialang.report.sections.exhibit import Exhibit, Stand
from mialang.report.sections.standing import WORDS, standings, unbounded
from mialang.report.svg import tag

SIDE_OF_CURVE, MARGIN = 260, 34
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
AT = (0.06, 0.14, 0.22, 0.3, 0.38, 0.46, 0.54, 0.62)  # where along the axis the number of a curve stands
TOP = 99  # of the percentiles

Json = Any


@dataclass(frozen=True)
class Curve:
    """A ROC curve: what it is of, and its corners."""

    number: int
    name: str
    series: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CurvesView:
    """The curves of some cells, and what the numbers on them mean."""

    cells: tuple[str, ...]
    figure: Markup
    keys: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class MapView:
    """A map as a picture, or why there is none."""

    title: str
    address: str = ""
    alt: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Card:
    """The maps of one attack in one cell."""

    name: str
    cells: tuple[str, ...]
    maps: tuple[MapView, ...]
    missing: str = ""
    reason: str = ""


def introduction(*, reveal: bool) -> Markup:
    """What a reader must know before the first card."""
    return render("graphs_note.html", reveal=reveal, side=SIDE, levels=LEVELS)


def show(exhibit: Exhibit) -> Markup:
    """All of an attack block."""
    panel = _Panel(exhibit)
    found = standings(exhibit.record, exhibit.attack)
    return render(
        "graphs.html",
        standings=found,
        words=WORDS,
        unbounded=unbounded(found),
        curves=list(panel.curves()),
        cards=[panel.card(stand) for stand in exhibit.stands("attack")],
    )


class _Panel:
    """Finds what metrics kept for the arms of one attack block, and draws it."""

    def __init__(self, exhibit: Exhibit) -> None:
        self.exhibit = exhibit
        self._readings: dict[tuple[str, str, str, int], list[Reading]] = {}
        of = {each.name for each in exhibit.record.plan.measurements if each.attack == exhibit.attack}
        for reading in exhibit.record.plan.readings:
            if reading.measurement in of and reading.node is not None:
                key = (reading.instance, reading.arm, reading.baseline, reading.repeat)
                self._readings.setdefault(key, []).append(reading)

    def kept(self, arm: Arm, name: str) -> Json:
        """What a metric of an arm kept under a name; None where there is nothing."""
        for reading in self._readings.get((arm.instance, arm.arm, arm.baseline, arm.repeat), ()):
            if all(reading.cell.get(axis) == at for axis, at in arm.cell.items()):
                assert reading.node is not None  # only such readings were taken
                found = self.exhibit.record.exhibits(reading.node).get(name)
                if found is not None:
                    return found
        return None

    # -- curves ----------------------------------------------------------------------------------------------------

    def curves(self) -> Iterable[CurvesView]:
        """One figure per cell; cells with the same curves share one."""
        by_cell: dict[str, list[Arm]] = {}
        for arm in [
            arm for sort in ("attack", "blind", "baseline") for arm in self.exhibit.arms(sort) if not arm.repeat
        ]:
            by_cell.setdefault(place(self.exhibit.record, arm.cell), []).append(arm)
        together: dict[tuple[Curve, ...], list[str]] = {}
        for cell, arms in by_cell.items():
            together.setdefault(tuple(self._curves(arms)), []).append(cell)
        for curves, cells in together.items():
            if curves:
                keys = tuple((curve.number, curve.name, curve.series) for curve in curves)
                yield CurvesView(tuple(cells), _figure(curves), keys)

    def _curves(self, arms: Sequence[Arm]) -> Iterable[Curve]:
        seen: set[str] = set()
        for arm in arms:
            points = self.kept(arm, "roc")
            name = arm.baseline or (f"{arm.instance}, blind" if arm.arm == "blind" else arm.instance)
            if points is not None and name not in seen:
                seen.add(name)
                yield Curve(len(seen), name, arm.arm, tuple((float(x), float(y)) for x, y in points))

    # -- maps ------------------------------------------------------------------------------------------------------

    def card(self, stand: Stand) -> Card:
        """The maps of the first repeat of an attack."""
        first = stand.arms[0]
        cells = tuple(stand.cells)
        if first.node is None:
            return Card(stand.name, cells, (), NOT_EVALUATED, first.reason)
        kept = self.kept(first, "map")
        if kept is None:
            reason = self.exhibit.record.reasons.get(first.node, "no metric drew a map of its scores")
            return Card(stand.name, cells, (), "not available", reason)
        maps = [self._picture("attack", f"{stand.name}: scores", _scores(kept))]
        blind = self.exhibit.counterpart(first)
        if blind is not None:
            control = self.kept(blind, "map")
            maps.append(
                MapView("blind control", missing=blind.reason or "not available")
                if control is None
                else self._picture("blind control", "blind control: scores", _scores(control))
            )
        maps.append(self._picture("true links", "true links", _linked(kept)))
        return Card(stand.name, cells, tuple(maps))

    def _picture(self, title: str, alt: str, values: Array) -> MapView:
        reveal = self.exhibit.reveal
        said = alt + ("" if reveal else f", reduced to at most {SIDE} by {SIDE} blocks")
        return MapView(title, shown(1 - values[None], reveal=reveal), said)


def _scores(kept: Mapping[str, Json]) -> Array:
    """Percentiles of scores as a symmetric matrix in [0, 1]."""
    values = np.frombuffer(bytes.fromhex(kept["scores"]), dtype=np.uint8).astype(np.float32) / TOP
    return _square(values, int(kept["nodes"]))


def _linked(kept: Mapping[str, Json]) -> Array:
    """Links as a symmetric matrix of 0 and 1."""
    n = int(kept["nodes"])
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(kept["linked"]), dtype=np.uint8))
    return _square(bits[: n * (n - 1) // 2].astype(np.float32), n)


def _square(values: Array, n: int) -> Array:
    made = np.zeros((n, n), dtype=np.float32)
    made[np.triu_indices(n, 1)] = values
    whole: Array = made + made.T
    return whole


def _figure(curves: Sequence[Curve]) -> Markup:
    """Recall upwards, false alarms to the right; a number stands on each curve."""
    side, whole = SIDE_OF_CURVE, SIDE_OF_CURVE + 2 * MARGIN

    def across(x: float) -> float:
        return MARGIN + side * x

    def up(y: float) -> float:
        return MARGIN + side * (1 - y)

    parts = [tag("line", x1=across(0), y1=up(0), x2=across(1), y2=up(1), class_="grid")]
    for tick in TICKS:
        parts.append(tag("line", x1=across(tick), y1=up(0), x2=across(tick), y2=up(1), class_="grid"))
        parts.append(tag("line", x1=across(0), y1=up(tick), x2=across(1), y2=up(tick), class_="grid"))
        parts.append(tag("text", f"{tick:g}", x=across(tick), y=up(0) + 15, class_="tick"))
        parts.append(tag("text", f"{tick:g}", x=across(0) - 6, y=up(tick) + 4, class_="tick left"))
    for curve in curves:
        line = "M" + " L".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve.points)
        parts.append(tag("path", tag("title", f"{curve.number}: {curve.name}"), d=line, class_=f"curve {curve.series}"))
    for place_, curve in enumerate(curves):
        at = AT[place_ % len(AT)]
        height = float(np.interp(at, [x for x, _ in curve.points], [y for _, y in curve.points]))
        ball = (tag("circle", r=7), tag("text", str(curve.number), y=3.5))
        spot = tag("svg", *ball, x=across(at), y=up(height), class_=f"hold curve-mark {curve.series}")
        parts.append(spot)
    parts.append(tag("text", "linked pairs found ↑", x=across(0), y=MARGIN - 12, class_="head"))
    parts.append(tag("text", "other pairs taken for linked →", x=across(1), y=whole - 3, class_="head end"))
    names = ", ".join(curve.name for curve in curves)
    return tag(
        "svg", *parts, class_="chart roc", viewBox=f"0 0 {whole} {whole}", style=f"max-width: {whole}px", role="img",
        aria_label=f"ROC curves of {names}; the areas under them are measured above.",
    )  # fmt: skip
