"""Terms of objectives: what a candidate should look like to a model, to a critic, to a norm.

Each function describes an objective with one value per candidate. Terms that ask a classifier speak about the class
that the candidate claims, written y below; l are logits, p their softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from mialang.operators.algebra import Objective, Point
from mialang.operators.artefacts import Array
from mialang.operators.handles import Handle
from mialang.operators.moments import Statistics

SMALLEST = torch.finfo(torch.float32).tiny  # probabilities below are held there, so that logarithms stay finite


@dataclass(frozen=True)
class Identity(Objective):
    """A function of a classifier's answers and of the column that the candidate claims."""

    title: str
    of: Handle
    observable: str
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`."""
        answer = point.ask(self.of, self.observable)
        return self.value(answer, self.of.column(point.claimed()).unsqueeze(1))

    def formula(self) -> str:
        """Return the call."""
        return f"{self.title}({self.of.name})"

    def models(self) -> tuple[Handle, ...]:
        """Return the classifier."""
        return (self.of,)


def cross_entropy(*, of: Handle, labels: Labels | None) -> Objective:
    """Describe −log p_y, y being the class claimed; or, with labels, the mean of it over the parts of one whole."""
    if labels is not None:
        return LabelledParts(of, labels)
    return Identity("cross_entropy", of, "scores", lambda p, y: -_pick(p, y).clamp_min(SMALLEST).log())


class Labels(Protocol):
    """The class of every part of a whole (of every node of a graph)."""

    values: Array


@dataclass(frozen=True)
class LabelledParts(Objective):
    """Mean of −log p_y over the parts of one whole, whose classes y are known."""

    of: Handle
    labels: Labels

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]` for answers `[n, parts, classes]`."""
        scores: torch.Tensor = point.ask(self.of, "scores")
        columns = self.of.column(torch.from_numpy(self.labels.values)).to(scores.device)
        chosen = scores.gather(2, columns.expand(len(scores), -1).unsqueeze(2)).squeeze(2)
        return -chosen.clamp_min(SMALLEST).log().mean(1)

    def formula(self) -> str:
        """Return the call."""
        return f"cross_entropy({self.of.name}, labels)"

    def models(self) -> tuple[Handle, ...]:
        """Return the classifier."""
        return (self.of,)

    def units(self) -> tuple[int, ...]:
        """Return the one whole."""
        return (0,)


def confidence(*, of: Handle) -> Objective:
    """Describe p_y, for selection."""
    return Identity("confidence", of, "scores", _pick)


def one_minus_confidence(*, of: Handle) -> Objective:
    """Describe 1 − p_y, the cost of MI-Face (Fredrikson et al., CCS 2015)."""
    return Identity("one_minus_confidence", of, "scores", lambda p, y: 1 - _pick(p, y))


def negative_logit(*, of: Handle) -> Objective:
    """Describe −l_y, the identity loss of LOMMA (Nguyen et al., CVPR 2023)."""
    return Identity("negative_logit", of, "logits", lambda logits, y: -_pick(logits, y))


def margin(*, of: Handle) -> Objective:
    """Describe max_{j≠y} l_j − l_y (Yuan et al., AAAI 2023)."""
    return Identity("margin", of, "logits", _margin)


def poincare(*, of: Handle) -> Objective:
    """Describe the Poincaré distance of logits from the class's corner (Struppek et al., ICML 2022)."""
    return Identity("poincare", of, "logits", _poincare)


def agreement(*, of: Handle) -> Objective:
    """Describe 1 where the label answered is the class claimed, else 0: the score that labels alone allow."""
    return Agreement(of)


@dataclass(frozen=True)
class Agreement(Objective):
    """Whether the label that a model answers is the class claimed."""

    of: Handle

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]` of 0 and 1."""
        label: torch.Tensor = point.ask(self.of, "label")
        return (label == point.claimed()).float()

    def formula(self) -> str:
        """Return the call."""
        return f"agreement({self.of.name})"

    def models(self) -> tuple[Handle, ...]:
        """Return the classifier."""
        return (self.of,)


@dataclass(frozen=True)
class FeatureRegulariser(Objective):
    """Mean squared distance of a candidate's features from a draw of the public features' normal distribution."""

    of: Handle
    statistics: Statistics
    draw: bool

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`; every candidate and step has a draw of its own."""
        features: torch.Tensor = point.ask(self.of, "features").flatten(1)
        anchor = self.statistics.mean.to(features)
        if self.draw:
            noise = torch.randn(features.shape, generator=point.generator).to(features)
            anchor = anchor + self.statistics.deviation.to(features) * noise
        return (features - anchor).square().mean(1)

    def formula(self) -> str:
        """Return the call."""
        return f"feature_regulariser({self.of.name})"

    def models(self) -> tuple[Handle, ...]:
        """Return the classifier."""
        return (self.of,)


def feature_regulariser(*, of: Handle, statistics: Statistics, draw: bool) -> Objective:
    """Describe mean_d (φ_d − φ_reg,d)², with φ_reg drawn from N(μ, σ²) of public features, or μ if not `draw`."""
    return FeatureRegulariser(of, statistics, draw)


@dataclass(frozen=True)
class L2(Objective):
    """Squared length of a candidate."""

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`."""
        value: torch.Tensor = point.value
        return value.flatten(1).square().sum(1)

    def formula(self) -> str:
        """Return the call."""
        return "l2()"


def l2() -> Objective:
    """Describe the sum of squares of a candidate's values."""
    return L2()


def _pick(answer: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    return answer.gather(1, column).squeeze(1)


def _margin(logits: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    others = logits.scatter(1, column, -torch.inf).max(dim=1).values
    return others - _pick(logits, column)


def _poincare(logits: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    # The corner is pulled in by 1e-4 as in the released code: on the unit ball's edge distances are infinite.
    u = functional.normalize(logits, p=1, dim=1)
    v = (torch.zeros_like(logits).scatter(1, column, 1.0) - 1e-4).clamp(0, 1)
    spread = (1 - u.square().sum(1)).clamp_min(1e-7) * (1 - v.square().sum(1))
    return torch.acosh(1 + 2 * (u - v).square().sum(1) / spread)
