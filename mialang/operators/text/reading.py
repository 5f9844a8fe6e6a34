"""Reading rows of tokens with a causal language model: what rows share is read once."""

from __future__ import annotations

import torch
from torch import nn


def read(network: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities `[n, T, tokens]` of what follows each token of rows `[n, T]`.

    Where it spares half of the tokens or more, a beginning that rows share is read once, and each row goes on from there.

    Args:
        network: a causal language model of `transformers`.
        tokens: n ≥ 0 rows of T ≥ 1 tokens.
    """
    from transformers import Cache  # noqa: PLC0415 - slow to import

    length, heads, place = beginnings(tokens)
    if length and len(heads) * length + len(tokens) * (tokens.shape[1] - length) <= tokens.numel() / 2:
        begun = network(input_ids=heads, use_cache=True)
        cache = getattr(begun, "past_key_values", None)
        if isinstance(cache, Cache):  # models without attention hold something else, or nothing
            cache.batch_select_indices(place)
            ended = network(input_ids=tokens[:, length:], past_key_values=cache, use_cache=True)
            first, second = begun.logits.float().log_softmax(-1)[place], ended.logits.float().log_softmax(-1)
            return torch.cat([first, second], 1)
    logs: torch.Tensor = network(input_ids=tokens, use_cache=False).logits.float().log_softmax(-1)
    return logs


def beginnings(tokens: torch.Tensor) -> tuple[int, torch.Tensor, torch.Tensor]:
    """Find the length L < T at which reading each beginning of rows `[n, T]` once leaves the fewest tokens to read.

    Returns:
        L, 0 where nothing is shared; the m different beginnings `[m, L]`; and which of them each row has, `[n]`.
    """
    rows, place = tokens.unique(dim=0, return_inverse=True)  # in order: rows that begin alike lie together
    alike = (rows[1:] == rows[:-1]).cumprod(1).sum(1)  # [rows − 1] how many tokens each shares with the one before it
    lengths = torch.arange(tokens.shape[1], device=tokens.device)
    different = 1 + (alike[:, None] < lengths).sum(0)
    length = int((different * lengths + len(tokens) * (tokens.shape[1] - lengths)).argmin())
    fresh = torch.ones(len(rows), dtype=torch.bool, device=tokens.device)  # whether each begins unlike the one before
    fresh[1:] = alike < length
    return length, rows[fresh, :length], (fresh.cumsum(0) - 1)[place]
