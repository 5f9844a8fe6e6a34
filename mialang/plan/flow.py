"""Rule 10, the flow proof: nothing secret reaches an attack except through the target's handle or a grant."""

from __future__ import annotations

import networkx as nx

from mialang.diagnostics import Diagnostic, error
from mialang.plan.model import Node, Plan

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
