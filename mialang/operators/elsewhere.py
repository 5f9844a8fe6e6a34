"""Questions that are answered elsewhere, in another process, and differentiated all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch.autograd.function import once_differentiable

from mialang.operators.batches import Batch


class TurnBack(Protocol):
    """Turns the gradient of an answer into gradients of its question."""

    def __call__(self, gradient: torch.Tensor) -> Sequence[torch.Tensor | None]:
        """Return one gradient for each tensor of the question, None where it does not matter."""


Ask = Callable[[bool], tuple[Any, TurnBack | None]]


def answered(ask: Ask, found: Sequence[torch.Tensor]) -> Any:
    """Ask a question and return its answer, differentiable once where gradients are recorded.

    Args:
        ask: asks; told whether gradients are wanted, it returns the answer and what turns gradients back.
        found: the tensors of the question that require gradients.
    """
    if found and torch.is_grad_enabled():
        return _Elsewhere.apply(ask, *found)  # type: ignore[no-untyped-call]
    return ask(False)[0]


class _Elsewhere(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ask: Ask, *found: torch.Tensor) -> Any:
        answer, ctx.turn_back = ask(True)
        ctx.devices = [leaf.device for leaf in found]
        if ctx.turn_back is None:
            ctx.mark_non_differentiable(answer)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        made = ctx.turn_back(gradient)
        return None, *(None if each is None else each.to(place) for each, place in zip(made, ctx.devices, strict=True))


def like(answer: Batch, question: Any) -> Batch:
    """Return an answer on the device of its question, where it has one."""
    device = getattr(question, "device", None)
    return answer.to(device) if isinstance(answer, torch.Tensor) and device is not None else answer
