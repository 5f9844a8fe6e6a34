"""Objectives over vectors: how near a model takes a candidate to a leaked vector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from mialang.operators.algebra import Objective, Point
from mialang.operators.handles import Handle
from mialang.operators.leaks import Embeddings, same_encoder, same_width


@dataclass(frozen=True)
class Nearness(Objective):
    """A function of a candidate's embedding and of the leaked vector of the record that it claims to be."""

    title: str
    of: Handle
    to: Embeddings
    measure: str

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`.

        Raises:
            OperatorError: the vectors come from another encoder than the one that is asked.
        """
        own: torch.Tensor = point.ask(self.of, "embedding")
        same_width(own.shape[1], self.to.vectors.shape[1], f"`{self.of.name}`")
        same_encoder(self.of.identity, self.to.identity, f"`{self.title}`")
        goal = self.to.vectors.to(own)[point.claimed().to(own.device)]
        if self.measure == "l2":
            return (own - goal).square().sum(1)
        cosine = functional.cosine_similarity(own, goal, dim=1)
        return cosine if self.title == "embedding_cosine" else 1 - cosine

    def formula(self) -> str:
        """Return the call."""
        return f"{self.title}({self.of.name})"

    def models(self) -> tuple[Handle, ...]:
        """Return the encoder."""
        return (self.of,)

    def units(self) -> tuple[int, ...]:
        """Return the places of the records whose vectors leaked."""
        return self.to.units


def embedding_distance(*, of: Handle, to: Embeddings, measure: str) -> Objective:
    """Describe 1 − cos(Φ(x), e), or ‖Φ(x) − e‖²; e is the leaked vector of the record that x claims to be."""
    return Nearness("embedding_distance", of, to, measure)


def embedding_cosine(*, of: Handle, to: Embeddings) -> Objective:
    """Describe cos(Φ(x), e), for selection."""
    return Nearness("embedding_cosine", of, to, "cosine")
