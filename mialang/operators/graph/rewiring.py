"""A graph that keeps its nodes and nothing of its edges: what a decoy of a node classifier is trained on."""

from __future__ import annotations

import numpy as np

from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import ends_of, pair_count
from mialang.operators.graph.parts import NodeLabels
from mialang.operators.run import Run


def rewired(*, features: NodeFeatures, labels: NodeLabels, like: Graph, run: Run) -> Graph:
    """Join nodes by as many edges as another graph has, all pairs equally likely: not even degrees are kept.

    Args:
        features: of the nodes, as the adversary has them.
        labels: likewise.
        like: gives the number of edges and the split, and nothing else.
        run: gives the seed.
    """
    n = len(features)
    if len(labels) != n or like.size != n:
        raise OperatorError(f"features of {n:,} nodes, labels of {len(labels):,}, and a graph of {like.size:,}")
    drawn = np.random.default_rng(run.seed).choice(pair_count(n), size=len(like.pairs), replace=False, shuffle=False)
    pairs = np.stack(ends_of(np.sort(drawn), n), axis=1)
    return Graph(n, pairs, features, labels.values, {}, like.split)
