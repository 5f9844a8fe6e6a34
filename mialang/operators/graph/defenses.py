"""Defenses of edges: differentially private copies of a graph, on which a model is trained and which it serves.

The unit of privacy is one edge: two graphs are neighbours where they differ in one undirected pair.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.errors import OperatorError
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import affordable, ends_of, numbers_of, pair_count
from mialang.operators.run import Run

COUNTED = 0.01  # share of ε that LapGraph spends on the number of edges
UNIT = "one undirected edge"


def edge_rand(*, of: Graph, epsilon: float, run: Run) -> Graph:
    """Replace every pair, with probability s = 2/(e^ε + 1), by a fair coin: ε-differentially private for one edge.

    A pair is flipped with probability s/2 = 1/(e^ε + 1). Wu, Long, Zhang, Li, S&P 2022, arXiv:2108.06504.

    Raises:
        OperatorError: ε is 0, which leaves nothing of the graph.
    """
    _spend(epsilon)
    affordable(of.size, 8, "a randomised copy of the pairs")
    source = np.random.default_rng(run.seed)
    replaced = np.flatnonzero(source.random(pair_count(of.size), dtype=np.float32) < 2 / (math.exp(epsilon) + 1))
    heads = replaced[source.random(len(replaced)) < 0.5]
    kept = np.setdiff1d(_numbers(of), replaced, assume_unique=True)
    run.note("pairs_replaced", len(replaced))
    return _released(of, np.union1d(kept, heads), epsilon, run)


def lap_graph(*, of: Graph, epsilon: float, run: Run) -> Graph:
    """Add Laplace noise to every pair and keep as many of the largest as there are edges, counted with noise.

    ε₁ = .01 ε counts edges (m̃ = m + Lap(1/ε₁)), ε₂ = .99 ε perturbs pairs (Lap(1/ε₂)); the m̃ largest stay, exactly.
    Wu, Long, Zhang, Li, S&P 2022, arXiv:2108.06504.

    Raises:
        OperatorError: ε is 0, which leaves nothing of the graph.
    """
    _spend(epsilon)
    affordable(of.size, 16, "a noisy copy of the pairs")
    source = np.random.default_rng(run.seed)
    total = pair_count(of.size)
    count = len(of.pairs) + source.laplace(scale=1 / (COUNTED * epsilon))
    kept = int(np.clip(round(count), 0, total))
    noisy = source.laplace(scale=1 / ((1 - COUNTED) * epsilon), size=total)
    noisy[_numbers(of)] += 1
    run.note("edges_counted_with_noise", kept)
    return _released(of, largest(noisy, kept), epsilon, run)


def largest(values: Array, k: int) -> Array:
    """Return the places of the k largest values, ascending."""
    if k == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.argpartition(-values, k - 1)[:k])


def _released(of: Graph, numbers: Array, epsilon: float, run: Run) -> Graph:
    before = _numbers(of)
    stayed = len(np.intersect1d(before, numbers, assume_unique=True))
    run.note("epsilon", epsilon)
    run.note("privacy_unit", UNIT)
    run.note("edges_kept", stayed)
    run.note("edges_removed", len(before) - stayed)
    run.note("edges_added", len(numbers) - stayed)
    return replace(of, pairs=np.stack(ends_of(numbers, of.size), axis=1))


def _numbers(of: Graph) -> Array:
    return numbers_of(of.pairs[:, 0], of.pairs[:, 1], of.size)


def _spend(epsilon: float) -> None:
    if epsilon == 0:
        raise OperatorError("ε = 0 releases nothing of the graph", help="give `epsilon` a value above 0, such as 7")
