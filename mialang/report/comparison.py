"""Two runs side by side: what differs in spec, plan, results, verdict and figures, and which differences the intervals allow."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from mialang.plan.model import Node, Plan, structure_of
from mialang.report.bounds import Estimate
from mialang.report.evidence import Figure, Missing
from mialang.report.phrases import call_words, place
from mialang.report.record import Record
from mialang.report.summary import Row, rows

Json = Any
VIEWS = ("value", "blind", "baseline", "gain")


@dataclass(frozen=True)
class ParameterChange:
    """A parameter of a node in words, before and after; None where it is absent."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class NodeChange:
    """Nodes that differ in one and the same way.

    Attributes:
        parameters: what differs in the nodes themselves, not in what they rest on.
        count: how many nodes there are of them.
    """

    what: Literal["added", "removed", "changed"]
    label: str
    role: str
    parameters: tuple[ParameterChange, ...]
    count: int


@dataclass(frozen=True)
class RuleChange:
    """A rule of a gate in one cell, with its statuses; None where it is absent."""

    gate: str
    rule: str
    cell: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FigureChange:
    """A figure of one attack (or model) in one cell.

    Attributes:
        view: the value itself, or one of its controls.
        within: whether the intervals of both overlap; None where one of them has no interval.
    """

    measurement: str
    field: str
    instance: str
    cell: Mapping[str, str]
    view: str
    unit: str
    before: Estimate | Missing | None
    after: Estimate | Missing | None
    within: bool | None


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        names: the runs.
        ended: whether each ran to its end; of a run that did not there are no results, verdict and figures.
        spec: lines of the specs that differ, as a unified diff.
        settings: seed, repeats, version, selection.
        nodes: what differs in the plans by itself.
        follows: how many nodes differ only in what they rest on.
        same: how many nodes are the same.
        results: labels of same nodes that made other bytes, with how many.
        status: the verdicts.
        rules: rules whose status differs in some cell.
        figures: figures that differ.
    """

    names: tuple[str, str]
    ended: tuple[bool, bool]
    spec: tuple[str, ...]
    settings: tuple[ParameterChange, ...]
    nodes: tuple[NodeChange, ...]
    follows: int
    same: int
    results: Mapping[str, int]
    status: tuple[str | None, str | None]
    rules: tuple[RuleChange, ...]
    figures: tuple[FigureChange, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        parts = (self.spec, self.settings, self.nodes, self.follows, self.results, self.rules, self.figures)
        return not any(parts) and self.status[0] == self.status[1] and all(self.ended)


def compare(one: Record, other: Record) -> Comparison:
    """Compare two runs."""
    pairs, alone = _paired(one.plan, other.plan)
    changes, follows = _changes(one.plan, other.plan, pairs, alone)
    ended = (bool(one.outcome), bool(other.outcome))
    both = all(ended)
    return Comparison(
        names=(one.run.id, other.run.id),
        ended=ended,
        spec=_spec_lines(one.plan.spec, other.plan.spec),
        settings=tuple(_settings(one.plan, other.plan)),
        nodes=changes,
        follows=follows,
        same=sum(number in _steps(other.plan) for number in _steps(one.plan)),
        results=_results(one, other) if both else {},
        status=(one.verdict.status if ended[0] else None, other.verdict.status if ended[1] else None),
        rules=tuple(_rules(one, other)) if both else (),
        figures=tuple(_figures(one, other)) if both else (),
    )


def _spec_lines(one: str, other: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0)
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


def _settings(one: Plan, other: Plan) -> Iterator[ParameterChange]:
    for name, before, after in (
        ("seed", one.seed, other.seed),
        ("repeats", one.repeats, other.repeats),
        ("mialang", one.mialang, other.mialang),
        ("selected nodes", _selected(one), _selected(other)),
    ):
        if before != after:
            yield ParameterChange(name, str(before), str(after))
        elif name == "selected nodes" and one.selected is not None and set(one.selected) != set(other.selected or ()):
            yield ParameterChange(name, str(before), f"{after} others")


def _selected(plan: Plan) -> str:
    return "all" if plan.selected is None else str(len(plan.selected))


# -- plans ---------------------------------------------------------------------------------------------------------


def _steps(plan: Plan) -> dict[str, Node]:
    """The nodes that compute something, by the number that says what: it stands behind the label."""
    return {structure_of(name): node for name, node in plan.nodes.items() if not node.passes_on}


def _paired(one: Plan, other: Plan) -> tuple[list[tuple[Node, Node]], list[tuple[Literal["added", "removed"], Node]]]:
    """Nodes that are in one plan only: those that stand for each other in pairs, and those that stand alone."""
    before, after = _steps(one), _steps(other)
    gone: dict[tuple[Any, ...], list[Node]] = {}
    new: dict[tuple[Any, ...], list[Node]] = {}
    for places, here, there in ((gone, before, after), (new, after, before)):
        for number, node in here.items():
            if number not in there:
                places.setdefault((node.label, node.operator, node.role, node.repeat), []).append(node)
    pairs: list[tuple[Node, Node]] = []
    alone: list[tuple[Literal["added", "removed"], Node]] = []
    for spot in dict.fromkeys((*gone, *new)):
        first, second = gone.get(spot, []), new.get(spot, [])
        own = {node.id: own_parameters(node.params) for node in (*first, *second)}
        unlike = []
        for node in first:
            twin = next((each for each in second if own[each.id] == own[node.id]), None)
            if twin is None:
                unlike.append(node)
            else:
                second = [each for each in second if each is not twin]
                pairs.append((node, twin))
        for was, is_ in zip_longest(unlike, second):
            if was is not None and is_ is not None:
                pairs.append((was, is_))
            else:
                alone.append(("removed", was) if was is not None else ("added", is_))
    return pairs, alone


def _changes(
    one: Plan,
    other: Plan,
    pairs: list[tuple[Node, Node]],
    alone: list[tuple[Literal["added", "removed"], Node]],
) -> tuple[tuple[NodeChange, ...], int]:
    counted: dict[tuple[Any, ...], int] = {}
    follows = 0
    for was, is_ in pairs:
        changed = tuple(_parameters(was, is_))
        if changed:
            key = ("changed", was.label, was.role, changed)
            counted[key] = counted.get(key, 0) + 1
        else:
            follows += 1
    roots = {node.id for _, node in alone if not _rests_on_news(node, one, other)}
    for what, node in alone:
        if roots and node.id not in roots and node.role != "metric":
            follows += 1
            continue
        key = (what, node.label, node.role, ())
        counted[key] = counted.get(key, 0) + 1
    made = (NodeChange(what, label, role, changed, count) for (what, label, role, changed), count in counted.items())
    return tuple(made), follows


def _rests_on_news(node: Node, one: Plan, other: Plan) -> bool:
    """Whether an input of a node is itself in one plan only."""
    return any(each not in one.nodes or each not in other.nodes for each in node.inputs)


def _parameters(was: Node, is_: Node) -> Iterator[ParameterChange]:
    if was.version != is_.version:
        yield ParameterChange("version", str(was.version), str(is_.version))
    before, after = own_parameters(was.params), own_parameters(is_.params)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield ParameterChange(name, before.get(name), after.get(name))


def own_parameters(params: Json, path: str = "", *, inputs: bool = True) -> dict[str, str]:
    """The parameters of a node as texts, those of the terms written into it by their path.

    Args:
        params: parameters of a node, or a part of them.
        path: where the part stands.
        inputs: whether artefacts and models are among them, by their labels.
    """
    match params:
        case {"$term": name, "args": arguments}:
            return {path: str(name), **own_parameters(arguments, path, inputs=inputs)}
        case {"$node": _} | {"$model": _} | {"$handle": _}:
            return {path: call_words(params)} if inputs else {}
        case {"$algebra": _}:
            return {path: call_words(params)}
        case dict():
            found: dict[str, str] = {}
            for name, value in params.items():
                found.update(own_parameters(value, f"{path}.{name}" if path else str(name), inputs=inputs))
            return found
        case float():
            return {path: repr(params)}  # every digit: a small change is a change
    return {path: call_words(params)}


def _results(one: Record, other: Record) -> dict[str, int]:
    """Same nodes that made other bytes: they read other files, or ran on other machines or threads."""
    before = {structure_of(name): made["output"] for name, made in one.outcome.get("nodes", {}).items()}
    found: dict[str, int] = {}
    for name, made in other.outcome.get("nodes", {}).items():
        number = structure_of(name)
        if number in before and before[number] != made["output"]:
            label = other.plan.nodes[name].label
            found[label] = found.get(label, 0) + 1
    return found


# -- verdicts and figures ------------------------------------------------------------------------------------------


def _rules(one: Record, other: Record) -> Iterator[RuleChange]:
    before, after = _statuses(one), _statuses(other)
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield RuleChange(*key, before.get(key), after.get(key))


def _statuses(record: Record) -> dict[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for gate in record.verdict.gates:
        found[gate.title, "", ""] = gate.status
        for rule in gate.rules:
            said = f"{rule.rule.verb} {rule.rule.text}"
            for cell in rule.cells:
                where = place(record, cell.cell) if cell.cell else ""
                found[gate.title, said, where] = cell.status
    return found


def _figures(one: Record, other: Record) -> Iterator[FigureChange]:
    before, after = _rows(one), _rows(other)
    for key in dict.fromkeys((*before, *after)):
        first, second = before.get(key), after.get(key)
        known = first or second
        assert known is not None
        for view in VIEWS:
            was, is_ = _value(first, view), _value(second, view)
            if was != is_:
                yield FigureChange(
                    known.measurement.name, known.field, known.instance, known.cell, view, known.measurement.unit, was, is_,
                    _overlap(was, is_),
                )  # fmt: skip


def _rows(record: Record) -> dict[tuple[Any, ...], Row]:
    return {(row.measurement.name, row.field, row.instance, tuple(row.cell.items())): row for row in rows(record)}


def _value(row: Row | None, view: str) -> Estimate | Missing | None:
    figure: Figure | None = None if row is None else getattr(row, view)
    return None if figure is None else figure.value


def _overlap(one: Estimate | Missing | None, other: Estimate | Missing | None) -> bool | None:
    if not isinstance(one, Estimate) or not isinstance(other, Estimate):
        return None
    if one.lower is None or one.upper is None or other.lower is None or other.upper is None:
        return None
    return one.lower <= other.upper and other.lower <= one.upper


# -- for machines --------------------------------------------------------------------------------------------------


def as_json(made: Comparison) -> dict[str, Json]:
    """A comparison for machines."""
    return {
        "runs": list(made.names),
        "equal": made.equal,
        "ended": list(made.ended),
        "spec": list(made.spec),
        "settings": [vars(each) for each in made.settings],
        "plan": {
            "nodes": [{**vars(each), "parameters": [vars(one) for one in each.parameters]} for each in made.nodes],
            "only_what_they_rest_on": made.follows,
            "same": made.same,
        },
        "results": dict(made.results),
        "status": list(made.status),
        "rules": [vars(each) for each in made.rules],
        "figures": [
            {
                "measurement": each.measurement,
                "field": each.field,
                "attack": each.instance,
                "cell": dict(each.cell),
                "view": each.view,
                "unit": each.unit,
                "before": _figure_json(each.before),
                "after": _figure_json(each.after),
                "within_intervals": each.within,
            }
            for each in made.figures
        ],
    }


def _figure_json(value: Estimate | Missing | None) -> Json:
    if value is None:
        return None
    if isinstance(value, Missing):
        return {"status": value.kind, "reason": value.reason}
    return {"point": value.point, "lower": value.lower, "upper": value.upper}
