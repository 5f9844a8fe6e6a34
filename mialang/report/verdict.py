"""The verdict: every rule of every gate, cell by cell, and what follows for the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mialang.meaning.arithmetic import ARITHMETIC, COMPARISON
from mialang.plan.model import GatePlan, Json, RulePlan
from mialang.report.bounds import Estimate
from mialang.report.evidence import DEFAULT_CONFIDENCE, Evidence, Figure, Missing

Status = Literal["pass", "fail", "inconclusive", "error"]
SEVERITY: tuple[Status, ...] = ("pass", "inconclusive", "fail", "error")


@dataclass(frozen=True)
class Term:
    """A term of a condition, worked out: a point, and bounds where it has them.

    Attributes:
        decided_by: the attack that was the worst, where several were compared.
    """

    point: float
    lower: float | None
    upper: float | None
    decided_by: str = ""


@dataclass(frozen=True)
class CellVerdict:
    """A rule in one cell.

    Attributes:
        observed: what stood on the left of the comparison.
        threshold: what stood on the right.
        bound: the bound that decided, where a level of confidence was asked.
        reason: why there is no clear answer.
        missing: whether that is for lack of a figure.
    """

    cell: dict[str, int]
    status: Status
    observed: float | None = None
    threshold: float | None = None
    bound: float | None = None
    decided_by: str = ""
    reason: str = ""
    missing: bool = False


@dataclass(frozen=True)
class RuleVerdict:
    """A rule over its cells."""

    rule: RulePlan
    status: Status
    cells: tuple[CellVerdict, ...]


@dataclass(frozen=True)
class GateVerdict:
    """A gate: the worst of what its rules require; a failed control makes it inconclusive."""

    title: str
    status: Status
    rules: tuple[RuleVerdict, ...]
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """The whole audit.

    Attributes:
        unmeasured: measurements that were asked for and have no value at all, with the reason.
    """

    status: Status
    gates: tuple[GateVerdict, ...]
    failures: Mapping[str, Any] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def judge(evidence: Evidence, failures: Mapping[str, Any] | None = None, *, complete: bool = True) -> Verdict:
    """Judge every gate of a plan on its evidence.

    Args:
        evidence: what was measured.
        failures: nodes that failed.
        complete: whether all that was selected was run. Where it was not, or where leakage or utility was to be
            measured and has no value, the audit is at best inconclusive.
    """
    gates = tuple(_gate(gate, evidence) for gate in evidence.plan.gates)
    statuses: list[Status] = [gate.status for gate in gates]
    if failures:
        statuses.append("error")
    unmeasured = evidence.unmeasured()
    # What an attack costs is no evidence of what it finds: where nobody counts questions, nothing is left open.
    if not complete or any(evidence.measurements[name].sort != "cost" for name in unmeasured):
        statuses.append("inconclusive")
    status: Status = max(statuses, key=SEVERITY.index, default="pass")
    return Verdict(status, gates, failures or {}, unmeasured)


def _gate(gate: GatePlan, evidence: Evidence) -> GateVerdict:
    rules = tuple(_rule(rule, evidence) for rule in gate.rules)
    controls = [rule for rule in rules if rule.rule.verb == "control"]
    required = [rule.status for rule in rules if rule.rule.verb == "require"]
    if any(rule.status == "error" for rule in rules):
        return GateVerdict(gate.title, "error", rules, "something that it rests on failed")
    if failed := [rule for rule in controls if rule.status != "pass"]:
        return GateVerdict(
            gate.title, "inconclusive", rules, f"its control {_trouble(failed)}, so its rules prove nothing"
        )
    return GateVerdict(gate.title, max(required, key=SEVERITY.index, default="pass"), rules)


def _trouble(controls: list[RuleVerdict]) -> str:
    """What is wrong with controls that did not pass, the worst of it."""
    if any(rule.status == "fail" for rule in controls):
        return "did not hold"
    cells = [cell for rule in controls for cell in rule.cells]
    return "was not measured" if not cells or any(cell.missing for cell in cells) else "was not decided"


def _rule(rule: RulePlan, evidence: Evidence) -> RuleVerdict:
    cells = tuple(_cell(rule, cell, evidence) for cell in rule.cells)
    # A rule that covers no cell says nothing, and nothing is no pass.
    status: Status = max((cell.status for cell in cells), key=SEVERITY.index, default="inconclusive")
    return RuleVerdict(rule, status, cells)


class _NoAnswerError(Exception):
    """A figure that a condition needs is missing."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing.reason)
        self.missing = missing


def _cell(rule: RulePlan, cell: Mapping[str, int], evidence: Evidence) -> CellVerdict:
    try:
        return _condition(rule.condition, rule, cell, evidence)
    except _NoAnswerError as problem:
        status: Status = "error" if problem.missing.kind == "failed" else "inconclusive"
        reason = f"{problem.missing.kind}: {problem.missing.reason}"
        return CellVerdict(dict(cell), status, reason=reason, missing=True)


