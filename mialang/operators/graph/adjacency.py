"""Adjacency as a search space: every pair a number in [0, 1], all together no more than a budget of edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch.autograd.function import FunctionCtx

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.links import ListedLinks, listed
from mialang.operators.graph.pairs import affordable
from mialang.operators.graph.parts import EdgeCount
from mialang.operators.graph.questions import OwnGraphs
from mialang.operators.run import Json, Run
from mialang.operators.spaces import Found, Space

BYTES = 44  # per entry of the matrix: code, gradients of the terms, a step, the products of the features
PART = 2**18  # entries that are summed at once
ROUNDS = 60  # of the search for the shift of a projection; it ends when the active pairs no longer change


@dataclass(frozen=True, eq=False)
class RelaxedGraph(Artefact, kind="relaxed_graph"):
    """Graphs with a number in [0, 1] for every pair, as a search found them.

    Attributes:
        found: the numbers of each, 0 where not listed.
        costs: `[b]`, the objective of each; low is good.
    """

    found: tuple[ListedLinks, ...]
    costs: torch.Tensor

    def __len__(self) -> int:
        """Return how many graphs."""
        return len(self.found)

    @property
    def best(self) -> ListedLinks:
        """The graph of lowest cost."""
        return self.found[int(self.costs.argmin())]

    def matrix(self, place: int) -> torch.Tensor:
        """Return one graph as a symmetric matrix `[n, n]`, zero on the diagonal."""
        own = self.found[place]
        return own.rows(torch.arange(own.size))

    def arrays(self) -> dict[str, Array]:
        """Return the numbers of each graph, and the costs."""
        made = {
            f"{place}.{name}": value for place, own in enumerate(self.found) for name, value in own.arrays().items()
        }
        return {"costs": array(self.costs), **made}

    def facts(self) -> dict[str, Json]:
        """Return the size of each graph."""
        return {"graphs": [own.facts() for own in self.found]}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        found = []
        for place, own in enumerate(facts["graphs"]):
            held = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{place}.")}
            found.append(ListedLinks.restore(held, own))
        return cls(tuple(found), tensor(arrays["costs"]))


@dataclass(frozen=True, eq=False)
class Adjacency(Space):
    """Symmetric matrices `[n, n]`, zero on the diagonal, entries in [0, 1], their pairs adding up to at most a budget.

    A code is the whole matrix: both places of a pair hold the same number, and the same gradient.

    Attributes:
        features: of the nodes, for the model that is asked.
        budget: m, largest sum over pairs.
        begin: graphs to start from; None = no pair is linked.
    """

    features: NodeFeatures
    budget: int
    begin: RelaxedGraph | None

    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - nothing is drawn
        """Return `n` empty matrices, or the graphs to start from."""
        size = len(self.features)
        affordable(size, BYTES * n, "a search over all pairs")
        if self.begin is None:
            return torch.zeros(n, size, size)
        if len(self.begin) != n or self.begin.best.size != size:
            raise OperatorError(
                f"the search starts from {len(self.begin)} graphs of {self.begin.best.size:,} nodes",
                note=f"it needs {n} of {size:,}",
            )
        return torch.stack([self.begin.matrix(place) for place in range(n)])

    def decode(self, code: torch.Tensor) -> Any:
        """Return the graphs that a model can be asked about."""
        pairs: torch.Tensor = _Pairs.apply(code)  # type: ignore[no-untyped-call]
        return OwnGraphs(self.features, pairs)

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Return the nearest matrices of the space (Euclidean, pair by pair)."""
        code.diagonal(dim1=-2, dim2=-1).zero_()
        return torch.stack([onto_budget(each, 2.0 * self.budget) for each in code])

    def handed_over(self, found: Found) -> Artefact:
        """Keep the pairs that are not 0."""
        return RelaxedGraph(tuple(listed(each) for each in found.code), found.scores)


class _Pairs(torch.autograd.Function):
    """The identity on symmetric matrices; a pair's gradient is the sum of those of its two places."""

    @staticmethod
    def forward(ctx: FunctionCtx, code: torch.Tensor) -> torch.Tensor:  # noqa: ARG004 - nothing is kept
        """Return the matrices as they are."""
        return code.view_as(code)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004 - nothing was kept
        """Return the gradient by pair."""
        return gradient + gradient.mT


def onto_budget(values: torch.Tensor, budget: float) -> torch.Tensor:
    """Return the nearest point of {0 ≤ x ≤ 1, Σx ≤ budget} to some values (Euclidean).

    It is clamp(values − μ, 0, 1), with μ = 0 where the budget holds anyway, else the μ > 0 for which it holds exactly.
    Between two bends the sum is linear in μ, so that Newton's step is exact once the pairs strictly inside [0, 1] are
    found; bisection keeps it safe until then.
    """
    if _spent(values, 0.0) <= budget:
        return values.clamp(0, 1)
    low, high = 0.0, float(values.max())  # at `low` the sum is too large, at `high` it is 0
    shift = 0.0
    for _ in range(ROUNDS):
        excess = _spent(values, shift) - budget
        inside = int(((values > shift) & (values < shift + 1)).sum())
        low, high = (shift, high) if excess > 0 else (low, shift)
        step = shift + excess / inside if inside else torch.nan
        following = step if low < step < high else (low + high) / 2
        if following == shift or abs(excess) <= 1e-6 * budget:
            break
        shift = following
    return (values - shift).clamp_(0, 1)


def _spent(values: torch.Tensor, shift: float) -> float:
    """Return Σ clamp(values − shift, 0, 1), in parts that a cache holds."""
    parts = values.reshape(-1).split(PART)
    return sum(float((part - shift).clamp_(0, 1).sum(dtype=torch.float64)) for part in parts)


def adjacency(*, among: NodeFeatures, budget: EdgeCount, begin: RelaxedGraph | None) -> Space:
    """Describe graphs over the same nodes with at most as many edges."""
    return Adjacency(among, budget.count, begin)


def links_of(*, of: RelaxedGraph, run: Run) -> ListedLinks:
    """Return the numbers of the graph of lowest cost as scores of its pairs."""
    run.note("pairs_above_zero", len(of.best.numbers))
    return of.best


def as_matrix(links: ListedLinks) -> torch.Tensor:
    """Return scores of pairs as a symmetric matrix `[1, n, n]`."""
    return links.rows(torch.arange(links.size)).unsqueeze(0)


def of_pairs(numbers: Array, n: int) -> ListedLinks:
    """Return a graph of some pairs, each 1."""
    ordered = np.sort(numbers)
    return ListedLinks(n, ordered, torch.ones(len(ordered)))
