"""Training defenses: terms that a classifier's `training` parameter takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mialang.operators.defenses.private import PrivateTraining
from mialang.operators.errors import OperatorError
from mialang.operators.training import TrainingDefense


@dataclass(frozen=True)
class NegativeLabelSmoothing(TrainingDefense):
    """`(1 − α_t)·NLL + α_t·mean_j(−log p_j)` with α_t = 0 up to `start`, then linear to α at `full`.

    Attributes:
        alpha: α, negative.
        start: share of the epochs before smoothing sets in.
        full: share of the epochs after which it is complete.
    """

    alpha: float
    start: float
    full: float

    def strength(self, epoch: int, epochs: int) -> float:
        """Return α_t for an epoch counted from 0."""
        done = epoch / epochs
        if done >= self.full:
            return self.alpha
        return self.alpha * max(0.0, (done - self.start) / (self.full - self.start)) if done > self.start else 0.0

    def loss(self, logits: torch.Tensor, columns: torch.Tensor, epoch: int, epochs: int) -> torch.Tensor:
        """Return the smoothed loss per record `[n]`."""
        alpha = self.strength(epoch, epochs)
        logs = logits.log_softmax(dim=1)
        return -(1 - alpha) * logs.gather(1, columns.unsqueeze(1)).squeeze(1) - alpha * logs.mean(dim=1)


def negative_label_smoothing(*, alpha: float, start: float, full: float) -> TrainingDefense:
    """Describe negative label smoothing (Struppek et al., ICLR 2024, arXiv:2310.06549).

    Raises:
        OperatorError: α is 0, which is no defense, or the ramp ends before it starts.
    """
    if alpha == 0:
        raise OperatorError("label smoothing with alpha = 0 defends nothing", help="use none(), or alpha = -0.05")
    if full < start:
        raise OperatorError(
            f"the smoothing would be complete at {full:.0%} of training, before it starts at {start:.0%}",
            help="give `full` a value of at least `start`",
        )
    return NegativeLabelSmoothing(alpha, start, full)


def dp_sgd(
    *, noise_multiplier: float | None, epsilon: float | None, max_grad_norm: float, delta: float
) -> TrainingDefense:
    """Describe DP-SGD (Abadi et al., CCS 2016, arXiv:1607.00133).

    Raises:
        OperatorError: not exactly one of noise multiplier and ε is given, or the noise or the clipping norm is 0.
    """
    if (noise_multiplier is None) == (epsilon is None):
        raise OperatorError(
            "DP-SGD needs either a noise multiplier or an ε to reach",
            help="give `noise_multiplier = 1.0`, or `epsilon = 8`, not both",
        )
    if max_grad_norm <= 0:
        raise OperatorError("gradients clipped to 0 train nothing", help="use a `max_grad_norm` such as 1")
    if noise_multiplier == 0:
        raise OperatorError("DP-SGD with noise 0 gives no privacy", help="use a noise multiplier of .5 or more")
    return PrivateTraining(noise_multiplier, epsilon, max_grad_norm, delta)
