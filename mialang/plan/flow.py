"""Rule 10, the flow proof: nothing secret reaches an attack except through the target's handle or a grant."""

from __future__ import annotations

from mialang.diagnostics import Diagnostic, error
from mialang.plan.model import Node, Plan

OPENINGS = ("handle", "grant", "held")
SECRET = ("data", "target", "judge", "metric")


def leaks(plan: Plan) -> list[tuple[str, ...]]:
    """Every attack node that something secret reaches, each with one shortest path from the secret to it.

    Data, targets, judges and metrics are secret. Handles, grants and leaked artefacts are the openings that the threat
    names; nothing flows on beyond them.
    """
    came_from: dict[str, str | None] = {}
    frontier = [name for name, node in plan.nodes.items() if node.role in SECRET]
    came_from.update(dict.fromkeys(frontier))
    consumers: dict[str, list[str]] = {name: [] for name in plan.nodes}
    for node in plan.nodes.values():
        for source in node.inputs:
            consumers[source].append(node.id)
    found: list[tuple[str, ...]] = []
    while frontier:
        following: list[str] = []
        for name in frontier:
            for consumer in consumers[name]:
                if consumer in came_from or plan.nodes[consumer].role in OPENINGS:
                    continue
                came_from[consumer] = name
                following.append(consumer)
                if plan.nodes[consumer].role == "attack":
                    found.append(_path(consumer, came_from))
        frontier = following
    return found


def _path(name: str, came_from: dict[str, str | None]) -> tuple[str, ...]:
    path = [name]
    while (source := came_from[path[-1]]) is not None:
        path.append(source)
    return tuple(reversed(path))


def prove_flow(plan: Plan) -> list[Diagnostic]:
    """Findings for every leak; none means that the barrier holds on the graph."""
    found: dict[str, Diagnostic] = {}
    for path in leaks(plan):
        nodes = [plan.nodes[name] for name in path]
        first_attack = next(node for node in nodes if node.role == "attack")
        source = nodes[0]
        shown = " → ".join(_named(node) for node in nodes[: nodes.index(first_attack) + 1])
        title = f"{_named(source)} would reach the attack step {_named(first_attack)} without a grant"
        found.setdefault(
            title,
            error("E0703", title)
            .note(f"the path is {shown}")
            .note("an attack that is handed the secret recovers nothing")
            .help("give it through the target's handle, or grant it in a `prior`, so that the report says so"),
        )
    return list(found.values())


def _named(node: Node) -> str:
    return f"`{node.label}`" if node.label == node.operator else f"`{node.label}` ({node.operator})"
