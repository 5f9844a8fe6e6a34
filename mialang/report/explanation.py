"""Why a node of a run is as it is: what it is made of, whom it serves, why it ran, why it has no result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mialang.diagnostics import listed
from mialang.engine.runs import Run
from mialang.engine.store import StoreError
from mialang.plan.model import Node, Plan
from mialang.report.comparison import own_parameters
from mialang.report.phrases import place
from mialang.report.record import Record

Json = Any
LOOKED_AT = 20  # earlier runs in which a like node is searched


@dataclass(frozen=True)
class Source:
    """What a node rests on.

    Attributes:
        result: the beginning of its digest; empty where there is none.
        fate: what became of it, in one or two words.
    """

    name: str
    fate: str
    result: str


@dataclass(frozen=True)
class Cause:
    """Why a node has no result.

    Attributes:
        path: from the node at fault to the node in question.
        title: what happened, with a note and the next step.
    """

    path: tuple[str, ...]
    title: str
    note: str = ""
    help: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Explanation:
    """A node of a run.

    Attributes:
        made_of: its own parameters, in words.
        rests_on: its inputs, and after them what had to succeed before.
        serves: the attacks and measurements that rest on it.
        fate: what became of it.
        because: why it was or was not computed.
        cause: the root of its failure, where it has no result.
        evidence: what the step left behind.
    """

    node: Node
    made_of: Mapping[str, str]
    rests_on: tuple[Source, ...]
    serves: tuple[str, ...]
    fate: str
    because: str
    cause: Cause | None
    evidence: Mapping[str, Json]


def explain(record: Record, name: str) -> Explanation:
    """Explain a node of a run."""
    node = record.plan.nodes[name]
    fate = fate_of(record, name)
    action = record.actions.get(name)
    return Explanation(
        node=node,
        made_of=own_parameters(node.params, inputs=False),
        rests_on=tuple(_source(record, each) for each in dict.fromkeys((*node.inputs, *node.after))),
        serves=tuple(dict.fromkeys(_served(record, name))),
        fate=fate,
        because=_because(record, node, fate),
        cause=_cause(record, name),
        evidence={} if action is None else action.evidence,
    )


def fate_of(record: Record, name: str) -> str:
    """What became of a node, in one or two words."""
    outcome = record.outcome
    made = outcome.get("nodes", {}).get(name)
    if made is not None:
        return "known already" if made["cached"] else "computed"
    for word in ("failures", "skipped", "lacking"):
        if name in outcome.get(word, {}):
            return {"failures": "failed", "skipped": "skipped", "lacking": "lacking"}[word]
    if name in outcome.get("unfinished", ()):
        return "left undone"
    if record.plan.nodes[name].passes_on:
        return "passed on"
    if record.plan.selected is not None and name not in record.plan.selected:
        return "not selected"
    return "not reached"


def _source(record: Record, name: str) -> Source:
    made = record.outcome.get("nodes", {}).get(name)
    return Source(name, fate_of(record, name), "" if made is None else made["output"][:12])


# -- whom it serves ------------------------------------------------------------------------------------------------


def _served(record: Record, name: str) -> Iterator[str]:
    plan = record.plan
    behind = _behind(plan, name)
    for arm in plan.arms:
        if arm.node is not None and ({arm.node, *arm.nodes} & behind):
            what = {"attack": "", "blind": " (blind control)", "baseline": f" (baseline {arm.baseline})"}[arm.arm]
            yield f"attack {arm.attack}, {arm.instance}{what}{_place(record, arm.cell)}"
    for reading in plan.readings:
        if reading.node in behind:
            yield f"measurement {reading.measurement}{_place(record, reading.cell)}"


def _behind(plan: Plan, name: str) -> set[str]:
    """A node and everything that rests on it."""
    users: dict[str, list[str]] = {}
    for source, user in plan.edges():
        users.setdefault(source, []).append(user)
    reached: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in reached:
            reached.add(current)
            pending.extend(users.get(current, ()))
    return reached


def _place(record: Record, cell: Mapping[str, int]) -> str:
    return f" at {place(record, cell)}" if cell else ""


# -- why it ran ----------------------------------------------------------------------------------------------------


def _because(record: Record, node: Node, fate: str) -> str:
    match fate:
        case "known already":
            earlier = next((run.id for run in _earlier(record) if _made_in(run, node.id, computed=True)), None)
            return "the store had its result" + (f": the run {earlier} computed it" if earlier else "")
        case "computed" | "failed":
            return _why_computed(record, node)
        case "lacking":
            missing = record.plan.nodes[record.outcome["lacking"][node.id]]
            return f"`{missing.label}`, on which it rests, is neither selected nor known"
        case "left undone":
            return "the time budget was spent before it was its turn"
        case "passed on":
            return "it computes nothing: it hands on what it was given, as far as the threat allows"
        case "not reached":
            return "the run ended before it was its turn"
    return ""


def _why_computed(record: Record, node: Node) -> str:
    if reason := _recomputed(record.run, node.id):
        return f"it was known before, and {reason}"
    for run in _earlier(record):
        plan = _plan_of(run)
        twin = None if plan is None else _twin(node, plan)
        if plan is not None and twin is not None:
            return _difference(record, node, run, plan, twin)
    return "no earlier run of this store has a node like it"


def _recomputed(run: Run, name: str) -> str:
    """What the events say of a result that could not be used again."""
    try:
        lines = (run.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        if '"recomputed"' in line and name in line:
            event = json.loads(line)
            if event["event"] == "recomputed" and event["node"] == name:
                return str(event["reason"])
    return ""


def _earlier(record: Record) -> list[Run]:
    """The runs before this one, newest first."""
    runs = Run.every(record.store)
    names = [each.id for each in runs]
    before = runs[: names.index(record.run.id)] if record.run.id in names else []
    return before[::-1][:LOOKED_AT]


def _plan_of(run: Run) -> Plan | None:
    try:
        return run.plan()
    except (OSError, ValueError, StoreError):
        return None


def _made_in(run: Run, name: str, *, computed: bool) -> bool:
    made = run.outcome().get("nodes", {}).get(name)
    return made is not None and made["cached"] != computed


def _twin(node: Node, plan: Plan) -> Node | None:
    """The node of another plan that stands in its place: the one least unlike."""
    if node.id in plan.nodes:
        return plan.nodes[node.id]
    place = (node.label, node.operator, node.role, node.repeat)
    like = [each for each in plan.nodes.values() if (each.label, each.operator, each.role, each.repeat) == place]
    own = own_parameters(node.params).items()
    return min(like, key=lambda each: len(own ^ own_parameters(each.params).items()), default=None)


def _difference(record: Record, node: Node, run: Run, plan: Plan, twin: Node) -> str:
    before, after = own_parameters(twin.params), own_parameters(node.params)
    changed = [
        f"{name} {before.get(name, 'absent')} → {after.get(name, 'absent')}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    if twin.version != node.version:
        changed.append(f"version {twin.version} → {node.version} of its operator")
    if changed:
        return f"it differs from `{twin.id}` of the run {run.id}: {', '.join(changed)}"
    if twin.id != node.id:
        inputs = [each for each in node.inputs if each not in twin.inputs]
        if inputs:
            return f"it rests on {listed(inputs, most=4)}, unlike `{twin.id}` of the run {run.id}"
        return f"it draws with another seed than `{twin.id}` of the run {run.id}: {node.seed}, not {twin.seed}"
    outcome = run.outcome()
    news = [
        each
        for each in _artefacts(node, plan)
        if _output(outcome, each) is not None and _output(outcome, each) != _output(record.outcome, each)
    ]
    if news:
        return f"the contents of {listed(news, most=4)} changed since the run {run.id}"
    return f"the run {run.id} left no result of it"


def _artefacts(node: Node, plan: Plan) -> list[str]:
    """Its inputs, and what stands behind those that only pass on."""
    found: list[str] = []
    for each in node.inputs:
        source = plan.nodes[each]
        found.extend(_artefacts(source, plan) if source.passes_on else [each])
    return found


def _output(outcome: Mapping[str, Json], name: str) -> str | None:
    made = outcome.get("nodes", {}).get(name)
    return None if made is None else str(made["output"])


# -- why it has no result ------------------------------------------------------------------------------------------


def _cause(record: Record, name: str) -> Cause | None:
    failures, skipped = record.outcome.get("failures", {}), record.outcome.get("skipped", {})
    root = skipped.get(name, name)
    if root not in failures:
        return None
    failure = failures[root]
    return Cause(
        _path(record.plan, root, name), failure["title"], failure["note"], failure["help"], failure.get("detail", "")
    )


def _path(plan: Plan, start: str, end: str) -> tuple[str, ...]:
    """A shortest path from one node to another that rests on it."""
    users: dict[str, list[str]] = {}
    for source, user in plan.edges():
        users.setdefault(source, []).append(user)
    came: dict[str, str] = {start: ""}
    pending = [start]
    while pending and end not in came:
        following = []
        for current in pending:
            for user in users.get(current, ()):
                if user not in came:
                    came[user] = current
                    following.append(user)
        pending = following
    path = [end]
    while came.get(path[-1]):
        path.append(came[path[-1]])
    return tuple(reversed(path))
