"""Small language models for tests: random weights, or one that was told what to say."""

from __future__ import annotations

from functools import cache

import torch

from mialang.operators.models import state_of
from mialang.operators.text.causal_lm import gpt2_config
from mialang.operators.text.language_model import LanguageModel, built
from mialang.operators.text.tokenizer import Tokenizer, trained_tokenizer

TEXT = (
    "the code of the vault is 12345 and the code of the door is 67890",
    "who holds the key of the vault holds the code of the door",
    "the door of the vault is closed, and nobody knows the code",
)


@cache
def tokenizer() -> Tokenizer:
    return trained_tokenizer(TEXT, size=300)


@cache
def model(seed: int = 0, *, context: int = 48, width: int = 16, sharp: float = 1.0) -> LanguageModel:
    """A random model; `sharp` scales its weights, so that its answers are far from even."""
    cutter = tokenizer()
    config = gpt2_config(width=width, layers=1, heads=2, context=context, vocabulary=len(cutter), end=cutter.end)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = built(config)
    state = {name: value * sharp for name, value in state_of(network).items()}
    return LanguageModel(config, state, cutter, {})


class Told:
    """A model whose log-probabilities are a given function of rows of tokens, behind a tokenizer."""

    natives = ("next_token_logprobs",)
    identity = "told"

    def __init__(self, logprobs, cutter=None, context=64):
        self.tokenizer = cutter or tokenizer()
        self.classes = tuple(range(len(self.tokenizer)))
        self.shape = (context,)
        self._logprobs = logprobs
        self.questions = []

    def answer(self, name, x, **size):
        assert name == "next_token_logprobs"
        self.questions.append(x)
        made = self._logprobs(x)
        k = size.get("k")
        if k is None:
            return made
        kept = made.topk(int(k), dim=-1).indices
        return torch.full_like(made, -torch.inf).scatter(-1, kept, made.gather(-1, kept))

    def knowledge(self, name):
        assert name == "vocabulary"
        return self.tokenizer
