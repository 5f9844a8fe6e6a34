"""Evidence: what the measurements of a run say, cell by cell, attack by attack, with blind controls and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mialang.plan.model import MeasurementPlan, Plan, Reading
from mialang.report.bounds import Estimate, Sample, difference, estimate

Json = Any
View = Literal["", "gain", "blind", "baseline", "over_baseline"]
DEFAULT_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Missing:
    """A figure that there is none of, and why.

    Attributes:
        kind: `not evaluated` (the attack does not apply, or was not selected), `not available` (the metric has no value), `failed`.
    """

    kind: Literal["not evaluated", "not available", "failed"]
    reason: str


@dataclass(frozen=True)
class Figure:
    """One figure of one attack (or of a model) in one cell.

    Attributes:
        instance: the attack's name; empty for models.
        baseline: which baseline was the best, for baseline figures.
    """

    instance: str
    value: Estimate | Missing
    baseline: str = ""

    @property
    def missing(self) -> Missing | None:
        """Why there is no figure, if there is none."""
        return self.value if isinstance(self.value, Missing) else None


class Evidence:
    """All measurements of a run.

    Args:
        plan: what was run.
        values: results of metric nodes, by node.
        failures: nodes without a result, with the reason.
        unfinished: nodes that were left undone because the time budget was spent.
        lacking: nodes that could not be run in a run of a selection, with the reason.
    """

    def __init__(
        self,
        plan: Plan,
        values: Mapping[str, Json],
        failures: Mapping[str, str],
        unfinished: frozenset[str] = frozenset(),
        lacking: Mapping[str, str] | None = None,
    ) -> None:
        self._unfinished = unfinished
        self._lacking = lacking or {}
        self.plan = plan
        self._values = values
        self._failures = failures
        self.measurements = {measurement.name: measurement for measurement in plan.measurements}
        self._readings: dict[tuple[Any, ...], list[Reading]] = {}
        self._samples: dict[tuple[Any, ...], Sample | Missing] = {}
        for reading in plan.readings:
            key = (reading.measurement, _cell(reading.cell), reading.instance, reading.arm, reading.baseline)
            self._readings.setdefault(key, []).append(reading)

    # -- cells and attacks -----------------------------------------------------------------------------------------

    def cells(self, measurement: str) -> list[dict[str, int]]:
        """The cells of a measurement, in order."""
        found = {
            _cell(reading.cell): reading.cell for reading in self.plan.readings if reading.measurement == measurement
        }
        return list(found.values())

    def instances(self, measurement: str, cell: Mapping[str, int]) -> list[str]:
        """The attacks that a measurement speaks of in a cell; one empty name for measurements of models."""
        found = {
            reading.instance: None
            for reading in self.plan.readings
            if reading.measurement == measurement
            and _cell(reading.cell) == _cell(cell)
            and reading.arm in ("", "attack")
        }
        return list(found)

    def baselines(self, measurement: str, cell: Mapping[str, int], instance: str) -> list[str]:
        """The baselines beside an attack."""
        found = {
            reading.baseline: None
            for reading in self.plan.readings
            if reading.measurement == measurement
            and _cell(reading.cell) == _cell(cell)
            and reading.instance == instance
            and reading.arm == "baseline"
        }
        return list(found)

    # -- figures ---------------------------------------------------------------------------------------------------

    def sample(  # noqa: PLR0913 - what names a sample
        self, measurement: str, cell: Mapping[str, int], instance: str, arm: str, baseline: str, field: str
    ) -> Sample | Missing:
        """The values of one arm in one cell, by repeat."""
        key = (measurement, _cell(cell), instance, arm, baseline)
        if (*key, field) not in self._samples:
            self._samples[*key, field] = self._sample(measurement, self._readings.get(key, []), arm, field)
        return self._samples[*key, field]

    def _sample(self, measurement: str, readings: list[Reading], arm: str, field: str) -> Sample | Missing:
        if not readings:
            return Missing("not available", f"there is no {arm or 'measurement'} here")
        values: list[tuple[float, ...]] = []
        items: list[tuple[str, ...]] = []
        for reading in sorted(readings, key=lambda each: each.repeat):
            if reading.node is None:
                kind: Any = "not evaluated" if arm == "attack" else "not available"
                return Missing(kind, reading.reason)
            if not reading.selected:
                return Missing("not evaluated", "it was not selected")
            if reading.node in self._lacking:
                return Missing("not evaluated", self._lacking[reading.node])
            if reading.node in self._unfinished:
                return Missing("not available", "the time budget was spent before it was measured")
            if reading.node not in self._values:
                return Missing("failed", self._failures.get(reading.node, "it was not run"))
            part = self._values[reading.node]["fields"].get(field)
            if part is None or "unavailable" in part:
                return Missing("not available", part["unavailable"] if part else f"there is no field `{field}`")
            if not part["values"]:
                return Missing("not available", "nothing was measured")
            values.append(tuple(part["values"]))
            items.append(tuple(part["items"]))
        return Sample(tuple(values), tuple(items), self.measurements[measurement].unit == "share")

    def figure(  # noqa: PLR0913 - what names a figure
        self, measurement: str, cell: Mapping[str, int], instance: str, view: str, field: str, confidence: float
    ) -> Figure:
        """One figure of one attack, or of a model where `instance` is empty."""
        plan = self.measurements[measurement]
        arm = "attack" if plan.attack else ""
        own = self.sample(measurement, cell, instance, arm, "", field)
        if view == "":
            return Figure(instance, own if isinstance(own, Missing) else estimate(own, confidence))
        if view in ("blind", "gain"):
            blind = self.sample(measurement, cell, instance, "blind", "", field)
            return Figure(instance, self._against(own, blind, view, "gain", confidence, plan))
        name, base = self.best_baseline(measurement, cell, instance, field)
        return Figure(instance, self._against(own, base, view, "over_baseline", confidence, plan), name)

    @staticmethod
    def _against(  # noqa: PLR0913
        own: Sample | Missing,
        other: Sample | Missing,
        view: str,
        subtracts: str,
        confidence: float,
        plan: MeasurementPlan,
    ) -> Estimate | Missing:
        if view != subtracts:
            return other if isinstance(other, Missing) else estimate(other, confidence)
        if isinstance(own, Missing):
            return own
        if isinstance(other, Missing):
            return other
        # A gain is what the attack has ahead: where less is worse, the control minus the attack.
        return difference(own, other, confidence) if plan.higher == "worse" else difference(other, own, confidence)

    def best_baseline(
        self, measurement: str, cell: Mapping[str, int], instance: str, field: str
    ) -> tuple[str, Sample | Missing]:
        """The baseline that leaks most, by its mean."""
        plan = self.measurements[measurement]
        found: list[tuple[float, str, Sample]] = []
        reason: Missing = Missing("not available", "no baseline applies")
        for name in self.baselines(measurement, cell, instance):
            sample = self.sample(measurement, cell, instance, "baseline", name, field)
            if isinstance(sample, Missing):
                reason = sample
            else:
                found.append((sample.point if plan.higher == "worse" else -sample.point, name, sample))
        if not found:
            return "", reason
        _, name, sample = max(found, key=lambda each: each[0])
        return name, sample

    def every(
        self, measurement: str, cell: Mapping[str, int], view: str, field: str, confidence: float
    ) -> Iterator[Figure]:
        """The figure of each attack in a cell."""
        for instance in self.instances(measurement, cell):
            yield self.figure(measurement, cell, instance, view, field, confidence)

    def unmeasured(self) -> dict[str, str]:
        """The measurements without a single value, each with the first reason why.

        What was not selected, or speaks only of attacks that do not apply, was not asked for; a step that failed tells
        for itself.
        """
        found = {}
        for name, plan in self.measurements.items():
            samples = [
                self.sample(name, cell, instance, "attack" if plan.attack else "", "", field)
                for cell in self.cells(name)
                for instance in self.instances(name, cell)
                for field in plan.fields or ("",)
            ]
            missing = [each for each in samples if isinstance(each, Missing)]
            reasons = [each.reason for each in missing if each.kind == "not available"]
            if reasons and len(missing) == len(samples):
                found[name] = reasons[0]
        return found


def _cell(cell: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(cell.items()))
