"""The pairs that a metric ranks: one declared universe, the same for every figure and every attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import ends_of, numbers_of, pair_count


class PairUniverse(ABC):
    """A set of pairs u < v (a term of kind `pair_universe`)."""

    @abstractmethod
    def numbers(self, graph: Graph, revealed: Array) -> Array:
        """Return the numbers of its pairs in a graph, ascending, without those that were given away."""

    @abstractmethod
    def words(self) -> str:
        """Return what it is, in a few words."""


@dataclass(frozen=True)
class Whole(PairUniverse):
    """Every pair."""

    def numbers(self, graph: Graph, revealed: Array) -> Array:
        """Return all numbers but those given away."""
        return without(np.arange(pair_count(graph.size)), revealed)

    def words(self) -> str:
        """Return the name."""
        return "all pairs u < v"


@dataclass(frozen=True)
class Induced(PairUniverse):
    """Every pair among some nodes drawn at random.

    Attributes:
        nodes: how many.
        seed: of the draw, which depends on nothing else.
    """

    nodes: int
    seed: int

    def numbers(self, graph: Graph, revealed: Array) -> Array:
        """Return the pairs among the nodes drawn."""
        drawn = np.random.default_rng(self.seed).permutation(graph.size)[: self.nodes]
        u, v = ends_of(np.arange(pair_count(len(drawn))), len(drawn))
        return without(np.sort(numbers_of(drawn[u], drawn[v], graph.size)), revealed)

    def words(self) -> str:
        """Return how many nodes, and the seed."""
        return f"all pairs among {self.nodes:,} random nodes (seed {self.seed})"


@dataclass(frozen=True)
class Balanced(PairUniverse):
    """Every linked pair, and for each some pairs that are not linked, drawn at random.

    Attributes:
        others: unlinked pairs per linked one.
        seed: of the draw.
    """

    others: float
    seed: int

    def numbers(self, graph: Graph, revealed: Array) -> Array:
        """Return linked pairs and the others drawn; pairs given away are in neither."""
        linked = without(numbers_of(graph.pairs[:, 0], graph.pairs[:, 1], graph.size), revealed)
        wanted = round(self.others * len(linked))
        drawn = draw_unlinked(graph, wanted, np.random.default_rng(self.seed), revealed)
        return np.sort(np.concatenate([linked, drawn]))

    def words(self) -> str:
        """Return the proportion and the seed."""
        return f"linked and unlinked pairs 1:{self.others:g} (seed {self.seed})"


def whole() -> PairUniverse:
    """Describe all pairs."""
    return Whole()


def induced(*, nodes: int, seed: int) -> PairUniverse:
    """Describe all pairs among random nodes."""
    return Induced(nodes, seed)


def balanced(*, others: float, seed: int) -> PairUniverse:
    """Describe linked pairs and as many unlinked ones."""
    return Balanced(others, seed)


def without(numbers: Array, gone: Array) -> Array:
    """Return ascending numbers without some others."""
    return numbers[~np.isin(numbers, gone, assume_unique=True)] if len(gone) else numbers


def draw_unlinked(graph: Graph, wanted: int, source: np.random.Generator, gone: Array) -> Array:
    """Return up to `wanted` numbers of pairs that are neither linked nor among `gone`, all equally likely, ascending.

    Every unlinked pair has the same chance; fewer come back where there are fewer.
    """
    total = pair_count(graph.size)
    taken = np.union1d(numbers_of(graph.pairs[:, 0], graph.pairs[:, 1], graph.size), gone)
    free = total - len(taken)
    # Ranks among the free pairs are drawn, and mapped past the taken ones: no rejection, no list of all pairs.
    ranks = np.sort(source.choice(free, size=min(wanted, free), replace=False, shuffle=False))
    return ranks + np.searchsorted(taken - np.arange(len(taken)), ranks, side="right")
