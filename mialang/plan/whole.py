"""Whether a plan that was read from a file hangs together: every node, cell and measurement that it mentions is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mialang.plan.model import Json, Plan, references

SIGNS = ("<=", ">=", "<", ">", "==", "!=")
WORDS = ("and", "or", "not")
ARITHMETIC = ("+", "-", "*", "/")


def gaps(plan: Plan) -> Iterator[str]:
    """What a plan mentions and does not hold, in the reader's words."""
    yield from _nodes(plan)
    for what, names in _mentioned(plan):
        yield from (f"{what} needs the node `{name}`, which is missing" for name in names if name not in plan.nodes)
    known = {measurement.name: measurement for measurement in plan.measurements}
    for measurement in plan.measurements:
        yield from _axes(f"the measurement `{measurement.name}`", measurement.axes, plan)
    for gate in plan.gates:
        for rule in gate.rules:
            name = f"the rule `{rule.text}`"
            if not _is_condition(rule.condition, known):
                yield f"{name} has a condition that cannot be read"
            for cell in rule.cells:
                yield from _axes(name, cell, plan)


def _nodes(plan: Plan) -> Iterator[str]:
    seen: set[str] = set()
    for name, node in plan.nodes.items():
        if node.id != name:
            yield f"the node `{name}` calls itself `{node.id}`"
        for source in (*node.inputs, *node.after):
            if source not in plan.nodes:
                yield f"the node `{name}` rests on `{source}`, which is missing"
            elif source not in seen:
                yield f"the node `{name}` stands before `{source}`, on which it rests"
        for source in references(node.params):
            if source not in node.inputs:
                yield f"the node `{name}` mentions `{source}`, which is none of its inputs"
        seen.add(name)


def _mentioned(plan: Plan) -> Iterator[tuple[str, tuple[str, ...]]]:
    for arm in plan.arms:
        yield f"the attack `{arm.attack}`", (*filter(None, [arm.node]), *arm.nodes)
    for reading in plan.readings:
        yield f"the measurement `{reading.measurement}`", tuple(filter(None, [reading.node]))
    for threat, node in plan.secrets.items():
        yield f"the threat `{threat}`", (node,)
    yield "the selection", plan.selected or ()


def _axes(what: str, axes: Mapping[str, int] | tuple[str, ...], plan: Plan) -> Iterator[str]:
    for axis in axes:
        if axis not in plan.matrix:
            yield f"{what} varies along `{axis}`, which is no axis of the plan"
        elif isinstance(axes, Mapping) and not 0 <= axes[axis] < len(plan.matrix[axis]):
            yield f"{what} has a cell beyond the values of `{axis}`"


def _is_condition(condition: Json, known: Mapping[str, object]) -> bool:
    match condition:
        case {"compare": sign, "left": left, "right": right}:
            return sign in SIGNS and _is_term(left, known) and _is_term(right, known)
        case {"join": word, "parts": [_, *_] as parts}:
            return word in WORDS and all(_is_condition(part, known) for part in parts)
    return False


def _is_term(term: Json, known: Mapping[str, object]) -> bool:
    match term:
        case {"number": int() | float()}:
            return True
        case {"calculate": sign, "left": left, "right": right}:
            return sign in ARITHMETIC and _is_term(left, known) and _is_term(right, known)
        case {"read": name, "instance": str(), "view": str(), "field": str(), "at": dict()}:
            return name in known
    return False
