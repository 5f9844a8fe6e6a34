"""Rule 10, the flow proof: nothing secret reaches an attack except through the target's handle or a grant."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from mialang.diagnostics import Diagnostic, error
from mialang.plan.model import Node, Plan
from mialang.source import Span

OPENINGS = ("handle", "grant", "held")
SECRET = ("data", "target", "judge", "metric")


def graph(plan: Plan) -> nx.DiGraph:
    """The plan as a graph: an edge from each input to what it is an input of."""
    drawn = nx.DiGraph()
    drawn.add_nodes_from(plan.nodes)
    drawn.add_edges_from((source, node.id) for node in plan.nodes.values() for source in node.inputs)
    return drawn


def leaks(plan: Plan) -> list[tuple[str, ...]]:
    """Every attack node that something secret reaches, each with one shortest path from the secret to it.

    Data, targets, judges and metrics are secret. Handles, grants and leaked artefacts are the openings that the threat
    names; nothing flows on beyond them.
    """
    closed = graph(plan)
    closed.remove_nodes_from([name for name, node in plan.nodes.items() if node.role in OPENINGS])
    secret = [name for name, node in plan.nodes.items() if node.role in SECRET]
    paths: dict[str, list[str]] = nx.multi_source_dijkstra_path(closed, secret, weight=None) if secret else {}
    return [tuple(path) for name, path in paths.items() if plan.nodes[name].role == "attack"]


def prove_flow(plan: Plan, places: Mapping[str, Span] | None = None) -> list[Diagnostic]:
    """Findings for every leak; none means that the barrier holds on the graph.

    Args:
        plan: the plan.
        places: where the spec declares its named values, and uses its recipes under `ATTACK[RECIPE]`; none for a plan
            without a spec at hand.
    """
    places = places or {}
    drawn = graph(plan)
    found: dict[str, Diagnostic] = {}
    for path in leaks(plan):
        nodes = [plan.nodes[name] for name in path]
        step = next(node for node in nodes if node.role == "attack")
        source = nodes[0]
        shown = " → ".join(_named(node) for node in nodes[: nodes.index(step) + 1])
        title = f"{_named(source)} would reach the attack step {_named(step)} without a grant"
        if title in found:
            continue
        finding = error("E0703", title, places.get(_user(plan, drawn, step)), f"the path is {shown}")
        if finding.primary is None:
            finding = finding.note(f"the path is {shown}")
        if (declared := places.get(source.label)) is not None and finding.primary is not None:
            finding = finding.also(declared, "declared here")
        found[title] = finding.note("an attack that is handed the secret recovers nothing").help(
            "give it through the target's handle, or grant it in a `prior`, so that the report says so"
        )
    return list(found.values())


def _user(plan: Plan, drawn: nx.DiGraph, step: Node) -> str:
    """Which attack uses a step, as `ATTACK[RECIPE]`."""
    for arm in plan.arms:
        if (
            arm.arm == "attack"
            and arm.node is not None
            and (arm.node == step.id or nx.has_path(drawn, step.id, arm.node))
        ):
            return f"{arm.attack}[{arm.instance.partition('.')[0]}]"
    return ""


def _named(node: Node) -> str:
    return f"`{node.label}`" if node.label == node.operator else f"`{node.label}` ({node.operator})"
