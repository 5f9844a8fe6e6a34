"""How alike two nodes' vectors are: the eight distances of link stealing with their sign fixed, and dot products.

A score is large where a link is likely. A small distance means a link, whatever the labels say afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

SMALL = 1e-12

Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return functional.cosine_similarity(a, b, dim=-1, eps=SMALL) - 1


def _correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _cosine(a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True))


def _braycurtis(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return -(a - b).abs().sum(-1) / (a + b).abs().sum(-1).clamp_min(SMALL)


def _canberra(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return -((a - b).abs() / (a.abs() + b.abs()).clamp_min(SMALL)).sum(-1)


# Each takes vectors `[…, d]` that broadcast against each other and returns scores `[…]`: minus the distance.
MEASURES: Mapping[str, Measure] = {
    "cosine": _cosine,
    "euclidean": lambda a, b: -(a - b).square().sum(-1).sqrt(),
    "correlation": _correlation,
    "chebyshev": lambda a, b: -(a - b).abs().amax(-1),
    "braycurtis": _braycurtis,
    "canberra": _canberra,
    "cityblock": lambda a, b: -(a - b).abs().sum(-1),
    "sqeuclidean": lambda a, b: -(a - b).square().sum(-1),
    "dot": lambda a, b: (a * b).sum(-1),
    "relu_cosine": lambda a, b: (_cosine(a, b) + 1).relu(),
    "equal": lambda a, b: (a == b).all(-1).double(),
}
DISTANCES = ("cosine", "euclidean", "correlation", "chebyshev", "braycurtis", "canberra", "cityblock", "sqeuclidean")


def prepared(vectors: torch.Tensor, measure: str) -> torch.Tensor | None:
    """Return vectors whose dot products rank pairs as a measure does; None where no such vectors exist.

    Args:
        vectors: `[n, d]`.
        measure: one of `MEASURES`.
    """
    match measure:
        case "cosine" | "relu_cosine":
            return functional.normalize(vectors, dim=1, eps=SMALL)
        case "correlation":
            return functional.normalize(vectors - vectors.mean(1, keepdim=True), dim=1, eps=SMALL)
        case "dot":
            return vectors
    return None


def all_against(rows: torch.Tensor, vectors: torch.Tensor, measure: str, ready: torch.Tensor | None) -> torch.Tensor:
    """Return the scores `[b, n]` of some nodes against all.

    Args:
        rows: numbers of nodes, int64 `[b]`.
        vectors: `[n, d]`.
        measure: one of `MEASURES`.
        ready: what `prepared` gave for it.
    """
    if ready is None:
        return MEASURES[measure](vectors[rows].unsqueeze(1), vectors.unsqueeze(0))
    product = ready[rows] @ ready.T
    return product if measure == "dot" else product.relu() if measure == "relu_cosine" else product - 1
