"""Verdicts: four of them, each for a reason, the worst attack named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.plan.model import BudgetPlan, GatePlan, MeasurementPlan, Plan, Reading, RulePlan
from mialang.report.evidence import Evidence, Missing
from mialang.report.verdict import Verdict, judge


def read(name: str, view: str = "", instance: str = "", at: dict[str, int] | None = None) -> dict[str, Any]:
    return {"read": name, "instance": instance, "view": view, "field": "", "at": at or {}}


def compare(sign: str, left: dict[str, Any], right: float | dict[str, Any]) -> dict[str, Any]:
    return {
        "compare": sign,
        "left": left,
        "right": right if isinstance(right, dict) else {"number": right, "dimension": ""},
    }


def rule(
    verb: str,
    condition: dict[str, Any],
    confidence: float | None = None,
    cells: tuple[dict[str, int], ...] = ({"d": 0},),
) -> RulePlan:
    return RulePlan(
        verb=verb, text="…", condition=condition, confidence=confidence, because="", cells=cells, place="a.mia:1:1"
    )  # type: ignore[arg-type]


class Bench:
    """A plan with made-up measurements."""

    def __init__(self, rules: list[RulePlan], higher: str = "worse") -> None:
        self.higher = higher
        self.rules = rules
        self.readings: list[Reading] = []
        self.values: dict[str, Any] = {}
        self.failures: dict[str, str] = {}

    def put(self, values: list[list[float]], *, arm: str = "attack", instance: str = "A", cell: int = 0, name: str = "leak",
            baseline: str = "", reason: str = "") -> Bench:  # fmt: skip
        for repeat, numbers in enumerate(values):
            node = f"{name}-{instance}-{arm}-{baseline}-{cell}-{repeat}"
            self.readings.append(Reading(measurement=name, cell={"d": cell}, repeat=repeat, instance=instance, arm=arm,
                                         baseline=baseline, node=None if reason else node, reason=reason))  # fmt: skip
            items = [f"item {place}" for place in range(len(numbers))]
            self.values[node] = {"fields": {"": {"values": numbers, "items": items}}}
        return self

    def evidence(self) -> Evidence:
        plans = [
            MeasurementPlan(name=name, metric="m", sort="leakage" if name == "leak" else "utility", higher=self.higher,  # type: ignore[arg-type]
                            unit="share", fields=(), axes=("d",), attack="x" if name == "leak" else "")
            for name in dict.fromkeys(reading.measurement for reading in self.readings)
        ]  # fmt: skip
        plan = Plan(
            spec="", spec_name="a.mia", doc="", seed=0, repeats=5, matrix={"d": ("none()", "some()")}, cells=2, nodes={},
            observables={}, threats=(), attacks=(), arms=(), measurements=tuple(plans), readings=tuple(self.readings),
            gates=(GatePlan(title="g", rules=tuple(self.rules)),), budget=BudgetPlan(), secrets={},
        )  # fmt: skip
        return Evidence(plan, self.values, self.failures)

    def judge(self) -> Verdict:
        return judge(self.evidence())


NONE = [[0.0] * 20] * 5
ALL = [[1.0] * 20] * 5
SOME = [[1.0, 0.0] * 10] * 5


@pytest.mark.parametrize(
    ("values", "threshold", "confidence", "status"),
    [
        (NONE, 0.1, None, "pass"), (ALL, 0.1, None, "fail"), (SOME, 0.5, None, "pass"),
        (NONE, 0.1, 0.95, "pass"), (ALL, 0.1, 0.95, "fail"), (NONE, 0.02, 0.95, "inconclusive"), (SOME, 0.55, 0.95, "inconclusive"),
    ],
)  # fmt: skip
def test_a_bound_decides_where_confidence_is_asked(
    values: list[list[float]], threshold: float, confidence: float | None, status: str
) -> None:
    bench = Bench([rule("require", compare("<=", read("leak"), threshold), confidence)]).put(values)
    assert bench.judge().status == status


def test_the_conservative_bound_depends_on_the_direction() -> None:
    values = [[1.0, 1.0, 1.0, 0.0, 0.0]] * 5
    up = Bench([rule("require", compare(">=", read("leak"), 0.5), 0.95)]).put(values).judge().gates[0].rules[0].cells[0]
    down = (
        Bench([rule("require", compare("<=", read("leak"), 0.7), 0.95)]).put(values).judge().gates[0].rules[0].cells[0]
    )
    assert up.bound is not None
    assert down.bound is not None
    assert up.bound < 0.6 < down.bound


def test_over_several_attacks_the_worst_is_taken_after_bounding_and_named() -> None:
    bench = Bench([rule("require", compare("<=", read("leak"), 0.3))]).put(NONE, instance="A").put(SOME, instance="B")
    cell = bench.judge().gates[0].rules[0].cells[0]
    assert (cell.status, cell.decided_by, cell.observed) == ("fail", "B", 0.5)
    picked = (
        Bench([rule("require", compare("<=", read("leak", instance="A"), 0.3))])
        .put(NONE, instance="A")
        .put(SOME, instance="B")
    )
    assert picked.judge().status == "pass"


def test_a_gain_is_what_the_attack_has_ahead_of_its_blind_control() -> None:
    bench = Bench([rule("require", compare("<=", read("leak", "gain"), 0.1))]).put(SOME).put(SOME, arm="blind")
    assert bench.judge().status == "pass"
    bench = Bench([rule("require", compare("<=", read("leak", "gain"), 0.1))]).put(SOME).put(NONE, arm="blind")
    assert bench.judge().status == "fail"


def test_a_gain_of_a_distance_counts_what_is_nearer() -> None:
    near, far = [[1.0, 2.0]] * 5, [[5.0, 6.0]] * 5
    evidence = Bench([], higher="better").put(near).put(far, arm="blind").evidence()
    figure = evidence.figure("leak", {"d": 0}, "A", "gain", "", 0.95)
    assert not isinstance(figure.value, Missing)
    assert figure.value.point == 4


def test_the_best_baseline_is_the_one_that_leaks_most() -> None:
    bench = Bench([rule("require", compare(">=", read("leak", "over_baseline"), 0.0))]).put(SOME)
    bench.put(NONE, arm="baseline", baseline="weak").put(ALL, arm="baseline", baseline="strong")
    assert bench.judge().status == "fail"
    figure = bench.evidence().figure("leak", {"d": 0}, "A", "baseline", "", 0.95)
    assert figure.baseline == "strong"


def test_a_failed_control_makes_a_gate_inconclusive_whatever_else_holds() -> None:
    rules = [rule("control", compare(">=", read("leak"), 0.4)), rule("require", compare("<=", read("leak"), 0.9))]
    assert Bench(rules).put(SOME).judge().status == "pass"
    verdict = Bench(rules).put(NONE).judge()
    assert verdict.status == "inconclusive"
    assert verdict.gates[0].reason == "its control did not hold, so its rules prove nothing"


def test_a_control_that_was_not_measured_is_not_said_to_have_failed() -> None:
    rules = [rule("control", compare(">=", read("leak"), 0.4)), rule("require", compare("<=", read("leak"), 0.9))]
    verdict = Bench(rules).put(NONE, reason="the time budget was spent").judge()
    assert verdict.status == "inconclusive"
    assert verdict.gates[0].reason == "its control was not measured, so its rules prove nothing"


def test_a_warning_never_fails_a_gate() -> None:
    verdict = Bench([rule("warn", compare("<=", read("leak"), 0.1))]).put(ALL).judge()
    assert verdict.status == "pass"
    assert verdict.gates[0].rules[0].status == "fail"


def test_an_attack_that_does_not_apply_is_no_evidence() -> None:
    verdict = (
        Bench([rule("require", compare("<=", read("leak"), 0.1))]).put(NONE, reason="does not apply behind x").judge()
    )
    assert verdict.status == "inconclusive"
    assert "not evaluated: does not apply behind x" in verdict.gates[0].rules[0].cells[0].reason


def test_no_blind_control_makes_the_gain_inconclusive() -> None:
    verdict = (
        Bench([rule("require", compare("<=", read("leak", "gain"), 0.1))])
        .put(NONE)
        .put(NONE, arm="blind", reason="no decoy")
        .judge()
    )
    assert verdict.status == "inconclusive"


def test_a_failed_node_is_an_error_and_never_a_number() -> None:
    bench = Bench([rule("require", compare("<=", read("leak"), 0.1))]).put(NONE)
    bench.values.clear()
    assert bench.judge().status == "error"


def test_a_metric_without_a_value_is_not_available_and_never_zero() -> None:
    bench = Bench([rule("require", compare("<=", read("leak"), 0.1))]).put(NONE)
    for node in bench.values:
        bench.values[node] = {"fields": {"": {"unavailable": "too few"}}}
    verdict = bench.judge()
    assert verdict.status == "inconclusive"
    assert "not available: too few" in verdict.gates[0].rules[0].cells[0].reason


def test_another_cell_can_be_read() -> None:
    condition = compare(
        ">=",
        read("utility"),
        {"calculate": "-", "left": read("utility", at={"d": 0}), "right": {"number": 0.1, "dimension": ""}},
    )
    cells = ({"d": 0}, {"d": 1})
    bench = Bench([rule("require", condition, cells=cells)])
    bench.put(ALL, name="utility", arm="", instance="").put(SOME, name="utility", arm="", instance="", cell=1)
    assert [cell.status for cell in bench.judge().gates[0].rules[0].cells] == ["pass", "fail"]


@given(st.lists(st.booleans(), min_size=1, max_size=4), st.sampled_from(["and", "or"]))
def test_joined_conditions_follow_logic(holds: list[bool], word: str) -> None:
    parts = [compare("<=", read("leak"), 0.9 if each else 0.1) for each in holds]
    condition = parts[0]
    for part in parts[1:]:
        condition = {"join": word, "parts": [condition, part]}
    expected = (all if word == "and" else any)(holds)
    assert Bench([rule("require", condition)]).put(SOME).judge().status == ("pass" if expected else "fail")
    negated = {"join": "not", "parts": [condition]}
    assert Bench([rule("require", negated)]).put(SOME).judge().status == ("fail" if expected else "pass")
