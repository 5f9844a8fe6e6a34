"""Objectives that only make sense for graphs: linked nodes should be alike, and links should be few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.autograd.function import FunctionCtx

from mialang.operators.algebra import Objective, Point
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.pairs import affordable, blocks
from mialang.operators.graph.questions import OwnGraphs

LONELY = 1e-3  # what is added to a degree, so that a node without links has one


@dataclass(frozen=True, eq=False)
class FeatureSmoothness(Objective):
    """tr(XᵀL̂X) with L̂ = D'^-½ (D − A) D'^-½ and D' = D + 10⁻³."""

    features: NodeFeatures

    @cached_property
    def products(self) -> torch.Tensor:
        """X·Xᵀ `[n, n]`, worked out once: tr(XᵀL̂X) = Σ L̂ ∘ XXᵀ."""
        affordable(len(self.features), 4, "products of features")
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.features.dense @ self.features.dense.T

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[b]`."""
        graphs = _graphs(point)
        products = self.products.to(graphs.device)
        return torch.stack([_Smoothness.apply(each, products) for each in graphs])  # type: ignore[no-untyped-call]

    def formula(self) -> str:
        """Return the call."""
        return "feature_smoothness(features)"

    def units(self) -> tuple[int, ...]:
        """Return the one whole."""
        return (0,)


class _Smoothness(torch.autograd.Function):
    """Σ_i d_i ρ_i² K_ii − Σ_ij A_ij ρ_i ρ_j K_ij, with degrees d, ρ = (d + 10⁻³)^-½ and K = XXᵀ.

    With t = (A ∘ K) ρ the derivative by the degree is c = ρ² K_ii − d ρ⁴ K_ii + ρ³ t, and by an entry c_i − ρ_i ρ_j K_ij.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, adjacency: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
        """Return the number."""
        degrees = adjacency.sum(1)
        scale = (degrees + LONELY).rsqrt()
        parts = [(adjacency[rows] * products[rows]) @ scale for rows in blocks(len(adjacency))]
        mixed, own = torch.cat(parts), products.diagonal()
        ctx.save_for_backward(products, degrees, scale, mixed)
        total: torch.Tensor = (degrees * scale.square() * own).sum() - (scale * mixed).sum()
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of the adjacency, entry by entry."""
        products, degrees, scale, mixed = ctx.saved_tensors  # type: ignore[attr-defined]
        own = products.diagonal()
        slope = scale.square() * own - degrees * scale**4 * own + scale**3 * mixed
        made = products * (-gradient * scale).unsqueeze(1)
        return made.mul_(scale).add_((gradient * slope).unsqueeze(1)), None


@dataclass(frozen=True)
class EdgeNorm(Objective):
    """The Euclidean norm over pairs, ‖a‖₂."""

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[b]`."""
        norms: torch.Tensor = torch.linalg.vector_norm(_graphs(point), dim=(-2, -1)) / 2**0.5
        return norms

    def formula(self) -> str:
        """Return the call."""
        return "edge_norm()"

    def units(self) -> tuple[int, ...]:
        """Return the one whole."""
        return (0,)


def feature_smoothness(*, features: NodeFeatures) -> Objective:
    """Describe how unlike the features of linked nodes are."""
    return FeatureSmoothness(features)


def edge_norm() -> Objective:
    """Describe the norm of the adjacency."""
    return EdgeNorm()


def _graphs(point: Point) -> torch.Tensor:
    value = point.value
    if not isinstance(value, OwnGraphs):
        raise OperatorError("this term speaks of graphs", help="search over `adjacency(…)`")
    return value.adjacency
