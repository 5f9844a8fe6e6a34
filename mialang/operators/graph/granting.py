"""What of a graph is given away: a share of its edges, a belief about their number."""

from __future__ import annotations

import numpy as np

from mialang.operators.errors import OperatorError
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import ends_of
from mialang.operators.graph.parts import EdgeCount, Edges
from mialang.operators.graph.universe import draw_unlinked
from mialang.operators.run import Run


def known(*, of: Edges, share: float, others: float, run: Run) -> Edges:
    """Draw a share of the edges, and `others` times as many pairs that are none. All of them leave every metric.

    Raises:
        OperatorError: the share is so small that no edge is drawn, or not all edges are known to begin with.
    """
    if not of.complete:
        raise OperatorError("a share can only be taken of all edges", help="write `known(DATA.edges, share = 10 %)`")
    source = np.random.default_rng(run.seed)
    count = round(share * len(of.pairs))
    if count == 0:
        raise OperatorError(f"{share:.2%} of {len(of.pairs):,} edges is none", help="grant a larger share, or no edges")
    linked = of.pairs[np.sort(source.choice(len(of.pairs), size=count, replace=False))]
    graph = Graph(of.size, of.pairs)
    unlinked = draw_unlinked(graph, round(others * count), source, np.empty(0, dtype=np.int64))
    run.note("known_links", count)
    run.note("known_others", len(unlinked))
    pairs = np.concatenate([linked, np.stack(ends_of(unlinked, of.size), axis=1)])
    return Edges(of.size, pairs, np.arange(len(pairs)) < count)


def believed_edges(*, count: int, run: Run) -> EdgeCount:
    """Return a number of edges that an adversary believes in, whatever the graph."""
    run.note("edges_believed", count)
    return EdgeCount(count)
