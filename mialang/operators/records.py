"""Records: inputs of a model, labelled where there are classes, whatever their modality."""

from __future__ import annotations

from typing import Any, Protocol, Self

import torch


class Records(Protocol):
    """What operators that are not tied to a modality expect of data."""

    def __len__(self) -> int:
        """Return the number of records."""

    @property
    def inputs(self) -> Any:
        """Model inputs: a tensor `[n, …]`, or a sequence of n strings."""

    @property
    def targets(self) -> torch.Tensor:
        """Class ids `[n]`; an error where the data have no classes."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur; empty where the data have no classes."""

    def first(self, limit: int) -> Self:
        """Return up to `limit` records, the classes evenly spread."""
