"""Alignment: from the space of one encoder into that of another, by a few texts whose vectors are known in both."""

from __future__ import annotations

import torch
from torch.nn import functional

from mialang.operators.asking import Pairs
from mialang.operators.handles import Handle
from mialang.operators.leaks import Embeddings, same_encoder, same_width
from mialang.operators.run import Run


@torch.inference_mode()
def align(*, of: Embeddings, pairs: Pairs, into: Handle, ridge: float, run: Run) -> Embeddings:
    """Carry embeddings into another encoder's space: W = (XᵀX + λI)⁺XᵀY, then e ↦ norm(eW).

    With λ = 0 it is the least-squares map of smallest norm, which exists for one pair already.

    Args:
        of: embeddings `[n, D]` of the target's encoder.
        pairs: k texts with the target's embeddings X `[k, D]`.
        into: the attacker's own encoder; its embeddings of the same texts are Y `[k, A]`.
        ridge: λ.
        run: takes notes: `residual`, the mean squared error on the pairs.

    Raises:
        OperatorError: the pairs come from another encoder than the embeddings.
    """
    same_width(pairs.answers.shape[1], of.vectors.shape[1], "the alignment")
    same_encoder(pairs.identity, of.identity, "the alignment")
    x = functional.normalize(pairs.answers.double(), dim=1)
    y = functional.normalize(into.ask("embedding", pairs.inputs).double(), dim=1)
    # The same map in the smaller of two forms: (XᵀX + λI)⁺Xᵀ = Xᵀ(XXᵀ + λI)⁺.
    gram = x @ x.T + ridge * torch.eye(len(x), dtype=x.dtype) if len(x) < x.shape[1] else None
    if gram is not None:
        weights = x.T @ torch.linalg.pinv(gram, hermitian=True) @ y
    else:
        inner = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
        weights = torch.linalg.pinv(inner, hermitian=True) @ x.T @ y
    run.note("residual", float((x @ weights - y).square().sum(1).mean()))
    run.note("pairs", len(x))
    moved = functional.normalize(of.vectors.double(), dim=1) @ weights
    return Embeddings(functional.normalize(moved, dim=1).float(), into.identity)
