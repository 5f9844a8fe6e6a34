"""Observables as functions: how a weak answer is computed from a strong one, and what a decoy answers in its place.

A witness takes the answer to the stronger observable and returns the weaker; it runs inside the handle, along the order
that `stdlib/observable.mia` declares.
"""

from __future__ import annotations

import torch

from mialang.operators.batches import Batch, rows


def scores(answer: torch.Tensor, *, classes: tuple[int, ...]) -> torch.Tensor:  # noqa: ARG001 - all witnesses alike
    """Return softmax probabilities `[…, classes]` of logits `[…, classes]`."""
    return answer.softmax(dim=-1)


def top_k(answer: torch.Tensor, *, classes: tuple[int, ...], k: int) -> torch.Tensor:  # noqa: ARG001 - as above
    """Return scores `[n, classes]` with all but the k largest of each row set to 0, not renormalised.

    Exactly k entries stay in each row, also between equal scores (the lower column wins).
    """
    kept = _order(answer)[:, :k]
    return torch.zeros_like(answer).scatter(1, kept, answer.gather(1, kept))


def label(answer: torch.Tensor, *, classes: tuple[int, ...]) -> torch.Tensor:
    """Return the class ids `[n]` of the largest score of each row (the lower column wins between equals)."""
    ids = torch.tensor(classes, device=answer.device)
    return ids[_order(answer)[:, 0]]


def permuted(answer: Batch, *, generator: torch.Generator) -> Batch:
    """Return answers (a tensor `[n, …]`, or a sequence of n) in another order: the decoy of everything that is asked about an input.

    No answer stays with its question where that can be helped (n > 1): the order is a random cycle. If the answer
    depends on something that requires gradients, the result does too, with gradient zero.
    """
    n = len(answer)
    if n == 0:
        return answer
    cycle = torch.randperm(n, generator=generator)
    source = torch.empty(n, dtype=torch.long)
    source[cycle] = cycle.roll(1)
    if not isinstance(answer, torch.Tensor):
        return rows(answer, source)
    moved = answer.detach()[source.to(answer.device)]
    return moved + 0 * answer if answer.requires_grad else moved


def _order(answer: torch.Tensor) -> torch.Tensor:
    return answer.argsort(dim=1, descending=True, stable=True)
