"""Output defenses: what the owner does to scores before anybody sees them.

Each is a term of kind `output_transform`; the handle applies it to the answer of the observable that its declaration
names. Whoever holds the weights steps around them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from mialang.operators.errors import OperatorError


class OutputTransform(ABC):
    """A function on answers `[…, classes]`, the same for every row of a call."""

    @abstractmethod
    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """Return the answer as released, `[n, classes]`.

        Args:
            answer: scores, rows sum to 1.
            generator: source of randomness, seeded per node, so that equal runs release equal noise.
        """


@dataclass(frozen=True)
class Rounded(OutputTransform):
    """Scores rounded to some digits; rows need not sum to 1 any more, and ties go to the lower column."""

    digits: int

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Round."""
        return answer.round(decimals=self.digits)


@dataclass(frozen=True)
class Truncated(OutputTransform):
    """The k largest scores, renormalised to sum 1; the others are 0."""

    k: int

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Keep the k largest of each row (the lower column wins between equals).

        Raises:
            OperatorError: k is all there are, which is no defense.
        """
        if self.k >= answer.shape[1]:
            raise OperatorError(
                f"releasing the {self.k} largest of {answer.shape[1]} scores hides nothing",
                help=f"use none(), or k below {answer.shape[1]}",
            )
        kept = answer.argsort(dim=-1, descending=True, stable=True)[..., : self.k]
        return _normalised(torch.zeros_like(answer).scatter(-1, kept, answer.gather(-1, kept)))


@dataclass(frozen=True)
class Cut(OutputTransform):
    """Scores of at least a cutoff, renormalised to sum 1; a row without any keeps its largest."""

    below: float

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Zero what lies below the cutoff."""
        kept = (answer >= self.below) | (_one_hot(answer) > 0)
        return _normalised(answer * kept)


@dataclass(frozen=True)
class LabelsOnly(OutputTransform):
    """Exactly one 1 per row, in the column of the largest score (the lower column wins between equals)."""

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return one-hot rows."""
        return _one_hot(answer)


@dataclass(frozen=True)
class Noisy(OutputTransform):
    """Scores with Gaussian noise, cut off at 0 and renormalised to sum 1."""

    deviation: float

    def __call__(self, answer: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """Add fresh noise to every answer; a row that noise empties keeps its largest score."""
        noise = torch.randn(answer.shape, generator=generator).to(answer)
        noisy = (answer + self.deviation * noise).clamp_min(0)
        empty = noisy.sum(-1, keepdim=True) == 0
        return _normalised(torch.where(empty, _one_hot(answer), noisy))


def round_scores(*, digits: int) -> OutputTransform:
    """Describe rounding (Fredrikson et al., CCS 2015)."""
    return Rounded(digits)


def truncate_scores(*, k: int) -> OutputTransform:
    """Describe the release of the k largest scores only (Yang et al., CCS 2019)."""
    return Truncated(k)


def cut_scores(*, below: float) -> OutputTransform:
    """Describe the release of confident scores only (as ART's HighConfidence, but renormalised).

    Raises:
        OperatorError: every score passes, which is no defense.
    """
    if below <= 0:
        raise OperatorError("a cutoff of 0 hides nothing", help="use none(), or a cutoff such as below = 0.25")
    return Cut(below)


def labels_only() -> OutputTransform:
    """Describe the release of the label alone."""
    return LabelsOnly()


def noise_scores(*, deviation: float) -> OutputTransform:
    """Describe Gaussian noise on scores (as ART's GaussianNoise).

    Raises:
        OperatorError: there is no noise.
    """
    if deviation <= 0:
        raise OperatorError("noise of deviation 0 hides nothing", help="use none(), or a deviation such as 0.2")
    return Noisy(deviation)


def _one_hot(answer: torch.Tensor) -> torch.Tensor:
    first = answer.argsort(dim=-1, descending=True, stable=True)[..., :1]
    return torch.zeros_like(answer).scatter(-1, first, 1.0)


def _normalised(answer: torch.Tensor) -> torch.Tensor:
    return answer / answer.sum(-1, keepdim=True)
