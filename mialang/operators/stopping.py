"""When a row of a search may stop before its last step."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Stopping:
    """Stop a row once its cost is low enough, or has not improved for a while (Fredrikson et al., CCS 2015).

    Attributes:
        below: stop when the cost is at most this.
        window: stop when the cost is at least the largest of the last `window` costs.
    """

    below: float
    window: int

    def stops(self, cost: torch.Tensor, recent: torch.Tensor) -> torch.Tensor:
        """Return which rows stop, `[n]` bool.

        Args:
            cost: `[n]` costs of this step.
            recent: `[w, n]` costs of up to `window` steps before; fewer than `window` = too early to judge.
        """
        done = cost <= self.below
        if len(recent) >= self.window:
            done = done | (cost >= recent.max(dim=0).values)
        return done


def converged(*, below: float, window: int) -> Stopping:
    """Describe the stopping rule of MI-Face."""
    return Stopping(below, window)
