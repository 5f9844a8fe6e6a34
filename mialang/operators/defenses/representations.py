"""Defenses on representations: what the owner of a store does to vectors before anybody sees or steals them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from mialang.operators.defenses.outputs import OutputTransform


@dataclass(frozen=True)
class NoisyVectors(OutputTransform):
    """`norm(e + λ·N(0, I))`: Gaussian noise of deviation λ on every number, brought back to length 1.

    The cosine with the vector before is 1/√(1 + λ²D) in expectation for D numbers: the same λ is more noise on wider vectors.
    """

    deviation: float

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """Return `[n, D]` with fresh noise; the vectors that came in stay as they were."""
        noise = torch.randn(answer.shape, generator=generator).to(answer)
        return functional.normalize(answer + self.deviation * noise, dim=1)


@dataclass(frozen=True)
class RoundedVectors(OutputTransform):
    """Every number rounded to some digits; the length is not brought back to 1."""

    digits: int

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return `[n, D]`, rounded."""
        return answer.round(decimals=self.digits)


def noise_embeddings(*, deviation: float) -> OutputTransform:
    """Describe Gaussian noise on embeddings (Morris et al., EMNLP 2023, section 6)."""
    return NoisyVectors(deviation)


def round_embeddings(*, digits: int) -> OutputTransform:
    """Describe rounding of embeddings (Pan et al., S&P 2020)."""
    return RoundedVectors(digits)
