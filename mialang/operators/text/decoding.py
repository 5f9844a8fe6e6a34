"""Decoding: how the next token is chosen from a model's log-probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mialang.operators.errors import OperatorError


@dataclass(frozen=True)
class Decoding:
    """A rule from log-probabilities to the next token (a term of kind `decoding`).

    Attributes:
        top_k: only the k likeliest tokens may follow; 1 is greedy; None = all.
        top_p: only the likeliest tokens may follow that reach this share together; 1 = all.
        temperature: divides log-probabilities before they are renormalised.
        start: temperature of the first token; it falls in a straight line to `temperature`.
        over: how many tokens the fall takes; 0 = none.
    """

    top_k: int | None = None
    top_p: float = 1.0
    temperature: float = 1.0
    start: float = 1.0
    over: int = 0

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.top_k == 1

    def at(self, step: int) -> float:
        """Return the temperature of a token, counted from 0."""
        if step >= self.over:
            return self.temperature
        return self.start + (self.temperature - self.start) * step / self.over

    def logprobs(self, answer: torch.Tensor, step: int) -> torch.Tensor:
        """Return the log-probabilities `[…, tokens]` with which this rule chooses, −inf for what it never chooses.

        Args:
            answer: log-probabilities `[…, tokens]` as a model gave them; −inf where it gave none.
            step: how many tokens were chosen before.
        """
        made = answer / self.at(step)
        if self.top_k is not None:
            made = largest(made, self.top_k)
        if self.top_p < 1:
            order = made.argsort(dim=-1, descending=True, stable=True)
            shares = made.gather(-1, order).softmax(-1)
            past = shares.cumsum(-1) - shares >= self.top_p
            made = made.masked_fill(torch.zeros_like(past).scatter(-1, order, past), -math.inf)
        return made.log_softmax(-1)

    def chances(self, rows: int, generator: torch.Generator) -> torch.Tensor:
        """Draw what decides one token of each row: uniform numbers `[rows, 1]` in double precision, or nothing if greedy."""
        if self.is_greedy:
            return torch.zeros(rows, 1, dtype=torch.float64)
        return torch.rand(rows, 1, generator=generator, dtype=torch.float64)

    def choose(self, answer: torch.Tensor, step: int, chances: torch.Tensor) -> torch.Tensor:
        """Return one token per row `[n]`.

        Args:
            answer: log-probabilities `[n, tokens]`.
            step: how many tokens were chosen before.
            chances: of `chances`, `[n, 1]`.
        """
        logs = self.logprobs(answer, step)
        if self.is_greedy:
            return logs.argmax(-1)
        # The inverse of the distribution function, in double precision; `torch.multinomial` takes longer over whole vocabularies.
        reached = logs.double().exp().cumsum(-1)
        drawn = chances * reached[:, -1:]
        return torch.searchsorted(reached, drawn, right=True).squeeze(1).clamp_max(logs.shape[-1] - 1)

    def formula(self) -> str:
        """Return the rule in words."""
        if self.is_greedy:
            return "the likeliest token"
        limits = [f"top {self.top_k}"] if self.top_k is not None else []
        limits += [f"top p {self.top_p:g}"] if self.top_p < 1 else []
        heat = f"temperature {self.temperature:g}"
        if self.over:
            heat = f"temperature {self.start:g} to {self.temperature:g} over {self.over} tokens"
        return ", ".join([*limits, heat])


def largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """Return values `[…, m]` with all but the k largest of each row at −inf: exactly k stay, of equals the first ones."""
    if k >= values.shape[-1]:
        return values
    least = values.topk(k, dim=-1).values[..., -1:]
    above, level = values > least, values == least
    room = k - above.sum(-1, keepdim=True)
    return values.masked_fill(~(above | (level & (level.cumsum(-1) <= room))), -math.inf)


def likeliest_token() -> Decoding:
    """Describe greedy decoding."""
    return Decoding(top_k=1)


def random_token(*, top_k: int | None, top_p: float, temperature: float) -> Decoding:
    """Describe sampling among the likeliest tokens.

    Raises:
        OperatorError: nothing would be left to choose from.
    """
    _positive(top_p, "top_p")
    _positive(temperature, "temperature")
    return Decoding(top_k, top_p, temperature)


def cooling_token(*, start: float, over: int, top_k: int | None, temperature: float) -> Decoding:
    """Describe sampling that starts hot and cools down (Carlini et al., USENIX Security 2021)."""
    _positive(start, "start")
    _positive(temperature, "temperature")
    return Decoding(top_k, 1.0, temperature, start, over)


def _positive(value: float, name: str) -> None:
    if value <= 0:
        raise OperatorError(f"{name} = {value:g} leaves no token to choose", help="give it a value above 0")
