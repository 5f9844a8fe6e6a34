"""Beam search: the likeliest text, looked for among several beginnings at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Beam:
    """How many beginnings are kept at every token (a term of kind `reading`)."""

    width: int

    def formula(self) -> str:
        """Return the rule in words."""
        return f"beam of {self.width}"


def beam(*, width: int) -> Beam:
    """Describe a beam search."""
    return Beam(width)


def beam_search(
    network: Any, start: torch.Tensor, end: int, longest: int, width: int
) -> tuple[list[list[int]], torch.Tensor]:
    """Return the likeliest text found for each beginning.

    A text's score is the *sum of the log-probabilities* of its tokens, the end included; nothing is divided by length.
    A text that has ended keeps its score and competes with those that go on.

    Args:
        network: a causal language model of `transformers`.
        start: vectors of what stands before the text, `[n, p, d]`.
        end: the token that ends a text.
        longest: how many tokens a text may have.
        width: how many beginnings are kept per text.

    Returns:
        n rows of tokens without the end, and their scores `[n]`.
    """
    n, device = len(start), start.device
    look_up = network.get_input_embeddings()
    answer = network(inputs_embeds=start.repeat_interleave(width, dim=0), use_cache=True)
    cache, logs = answer.past_key_values, answer.logits[:, -1].float().log_softmax(-1)
    size = logs.shape[-1]
    # At first all beginnings of a text are the same: only one of them may be continued.
    score = torch.full((n, width), -torch.inf, device=device)
    score[:, 0] = 0.0
    ended = torch.zeros(n, width, dtype=torch.bool, device=device)
    written = torch.empty(n, width, 0, dtype=torch.long, device=device)
    stay = torch.full((size,), -torch.inf, device=device)
    stay[end] = 0.0
    base = (torch.arange(n, device=device) * width).unsqueeze(1)
    for step in range(longest):
        onward = torch.where(ended.unsqueeze(-1), stay, logs.reshape(n, width, size))
        every = (score.unsqueeze(-1) + onward).flatten(1)
        score, place = every.topk(width, dim=1)
        parent, token = place // size, place % size
        ended = ended.gather(1, parent) | (token == end)
        written = torch.cat([written.gather(1, parent.unsqueeze(-1).expand_as(written)), token.unsqueeze(-1)], dim=2)
        if bool(ended.all()) or step + 1 == longest:
            break
        cache.reorder_cache((base + parent).flatten())
        answer = network(inputs_embeds=look_up(token.flatten()).unsqueeze(1), past_key_values=cache, use_cache=True)
        cache, logs = answer.past_key_values, answer.logits[:, -1].float().log_softmax(-1)
    best = score.argmax(dim=1)
    rows = written[torch.arange(n, device=device), best].tolist()
    return [row[: row.index(end)] if end in row else row for row in rows], score.amax(dim=1)
