"""The verdict: every gate and rule in words, which cells decide it and by which attack, and what broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mialang.plan.model import Plan
from mialang.report.phrases import EVERYWHERE, MARKS, NOT_EVALUATED, Mark, place, unit_of
from mialang.report.record import Record
from mialang.report.rendering import counted
from mialang.report.sections.effects import idle
from mialang.report.summary import number
from mialang.report.verdict import CellVerdict, GateVerdict, RuleVerdict

Json = Any
VERBS = {"require": "required", "control": "positive control", "warn": "warning only"}
ENOUGH_REPEATS = 5
ACTS = {
    "pass": "hold", "fail": "fail", "inconclusive": "cannot be decided", "error": "could not be judged",
    NOT_EVALUATED: "are not evaluated",
}  # fmt: skip
ACTS_ONE = {**ACTS, "pass": "holds", "fail": "fails", NOT_EVALUATED: "is not evaluated"}
GATE_ACTS = {"pass": "hold", "fail": "fail", "inconclusive": "are inconclusive", "error": "could not be judged"}
GATE_ACTS_ONE = {**GATE_ACTS, "pass": "holds", "fail": "fails", "inconclusive": "is inconclusive"}


@dataclass(frozen=True)
class CellLine:
    """A rule in one cell."""

    where: str
    mark: Mark
    observed: str
    by: str
    bound: str
    threshold: str
    reason: str

    @property
    def words(self) -> str:
        """The cell in one line: `none(): 59.2 % by LOMMA, bound 66.0 % (upper), limit ≤ 10.0 %`."""
        if not self.observed:
            return f"{self.where}: {self.reason or self.mark.word}"
        parts = [self.observed + (f" by {self.by}" if self.by else "")]
        parts += [f"bound {self.bound}"] if self.bound else []
        parts += [f"limit {self.threshold}"] if self.threshold else []
        return f"{self.where}: {', '.join(parts)}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True)
class RuleView:
    """A rule: its text, what it says of its cells, and the cells."""

    role: str
    text: str
    confidence: str
    because: str
    line: str
    mark: Mark
    sentence: str
    cells: tuple[CellLine, ...]


@dataclass(frozen=True)
class GateView:
    """A gate."""

    title: str
    mark: Mark
    reason: str
    rules: tuple[RuleView, ...]


@dataclass(frozen=True)
class FailureView:
    """Nodes that failed for one and the same reason, and how many others could not run because of them.

    Attributes:
        places: what asked for them, as `name:line:column`.
        lines: those of these lines that lie in the spec itself.
    """

    label: str
    nodes: tuple[str, ...]
    title: str
    note: str
    help: str
    skipped: int
    places: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class JudgementView:
    """The whole verdict."""

    mark: Mark
    headline: str
    reasons: tuple[str, ...]
    gates: tuple[GateView, ...]
    failures: tuple[FailureView, ...]
    cautions: tuple[str, ...]


def view(record: Record) -> JudgementView:
    """What the section says."""
    verdict = record.verdict
    gates = tuple(_gate(gate, record) for gate in verdict.gates)
    judged = bool(gates) or verdict.status != "pass"
    return JudgementView(
        mark=MARKS[verdict.status if judged else "none"],
        headline=_headline(record),
        reasons=tuple(_reasons(record)),
        gates=gates,
        failures=failures_of(record),
        cautions=tuple(_cautions(record)),
    )


def _headline(record: Record) -> str:
    verdict = record.verdict
    failed = len(record.outcome.get("failures", {}))
    broken = f" {counted(failed, 'step')} of the run failed." if failed else ""
    if not record.outcome:
        return "The run did not end, so nothing can be said yet. Running the spec again resumes it."
    if not verdict.gates:
        return "The spec sets no gate: there are figures below, and nothing was judged." + broken
    counts: Counter[str] = Counter(gate.status for gate in verdict.gates)
    if len(verdict.gates) == 1:
        gate = verdict.gates[0]
        return f"The gate “{gate.title}” {GATE_ACTS_ONE[gate.status]}.{broken}"
    parts = [
        f"{counts[status]} {(GATE_ACTS if counts[status] > 1 else GATE_ACTS_ONE)[status]}"
        for status in MARKS
        if counts[status]
    ]
    return f"Of {counted(len(verdict.gates), 'gate')}, {', '.join(parts)}.{broken}"


def _reasons(record: Record) -> Iterable[str]:
    """For each gate that does not hold, the rule that decides it."""
    for gate in record.verdict.gates:
        decisive = next(
            (rule for rule in gate.rules if rule.status == gate.status and rule.rule.verb == "require"), None
        )
        controls = next((rule for rule in gate.rules if rule.status != "pass" and rule.rule.verb == "control"), None)
        rule = controls if gate.status == "inconclusive" and controls is not None else decisive
        if gate.status == "pass" or rule is None:
            continue
        view_ = rule_view(rule, record)
        title = f"“{gate.title}”: " if len(record.verdict.gates) > 1 else ""
        level = f" {view_.confidence}" if view_.confidence else ""
        yield f"{title}`{view_.text}`{level}, {view_.role}. {view_.sentence}"


def _cautions(record: Record) -> list[str]:
    plan, found = record.plan, [f"`{name}` was not measured: {why}." for name, why in record.verdict.unmeasured.items()]
    undone = len(plan.steps_among(record.outcome.get("unfinished", ())))
    if undone:
        found.append(
            f"The time budget was spent: {counted(undone, 'step')} were left undone. Running the spec again goes on from here."
        )
    if not plan.controls:
        found.append(
            "Controls are off in this spec: there is no blind run and no baseline, so no figure says what the model adds."
        )
    if plan.repeats < ENOUGH_REPEATS and plan.measurements:
        found.append(
            f"{counted(plan.repeats, 'repeat')}: bounds are wide below {ENOUGH_REPEATS}, and a single repeat has none."
        )
    if any(threat.fixed_model for threat in plan.threats):
        found.append(
            "The model is fixed by its weights: repeats vary the attack only, and figures speak for this model."
        )
    return found + idle(record)


def _gate(gate: GateVerdict, record: Record) -> GateView:
    return GateView(gate.title, MARKS[gate.status], gate.reason, tuple(rule_view(rule, record) for rule in gate.rules))


def rule_view(rule: RuleVerdict, record: Record) -> RuleView:
    """A rule in words, with its cells."""
    unit = unit_of(rule.rule.condition, record.plan)
    cells = tuple(_cell(cell, rule, unit, record) for cell in rule.cells)
    alone = cells[0].mark.word if len({cell.mark.word for cell in cells}) == 1 and cells else ""
    mark = MARKS[NOT_EVALUATED] if alone == NOT_EVALUATED else MARKS[rule.status]
    level = rule.rule.confidence
    return RuleView(
        role=VERBS[rule.rule.verb],
        text=rule.rule.text,
        confidence="" if level is None else f"at {level * 100:g} % confidence",
        because=rule.rule.because,
        line=line_of(rule.rule.place, record.plan),
        mark=mark,
        sentence=_sentence(rule, cells, unit, record),
        cells=cells,
    )


def line_of(place_: str, plan: Plan) -> str:
    """The line of a `name:line:column` place, where it lies in the spec itself."""
    name, _, rest = place_.partition(plan.spec_name + ":")
    line = rest.partition(":")[0]
    return line if not name and line.isdigit() else ""


def word_of(cell: CellVerdict) -> str:
    """The status of a rule in a cell; an attack that does not apply there makes it `not evaluated`."""
    return NOT_EVALUATED if cell.reason.startswith(NOT_EVALUATED) else cell.status


def _cell(cell: CellVerdict, rule: RuleVerdict, unit: str, record: Record) -> CellLine:
    def words(value: float | None) -> str:
        return "" if value is None else number(value, unit)

    return CellLine(
        where=place(record, cell.cell),
        mark=MARKS[word_of(cell)],
        observed=words(cell.observed),
        by=cell.decided_by or named_attack(rule.rule.condition),
        bound=f"{words(cell.bound)} {_side(rule.rule.condition)}".strip() if cell.bound is not None else "",
        threshold=f"{_sign(rule.rule.condition)} {words(cell.threshold)}".strip() if cell.threshold is not None else "",
        reason=cell.reason.removeprefix(f"{NOT_EVALUATED}: "),
    )


def named_attack(condition: Json) -> str:
    """The attack that a comparison names itself, as in `leak[GMI]`."""
    left = condition.get("left", {})
    return str(left.get("instance", "")) if isinstance(left, Mapping) else ""


SIGNS = {"<=": "≤", ">=": "≥", "<": "<", ">": ">", "==": "=", "!=": "≠"}


def _sign(condition: Json) -> str:
    return SIGNS.get(condition.get("compare", ""), "")


def _side(condition: Json) -> str:
    return {"<=": "upper", "<": "upper", ">=": "lower", ">": "lower"}.get(condition.get("compare", ""), "")


def _sentence(rule: RuleVerdict, cells: tuple[CellLine, ...], unit: str, record: Record) -> str:
    if not cells:
        return "It covers no cell, so nothing was judged."
    counts = Counter(cell.mark.word for cell in cells)
    if len(counts) == 1 and len(cells) > 1:
        (word,) = counts
        many = "Both" if len(cells) == 2 else f"All {len(cells)}"
        said = f"{many} cells {ACTS[word]}."
    elif len(cells) == 1:
        act = ACTS_ONE[cells[0].mark.word]
        where = "" if cells[0].where == EVERYWHERE else f" in its one cell, `{cells[0].where}`"
        told = _told_apart(rule, unit, record)
        return f"{act[0].upper()}{act[1:]}{where}{':' if told else '.'}{told}"
    else:
        parts = [
            f"{counts[word]} {(ACTS if counts[word] > 1 else ACTS_ONE)[word]}"
            for word in reversed(MARKS)
            if counts[word]
        ]
        said = f"Of {len(cells)} cells, {', '.join(parts)}."
    return said + _told_apart(rule, unit, record)


def _told_apart(rule: RuleVerdict, unit: str, record: Record) -> str:
    """The cell that is furthest off its limit; where none is off, the one that comes closest."""
    known = [(cell, cell.observed, cell.threshold) for cell in rule.cells]
    pairs = [(cell, own, limit) for cell, own, limit in known if own is not None and limit is not None]
    off = [each for each in pairs if each[0].status == "fail"]
    if not pairs:
        return ""
    cell, own, limit = (max if off else min)(off or pairs, key=lambda each: abs(each[1] - each[2]))
    by = cell.decided_by or named_attack(rule.rule.condition)
    word = "" if len(rule.cells) == 1 else "Furthest off: " if off else "Closest: "
    where = f", at `{place(record, cell.cell)}`" if len(rule.cells) > 1 else ""
    bound = f" (bound {number(cell.bound, unit)})" if cell.bound is not None else ""
    return (
        f" {word}{number(own, unit)}{f' by {by}' if by else ''}{bound} where {number(limit, unit)} is the limit{where}."
    )


def failures_of(record: Record) -> tuple[FailureView, ...]:
    """The steps that failed, those that failed alike together."""
    skipped_by = record.outcome.get("skipped", {})
    because = Counter(skipped_by[name] for name in record.plan.steps_among(skipped_by))
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for name, each in record.outcome.get("failures", {}).items():
        alike.setdefault((record.plan.nodes[name].label, each["title"], each["note"], each["help"]), []).append(name)
    found = []
    for (label, title, note, help_), names in alike.items():
        places = tuple(dict.fromkeys(place for name in names if (place := record.plan.nodes[name].place)))
        lines = tuple(dict.fromkeys(line for place in places if (line := line_of(place, record.plan))))
        skipped = sum(because[name] for name in names)
        found.append(FailureView(label, tuple(names), title, note, help_, skipped, places, lines))
    return tuple(found)
