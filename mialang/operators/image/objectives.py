"""Objectives that only make sense for images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mialang.operators.algebra import Objective, Point


@dataclass(frozen=True)
class TotalVariation(Objective):
    """Mean absolute difference of neighbouring pixels, down plus across."""

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`."""
        x: torch.Tensor = point.value
        down = (x[:, :, 1:] - x[:, :, :-1]).abs().flatten(1).mean(1)
        across = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().flatten(1).mean(1)
        return down + across

    def formula(self) -> str:
        """Return the call."""
        return "total_variation()"


def total_variation() -> Objective:
    """Describe the total variation of a picture, anisotropic, as a mean over pixels."""
    return TotalVariation()
