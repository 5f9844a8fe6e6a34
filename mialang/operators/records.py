"""Records: labelled inputs, whatever their modality."""

from __future__ import annotations

from typing import Protocol, Self

import torch


class Records(Protocol):
    """What operators that are not tied to a modality expect of data."""

    def __len__(self) -> int:
        """Return the number of records."""

    @property
    def inputs(self) -> torch.Tensor:
        """Model inputs `[n, …]`."""

    @property
    def targets(self) -> torch.Tensor:
        """Class ids `[n]`."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur."""

    def first(self, limit: int) -> Self:
        """Return up to `limit` records, the classes evenly spread."""
