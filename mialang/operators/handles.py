"""Handles: the only way in which an operator asks a model anything."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from mialang.operators.batches import Batch


class Handle(Protocol):
    """A model behind its access: it answers what is granted, meters it, and refuses the rest.

    The engine supplies the class. Operators cannot tell the target from a decoy, nor a metered model from their own.
    """

    @property
    def name(self) -> str:
        """What the model is called in formulas and messages."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Original class ids; column j of `scores` belongs to `classes[j]`. Empty for what is no classifier."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input; empty where it is a string."""

    @property
    def identity(self) -> str:
        """Hash of all that decides its answers, for models that tell; what was fitted to one fits no other."""

    @property
    def remaining(self) -> int | None:
        """How many questions may still be asked; None = unmetered."""

    def ask(self, name: str, x: Batch, **size: Any) -> Any:
        """Answer `n` questions.

        Args:
            name: an observable (`logits`, `scores`, `top_k`, `label`, `features`…).
            x: a tensor `[n, *shape]` in the model's input range, or a sequence of n inputs (strings). If it requires
                gradients, so does the answer.
            size: parameters of the observable, as `k` of `top_k`.

        Returns:
            A tensor `[n, …]` or a sequence of n answers; for `label`, class ids `[n]`.
        """

    def know(self, name: str) -> Any:
        """Return a fact about the model that is granted, as its `vocabulary`."""

    def column(self, labels: torch.Tensor) -> torch.Tensor:
        """Map class ids `[n]` to columns of `scores` `[n]`."""

    def model(self) -> Any:
        """Return the model itself, for who holds the weights; refused otherwise."""
