"""The threats: prose, what was given away, what was checked first, and the models and instruments at work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mialang.plan.model import Node, ThreatPlan
from mialang.report.phrases import call_words
from mialang.report.record import Record

Json = Any


@dataclass(frozen=True)
class GivenView:
    """Something that an adversary was handed: what it is, where it comes from, who reads it."""

    item: str
    source: str
    records: str
    readers: str


@dataclass(frozen=True)
class CheckView:
    """A fact that was checked before any attack."""

    what: str
    found: str


@dataclass(frozen=True)
class DataView:
    """Data at work: what was read or made, and what its step counted.

    Attributes:
        copies: how many of it there are (repeats draw anew).
    """

    name: str
    made: str
    counted: tuple[tuple[str, str], ...]
    copies: int


@dataclass(frozen=True)
class ModelView:
    """A model at work: a target or a judge.

    Attributes:
        measured: accuracies that its step noted.
        copies: how many of it there are (repeats draw anew, training defenses make others).
    """

    name: str
    role: str
    made: str
    data: str
    measured: str
    copies: int


@dataclass(frozen=True)
class ThreatsView:
    """What the section says."""

    threats: tuple[ThreatPlan, ...]
    given: tuple[GivenView, ...]
    checks: tuple[CheckView, ...]
    data: tuple[DataView, ...]
    models: tuple[ModelView, ...]
    controls: bool
    isolation: str


def view(record: Record) -> ThreatsView:
    """What the section says."""
    return ThreatsView(
        threats=record.plan.threats,
        given=tuple(_given(record)),
        checks=tuple(_checks(record)),
        data=tuple(_data(record)),
        models=tuple(_models(record)),
        controls=record.plan.controls,
        isolation=record.isolation,
    )


# -- what was given away -------------------------------------------------------------------------------------------


def _given(record: Record) -> Iterable[GivenView]:
    readers = _readers(record)
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for node in record.plan.nodes.values():
        if node.role not in ("grant", "held"):
            continue
        sources = [each for each in node.inputs if record.plan.nodes[each].role != "handle"]
        counts = (_count(each, record) for each in (node.id, *sources))
        count = next((str(each) for each in counts if each is not None), "")
        key = (_said(node), ", ".join(record.plan.nodes[each].label for each in sources), count)
        found.setdefault(key, {}).update(dict.fromkeys(readers.get(node.id, ())))
    for (item, source, count), who in found.items():
        yield GivenView(item, source, f"{int(count):,}" if count.isdigit() else count, ", ".join(who))


def _count(node: str, record: Record) -> Json:
    """How many records a step noted, or how many there are in what it made; None where neither is known."""
    made = record.actions.get(node)
    return record.notes(node).get("records", made.evidence.get("size") if made is not None else None)


def _said(node: Node) -> str:
    item = str(node.params.get("item", node.label)).replace("_", " ")
    return item if node.role == "grant" else f"leaked {item}"


def _readers(record: Record) -> dict[str, dict[str, None]]:
    """Which attacks read each grant: those that rest on it without a control in between."""
    found: dict[str, dict[str, None]] = {}
    for arm in record.plan.arms:
        if arm.node is None or arm.repeat or arm.arm == "blind":
            continue
        who = arm.instance if arm.arm == "attack" else arm.baseline
        for node in record.upstream(arm.node):
            if node.role in ("grant", "held"):
                found.setdefault(node.id, {})[who] = None
    return found


# -- what was checked ----------------------------------------------------------------------------------------------


def _checks(record: Record) -> Iterable[CheckView]:
    for node in record.plan.nodes.values():
        if node.role != "check":
            continue
        between = " and ".join(record.plan.nodes[each].label for each in node.inputs)
        how = ", ".join(f"{name} {value}" for name, value in node.params.items() if isinstance(value, str))
        what = f"{node.label.replace('_', ' ')}: {between}" + (f" ({how})" if how else "")
        notes = record.notes(node.id)
        facts = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in notes.items() if _plain(value))
        yield CheckView(what, facts or record.reasons.get(node.id, "it was not run"))


# -- data ----------------------------------------------------------------------------------------------------------


def _data(record: Record) -> Iterable[DataView]:
    """Every sort of data that a step counted something of: what was left out or changed is told, not silent."""
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in record.plan.nodes.values():
        if node.role == "data" and node.python:
            groups.setdefault((node.label, _made(node.params)), []).append(node)
    for (name, made), nodes in groups.items():
        notes = [record.notes(node.id) for node in nodes]
        names = dict.fromkeys(key for each in notes for key, value in each.items() if _plain(value))
        counted = tuple((key.replace("_", " "), _reach([each[key] for each in notes if key in each])) for key in names)
        if counted:
            yield DataView(name.replace("_", " "), made, counted, len(nodes))


def _reach(values: list[float]) -> str:
    """The range of some counts."""
    low, high = (f"{value:,}" if isinstance(value, int) else f"{value:g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


# -- models --------------------------------------------------------------------------------------------------------


def _models(record: Record) -> Iterable[ModelView]:
    groups: dict[tuple[str, str, str, str], list[Node]] = {}
    for node in record.plan.nodes.values():
        if node.role in ("target", "judge") and node.python:
            key = (node.label, node.role, _made(node.params), ", ".join(_sources(node, record)))
            groups.setdefault(key, []).append(node)
    for (name, role, made, data), nodes in groups.items():
        yield ModelView(name.replace("_", " "), role, made, data, _measured(nodes, record), len(nodes))


def _made(params: Mapping[str, Json]) -> str:
    shown = {name: value for name, value in params.items() if value not in (None, [], "") and not _is_reference(value)}
    return ", ".join(f"{name} = {call_words(value)}" for name, value in shown.items())


def _is_reference(value: Json) -> bool:
    return isinstance(value, Mapping) and bool({"$node", "$model", "$handle"} & value.keys())


def _sources(node: Node, record: Record) -> list[str]:
    found = []
    for each in node.inputs:
        count = record.notes(each).get("records")
        found.append(record.plan.nodes[each].label + (f" ({count:,} records)" if isinstance(count, int) else ""))
    return found


def _measured(nodes: list[Node], record: Record) -> str:
    names = dict.fromkeys(name for node in nodes for name in record.notes(node.id) if name.endswith("accuracy"))
    said = []
    for name in names:
        values = [float(record.notes(node.id)[name]) for node in nodes if name in record.notes(node.id)]
        low, high = f"{min(values):.1%}".replace("%", " %"), f"{max(values):.1%}".replace("%", " %")
        said.append(f"{name.replace('_', ' ')} {low if low == high else f'{low} to {high}'}")
    said += _privacy([record.notes(node.id) for node in nodes])
    failed = [record.reasons[node.id] for node in nodes if node.id in record.reasons]
    return ", ".join(said + failed[:1]) or "not available: no accuracy was noted"


def _privacy(notes: list[dict[str, Json]]) -> list[str]:
    """What private training claims: an ε means nothing without its δ, its unit and its accountant."""
    claims = [each for each in notes if "epsilon" in each]
    if not claims:
        return []
    known = sorted(float(each["epsilon"]) for each in claims)
    low, high = f"{known[0]:.3g}", f"{known[-1]:.3g}"
    reach = low if low == high else f"{low} to {high}"
    first = claims[0]
    unit, accountant = first.get("privacy_unit", "record"), first.get("accountant", "unnamed")
    return [f"ε {reach} at δ {first.get('delta', 0):g} per {unit} ({accountant} accountant)"]


def _plain(value: Json) -> bool:
    """Whether a note is a count or a truth; texts and lists may quote records."""
    return isinstance(value, int | float | bool)
