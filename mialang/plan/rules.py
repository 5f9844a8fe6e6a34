"""Gates as JSON: conditions with their cells listed, ready to be judged without the spec."""

from __future__ import annotations

from mialang.meaning.audit import Arithmetic, Audit, Comparison, Condition, Constant, GateRule, Junction, Reading, Term
from mialang.plan.model import GatePlan, Json, RulePlan


def lower_gates(audit: Audit) -> tuple[GatePlan, ...]:
    """All gates of an audit."""
    return tuple(
        GatePlan(title=gate.title, rules=tuple(_rule(rule, audit) for rule in gate.rules)) for gate in audit.gates
    )


def _rule(rule: GateRule, audit: Audit) -> RulePlan:
    cells = [
        dict(cell)
        for cell in audit.matrix.cells(rule.axes)
        if rule.where is None or audit.matrix.truth(rule.where, cell)
    ]
    return RulePlan(
        verb=rule.verb,  # type: ignore[arg-type]
        text=" ".join(rule.text.split()),
        condition=_condition(rule.condition, audit),
        confidence=rule.confidence,
        because=rule.because,
        cells=tuple(cells),
        place=rule.span.place(),
    )


def _condition(condition: Condition, audit: Audit) -> Json:
    match condition:
        case Comparison():
            return {
                "compare": condition.sign,
                "left": _term(condition.left, audit),
                "right": _term(condition.right, audit),
            }
        case Junction():
            return {"join": condition.word, "parts": [_condition(part, audit) for part in condition.parts]}


def _term(term: Term, audit: Audit) -> Json:
    match term:
        case Constant():
            return {"number": term.value, "dimension": term.dimension}
        case Arithmetic():
            return {"calculate": term.sign, "left": _term(term.left, audit), "right": _term(term.right, audit)}
        case Reading():
            at = {axis: audit.matrix.axes[axis].index(value) for axis, value in term.at.items()}
            return {
                "read": term.measurement,
                "instance": term.instance,
                "view": term.view,
                "field": term.field,
                "at": at,
            }
