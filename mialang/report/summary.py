"""A run in figures: the rows of the summary table, and `verdict.json`. Nothing in them is private."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mialang
from mialang.plan.model import MeasurementPlan
from mialang.report.bounds import Estimate
from mialang.report.evidence import DEFAULT_CONFIDENCE, Figure, Missing
from mialang.report.record import Record
from mialang.report.verdict import CellVerdict

Json = Any


@dataclass(frozen=True)
class Row:
    """One measurement of one attack (or model) in one cell.

    Attributes:
        cell: axis → value in words.
        value: the attack itself, or the model.
        blind: the same plan without access to the target; absent for models.
        baseline: the best decoder of what was granted, with its name.
        gain: what the attack has ahead of the blind control.
    """

    measurement: MeasurementPlan
    field: str
    instance: str
    cell: Mapping[str, str]
    value: Figure
    blind: Figure | None
    baseline: Figure | None
    gain: Figure | None


def cell_words(record: Record, cell: Mapping[str, int]) -> dict[str, str]:
    """A cell in words."""
    return {axis: record.plan.matrix[axis][place] for axis, place in cell.items()}


def rows(record: Record, confidence: float = DEFAULT_CONFIDENCE) -> Iterator[Row]:
    """Every row, measurement by measurement, cell by cell."""
    evidence = record.evidence
    for plan in record.plan.measurements:
        for field in plan.fields or ("",):
            cells = evidence.cells(plan.name)
            everyone = dict.fromkeys(name for cell in cells for name in evidence.instances(plan.name, cell))
            for instance in everyone:
                for cell in cells:
                    if instance not in evidence.instances(plan.name, cell):
                        continue

                    def figure(view: str, at: Mapping[str, int] = cell, who: str = instance, what: str = field,
                               name: str = plan.name) -> Figure:  # fmt: skip
                        return evidence.figure(name, at, who, view, what, confidence)

                    leaks = plan.sort == "leakage"
                    yield Row(
                        plan, field, instance, cell_words(record, cell), figure(""),
                        figure("blind") if leaks else None,
                        figure("baseline") if leaks else None,
                        figure("gain") if leaks else None,
                    )  # fmt: skip


def number(value: float, unit: str) -> str:
    """A figure with its unit: shares in percent."""
    if unit == "share":
        return f"{value * 100:.1f} %"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def figure_words(figure: Figure | None, unit: str) -> str:
    """A figure with its bounds, or why there is none."""
    if figure is None:
        return ""
    if isinstance(figure.value, Missing):
        return figure.value.kind
    return estimate_words(figure.value, unit)


def estimate_words(value: Estimate, unit: str) -> str:
    """A point with its bounds."""
    point = number(value.point, unit)
    if value.lower is None or value.upper is None:
        return point
    if unit == "share":
        return f"{point} [{value.lower * 100:.1f}, {value.upper * 100:.1f}]"
    return f"{point} [{number(value.lower, unit)}, {number(value.upper, unit)}]"


def as_json(record: Record) -> dict[str, Json]:
    """The verdict with all figures, for machines."""
    verdict, plan = record.verdict, record.plan
    return {
        "mialang": mialang.__version__,
        "run": record.run.id,
        "spec": plan.spec_name,
        "seed": plan.seed,
        "repeats": plan.repeats,
        "status": verdict.status,
        "gates": [
            {
                "title": gate.title,
                "status": gate.status,
                "reason": gate.reason,
                "rules": [
                    {
                        "verb": rule.rule.verb,
                        "rule": rule.rule.text,
                        "status": rule.status,
                        "confidence": rule.rule.confidence,
                        "because": rule.rule.because,
                        "place": rule.rule.place,
                        "cells": [_cell_json(record, cell) for cell in rule.cells],
                    }
                    for rule in gate.rules
                ],
            }
            for gate in verdict.gates
        ],
        "measurements": [_row_json(row) for row in rows(record)],
        "failures": [
            {
                "node": name,
                "place": plan.nodes[name].place,
                "title": failure["title"],
                "note": failure["note"],
                "help": failure["help"],
            }
            for name, failure in record.outcome.get("failures", {}).items()
        ],
        "unmeasured": dict(verdict.unmeasured),
        "seconds": record.outcome.get("seconds"),
        "controls": plan.controls,
        "isolation": record.isolation,
    }


def _cell_json(record: Record, cell: CellVerdict) -> dict[str, Json]:
    return {
        "cell": cell_words(record, cell.cell),
        "status": cell.status,
        "observed": cell.observed,
        "threshold": cell.threshold,
        "bound": cell.bound,
        "decided_by": cell.decided_by,
        "reason": cell.reason,
    }


def _row_json(row: Row) -> dict[str, Json]:
    return {
        "measurement": row.measurement.name,
        "metric": row.measurement.metric,
        "field": row.field,
        "unit": row.measurement.unit,
        "attack": row.instance,
        "cell": dict(row.cell),
        "value": _figure_json(row.value),
        "blind": _figure_json(row.blind),
        "baseline": _figure_json(row.baseline),
        "gain": _figure_json(row.gain),
    }


def _figure_json(figure: Figure | None) -> Json:
    if figure is None:
        return None
    if isinstance(figure.value, Missing):
        return {"status": figure.value.kind, "reason": figure.value.reason}
    value = figure.value
    made: dict[str, Json] = {
        "point": value.point, "lower": value.lower, "upper": value.upper, "confidence": DEFAULT_CONFIDENCE,
        "repeats": value.repeats, "values": value.trials,
    }  # fmt: skip
    if figure.baseline:
        made["name"] = figure.baseline
    return made