def _condition(condition: Json, rule: RulePlan, cell: Mapping[str, int], evidence: Evidence) -> CellVerdict:
    if "join" in condition:
        return _junction(condition, rule, cell, evidence)
    sign = condition["compare"]
    confidence = rule.confidence or DEFAULT_CONFIDENCE
    wants_low = sign in ("<=", "<")
    left = _term(condition["left"], cell, evidence, confidence, worst_high=wants_low)
    right = _term(condition["right"], cell, evidence, confidence, worst_high=not wants_low)
    holds = COMPARISON[sign]
    if rule.confidence is None or sign in ("==", "!="):
        status: Status = "pass" if holds(left.point, right.point) else "fail"
        return CellVerdict(dict(cell), status, left.point, right.point, decided_by=left.decided_by)
    near, far = (left.upper, right.lower) if wants_low else (left.lower, right.upper)
    if near is None or far is None:
        raise _NoAnswerError(Missing("not available", "a single run has no bounds"))
    if holds(near, far):
        return CellVerdict(dict(cell), "pass", left.point, right.point, near, left.decided_by)
    if not holds(left.point, right.point):
        return CellVerdict(dict(cell), "fail", left.point, right.point, near, left.decided_by)
    reason = f"the estimate holds and its {rule.confidence:.0%} bound does not: more repeats or outputs could decide"
    return CellVerdict(dict(cell), "inconclusive", left.point, right.point, near, left.decided_by, reason)


def _junction(condition: Json, rule: RulePlan, cell: Mapping[str, int], evidence: Evidence) -> CellVerdict:
    parts = [_condition(part, rule, cell, evidence) for part in condition["parts"]]
    if condition["join"] == "not":
        flipped: dict[Status, Status] = {"pass": "fail", "fail": "pass"}
        return CellVerdict(dict(cell), flipped.get(parts[0].status, parts[0].status), reason=parts[0].reason)
    choose = max if condition["join"] == "and" else min
    decisive = choose(parts, key=lambda part: SEVERITY.index(part.status))
    return CellVerdict(
        dict(cell),
        decisive.status,
        decisive.observed,
        decisive.threshold,
        decisive.bound,
        decisive.decided_by,
        decisive.reason,
    )


def _term(term: Json, cell: Mapping[str, int], evidence: Evidence, confidence: float, *, worst_high: bool) -> Term:
    if "number" in term:
        return Term(term["number"], term["number"], term["number"])
    if "calculate" in term:
        return _calculated(term, cell, evidence, confidence, worst_high=worst_high)
    place = {**cell, **term["at"]}
    plan = evidence.measurements[term["read"]]
    wanted = {axis: place[axis] for axis in plan.axes}
    figures = [
        figure
        for figure in evidence.every(term["read"], wanted, term["view"], term["field"], confidence)
        if not term["instance"] or figure.instance == term["instance"]
    ]
    return _worst(figures, worst_high=worst_high)


def _worst(figures: list[Figure], *, worst_high: bool) -> Term:
    """The worst case over several attacks: each is bounded first, then the worst is taken."""
    if not figures:
        raise _NoAnswerError(Missing("not available", "nothing was measured here"))
    missing = next((figure.missing for figure in figures if figure.missing is not None), None)
    if missing is not None:
        raise _NoAnswerError(missing)
    estimates = [(figure.value, figure.instance) for figure in figures if isinstance(figure.value, Estimate)]

    def badness(pair: tuple[Estimate, str]) -> float:
        value = pair[0]
        bound = value.upper if worst_high else value.lower
        chosen = value.point if bound is None else bound
        return chosen if worst_high else -chosen

    worst, name = max(estimates, key=badness)
    return Term(worst.point, worst.lower, worst.upper, name if len(estimates) > 1 else "")


def _calculated(
    term: Json, cell: Mapping[str, int], evidence: Evidence, confidence: float, *, worst_high: bool
) -> Term:
    """Arithmetic on terms; bounds follow interval arithmetic."""
    sign = term["calculate"]
    left = _term(term["left"], cell, evidence, confidence, worst_high=worst_high)
    right = _term(term["right"], cell, evidence, confidence, worst_high=worst_high if sign == "+" else not worst_high)
    apply = ARITHMETIC[sign]
    try:
        point = apply(left.point, right.point)
        ends = [
            apply(one, other) for one in (left.lower, left.upper) for other in (right.lower, right.upper)
            if one is not None and other is not None
        ]  # fmt: skip
    except ZeroDivisionError:
        raise _NoAnswerError(Missing("not available", "the threshold divides by zero")) from None
    bounded = len(ends) == 4
    return Term(
        point, min(ends) if bounded else None, max(ends) if bounded else None, left.decided_by or right.decided_by
    )
