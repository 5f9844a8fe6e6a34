"""Search spaces: where a search starts, what a point decodes to, and how a point is brought back inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from mialang.operators.artefacts import Artefact
from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle


class Space(ABC):
    """A set of codes `[n, …]` with a differentiable decoding."""

    @abstractmethod
    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return `n` independent starting codes."""

    @abstractmethod
    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return the candidates `[n, …]` that codes stand for."""

    @abstractmethod
    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Return the nearest codes inside the space; a code inside comes back unchanged."""

    def handed_over(self, found: Found) -> Artefact:
        """Return what a search hands over: candidates, unless the space has a form of its own for them."""
        with torch.inference_mode():
            values = torch.cat([self.decode(part) for part in found.code.split(found.rows)])
        return Candidates(
            values=values.cpu().clone(),
            labels=found.labels,
            scores=found.scores,
            group=found.labels,
            attempted=found.attempted,
            code=found.code.cpu(),
        )


@dataclass(frozen=True, eq=False)
class Found:
    """Where a search ended.

    Attributes:
        code: `[n, …]`.
        labels: `[n]` the unit of each, on the CPU.
        scores: `[n]` the objective of each, on the CPU.
        attempted: all units.
        rows: how many are decoded at once.
    """

    code: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    attempted: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Clamped(Space):
    """Another space with every coordinate held in [-bound, bound]."""

    inner: Space
    bound: float

    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return starts of the inner space, brought inside."""
        return self.project(self.inner.start(n, generator))

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Decode as the inner space does."""
        return self.inner.decode(code)

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Clamp every coordinate."""
        return self.inner.project(code).clamp(-self.bound, self.bound)

    def handed_over(self, found: Found) -> Artefact:
        """Hand over what the inner space does."""
        return self.inner.handed_over(found)


@dataclass(frozen=True)
class Pixels(Space):
    """Inputs of a model themselves, each coordinate in [0, 1].

    Attributes:
        shape: shape of one input.
        level: value of every coordinate at the start.
        spread: standard deviation of Gaussian noise added to it, so that starts differ.
    """

    shape: tuple[int, ...]
    level: float
    spread: float

    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return flat inputs with noise."""
        noise = torch.randn(n, *self.shape, generator=generator)
        return self.project(self.level + self.spread * noise)

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return the code, which is the input."""
        return code

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Clamp to [0, 1]."""
        return code.clamp(0, 1)


def clamp(*, space: Space, to: float) -> Space:
    """Describe a space with every coordinate held in [-to, to]."""
    return Clamped(space, to)


def pixels(*, of: Handle, level: float, spread: float) -> Space:
    """Describe the input space of a model."""
    return Pixels(of.shape, level, spread)
