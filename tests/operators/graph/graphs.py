"""Small graphs for tests, drawn by Hypothesis or made to a pattern."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import ends_of, pair_count
from mialang.operators.run import Run


@st.composite
def graphs(draw, least=4, most=12, classes=3):
    """Return graphs with features, labels and a split; any pair may be an edge, also none or all."""
    n = draw(st.integers(least, most))
    total = pair_count(n)
    numbers = np.array(sorted(draw(st.sets(st.integers(0, total - 1), max_size=total))), dtype=np.int64)
    source = np.random.default_rng(draw(st.integers(0, 999)))
    values = source.integers(0, classes, n)
    return Graph(
        n,
        np.stack(ends_of(numbers, n), axis=1).reshape(-1, 2),
        NodeFeatures.of_dense(source.random((n, 5)).round(1)),
        values,
        {},
        {"train": np.arange(n // 2), "test": np.arange(n // 2, n)},
    )


def communities(groups=3, each=12, inside=0.6, across=0.03, seed=0):
    """Return a graph of groups whose members are linked and alike."""
    source = np.random.default_rng(seed)
    n = groups * each
    values = np.repeat(np.arange(groups), each)
    u, v = ends_of(np.arange(pair_count(n)), n)
    linked = source.random(len(u)) < np.where(values[u] == values[v], inside, across)
    noisy = np.eye(groups)[values] + 0.3 * source.random((n, groups))
    train = np.flatnonzero(np.arange(n) % each < 3)
    split = {"train": train, "test": np.setdiff1d(np.arange(n), train)}
    return Graph(n, np.stack([u[linked], v[linked]], axis=1), NodeFeatures.of_dense(noisy), values, {}, split)


def renumbered(graph, order):
    """Return the same graph with node `order[i]` in place i."""
    return graph.induced(order)


def run(seed=0):
    """Return a run with a fixed seed."""
    return Run(seed=seed)
