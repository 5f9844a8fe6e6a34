"""Neighbourhoods: how values flow along the edges of a graph, for lists of edges and for relaxed adjacency matrices.

Both forms compute the same numbers. A list of edges is fast; a matrix has a gradient with respect to every pair, also
the pairs that are not linked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch.autograd.function import FunctionCtx

from mialang.operators.artefacts import Array
from mialang.operators.graph.pairs import affordable
from mialang.operators.graph.sparse import sparse_product

SLOPE = 0.2  # of LeakyReLU on attention, as in GAT
ATTENDED = 6  # matrices per head that attention and its gradient hold


class Neighbourhood(ABC):
    """The links of one graph of n nodes; values are `[…, n, w]`."""

    @abstractmethod
    def symmetric(self, values: torch.Tensor) -> torch.Tensor:
        """Return D̃^-½ (A + I) D̃^-½ · values with D̃ = degrees + 1 (Kipf and Welling, ICLR 2017)."""

    @abstractmethod
    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean over neighbours; 0 for a node without any (Hamilton, Ying, Leskovec, NeurIPS 2017)."""

    @abstractmethod
    def attend(self, values: torch.Tensor, source: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
        """Return neighbours (and the node itself) weighted by attention (Veličković et al., ICLR 2018).

        Args:
            values: `[…, n, h, w]`.
            source: `[…, n, h]`, what a node adds to the attention that it is given.
            sink: `[…, n, h]`, what a node adds to the attention that it gives.

        Returns:
            `[…, n, h, w]`: Σ_v softmax_v(LeakyReLU(source_v + sink_u)) · values_v over u itself and its neighbours v.
        """


class EdgeList(Neighbourhood):
    """Links as a list of edges."""

    def __init__(self, pairs: Array, n: int) -> None:
        self.n = n
        loops = np.arange(n)
        sinks = np.concatenate([pairs[:, 0], pairs[:, 1], loops])
        sources = np.concatenate([pairs[:, 1], pairs[:, 0], loops])
        order = np.lexsort((sources, sinks))
        self._sinks, self._sources = torch.from_numpy(sinks[order]), torch.from_numpy(sources[order])
        self._degrees = torch.from_numpy(np.bincount(sinks, minlength=n) - 1).double()
        self._matrices: dict[tuple[str, torch.dtype], Any] = {}

    def symmetric(self, values: torch.Tensor) -> torch.Tensor:
        """Multiply by the sparse matrix, which is its own transpose."""
        return self._times("symmetric", values)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Multiply by the sparse matrix of the neighbours, over the degrees."""
        return self._times("mean", values)

    def attend(self, values: torch.Tensor, source: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
        """Gather both ends of every edge, and sum by sink."""
        # Edges come first, so that both ends are gathered along the first dimension whatever the batch.
        held, given, taken = (each.movedim(-dim, 0) for each, dim in ((values, 3), (source, 2), (sink, 2)))
        logits = torch.nn.functional.leaky_relu(given[self._sources] + taken[self._sinks], SLOPE)
        places = self._sinks.reshape(-1, *[1] * (logits.dim() - 1)).expand_as(logits)
        top = torch.full_like(taken, -torch.inf).scatter_reduce(0, places, logits.detach(), "amax")
        weights = (logits - top[self._sinks]).exp()
        total = torch.zeros_like(taken).index_add(0, self._sinks, weights)
        weights = weights / total[self._sinks]
        out = torch.zeros_like(held).index_add(0, self._sinks, weights.unsqueeze(-1) * held[self._sources])
        return out.movedim(0, -3)

    def _times(self, form: str, values: torch.Tensor) -> torch.Tensor:
        flat = values.movedim(-2, 0).reshape(self.n, -1)
        product = sparse_product(self._matrix(form, values.dtype), flat)
        return product.reshape(self.n, *values.shape[:-2], values.shape[-1]).movedim(0, -2)

    def _matrix(self, form: str, dtype: torch.dtype) -> Any:
        """The matrix of a form, made once."""
        if (form, dtype) not in self._matrices:
            entries = self._entries(form).to(dtype).numpy()
            places = (self._sinks.numpy(), self._sources.numpy())
            self._matrices[form, dtype] = csr_matrix((entries, places), (self.n, self.n))
        return self._matrices[form, dtype]

    def _entries(self, form: str) -> torch.Tensor:
        if form == "symmetric":
            scale = (self._degrees + 1).rsqrt()
            return scale[self._sinks] * scale[self._sources]
        share = torch.where(self._degrees > 0, 1 / self._degrees, 0.0)
        return share[self._sinks] * (self._sinks != self._sources)


class Relaxed(Neighbourhood):
    """Links as matrices `[b, n, n]` with entries in [0, 1], symmetric and zero on the diagonal.

    The gradient of an entry is that of the sum over both of its places halved nowhere: whoever searches over pairs adds
    the two places of a pair.
    """

    def __init__(self, adjacency: torch.Tensor) -> None:
        self.adjacency = adjacency

    def symmetric(self, values: torch.Tensor) -> torch.Tensor:
        """Multiply without forming the normalised matrix; its gradient is of low rank."""
        shared = values.dim() == 2
        rows = [
            _Normalised.apply(matrix, values if shared else values[place])  # type: ignore[no-untyped-call]
            for place, matrix in enumerate(self.adjacency)
        ]
        return torch.stack(rows)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Multiply, and divide by the degrees."""
        degrees = self.adjacency.sum(-1, keepdim=True)
        return self.adjacency @ values / torch.where(degrees > 0, degrees, 1.0)

    def attend(self, values: torch.Tensor, source: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
        """Weigh e^logit of a neighbour by how much it is linked; the node itself counts in full.

        Raises:
            OperatorError: the attention between all pairs is more than memory holds.
        """
        affordable(values.shape[-3], 4 * ATTENDED * values.shape[-2], "attention between all pairs")
        logits = torch.nn.functional.leaky_relu(source.unsqueeze(-3) + sink.unsqueeze(-2), SLOPE)  # […, u, v, h]
        linked = self.adjacency + torch.eye(self.adjacency.shape[-1], device=self.adjacency.device)
        weights = (logits - logits.detach().amax(-2, keepdim=True)).exp() * linked.unsqueeze(-1)
        weights = weights / weights.sum(-2, keepdim=True)
        return torch.einsum("...uvh,...vhw->...uhw", weights, values.expand(*weights.shape[:-3], *values.shape[-3:]))


class _Normalised(torch.autograd.Function):
    """D̃^-½ (A + I) D̃^-½ · Y for one symmetric A.

    With r = D̃^-½ and Q = (A + I)(r ∘ Y) the result is r ∘ Q, so that A is read once and never copied. For the gradient
    G of the result, that of A is (r ∘ G)(r ∘ Y)ᵀ + h 1ᵀ with h = -½ r³ ∘ Σ_w (G ∘ Q + Y ∘ (A + I)(r ∘ G)): one product
    of thin matrices.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, adjacency: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return `[n, w]` for A `[n, n]` and Y `[n, w]`."""
        scale = (adjacency.sum(1) + 1).rsqrt().unsqueeze(1)
        inner = scale * values
        summed = adjacency @ inner + inner
        ctx.save_for_backward(adjacency, values, scale, summed)
        return scale * summed

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the gradients of A, entry by entry, and of Y."""
        adjacency, values, scale, summed = ctx.saved_tensors  # type: ignore[attr-defined]
        outer = scale * gradient
        back = adjacency @ outer + outer
        of_values = scale * back
        of_adjacency = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            slope = -0.5 * scale**3 * (gradient * summed + values * back).sum(1, keepdim=True)
            of_adjacency = torch.cat([outer, slope], 1) @ torch.cat([scale * values, torch.ones_like(scale)], 1).T
        return of_adjacency, of_values
