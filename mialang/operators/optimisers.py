"""Optimisers as descriptions: every row of the search variable is its own problem, stepped together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

State = dict[str, torch.Tensor]


class Optimiser(ABC):
    """A rule from gradients to steps that treats rows independently."""

    @abstractmethod
    def start(self, code: torch.Tensor) -> State:
        """Return the state before the first step for variables `[n, …]`."""

    @abstractmethod
    def step(self, code: torch.Tensor, gradient: torch.Tensor, state: State) -> torch.Tensor:
        """Return the variables after one step, and bring `state` up to date in place."""


@dataclass(frozen=True)
class Nesterov(Optimiser):
    """Gradient descent with momentum, plain or Nesterov's.

    Attributes:
        lr: step size.
        momentum: share of the velocity kept.
        ahead: whether the step looks ahead along the velocity (Nesterov).
    """

    lr: float
    momentum: float
    ahead: bool

    def start(self, code: torch.Tensor) -> State:
        """Start at rest."""
        return {"velocity": torch.zeros_like(code)}

    def step(self, code: torch.Tensor, gradient: torch.Tensor, state: State) -> torch.Tensor:
        """Step along the velocity, which gathers `-lr · gradient`."""
        before = state["velocity"]
        velocity = self.momentum * before - self.lr * gradient
        state["velocity"] = velocity
        return code - self.momentum * before + (1 + self.momentum) * velocity if self.ahead else code + velocity


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam (Kingma and Ba, ICLR 2015): steps of about `lr` in every coordinate, whatever the gradient's scale.

    Attributes:
        lr: step size.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
    """

    lr: float
    beta1: float
    beta2: float

    def start(self, code: torch.Tensor) -> State:
        """Start with empty moments."""
        zero = torch.zeros_like(code)
        return {"mean": zero, "square": zero.clone(), "count": torch.zeros((), device=code.device)}

    def step(self, code: torch.Tensor, gradient: torch.Tensor, state: State) -> torch.Tensor:
        """Step against the mean gradient over its root mean square, both corrected for the empty start."""
        state["count"] = count = state["count"] + 1
        state["mean"] = mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        state["square"] = square = self.beta2 * state["square"] + (1 - self.beta2) * gradient**2
        mean = mean / (1 - self.beta1**count)
        square = square / (1 - self.beta2**count)
        return code - self.lr * mean / (square.sqrt() + 1e-8)


def sgd(*, lr: float, momentum: float) -> Optimiser:
    """Describe gradient descent with momentum."""
    return Nesterov(lr, momentum, ahead=False)


def nesterov(*, lr: float, momentum: float) -> Optimiser:
    """Describe gradient descent with Nesterov's momentum."""
    return Nesterov(lr, momentum, ahead=True)


def adam(*, lr: float, beta1: float, beta2: float) -> Optimiser:
    """Describe Adam."""
    return Adam(lr, beta1, beta2)
