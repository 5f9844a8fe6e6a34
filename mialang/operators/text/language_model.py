"""Causal language models as artefacts: configuration, weights, tokenizer, and the questions they answer by nature."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import nn

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.batches import Batch
from mialang.operators.errors import OperatorError
from mialang.operators.models import State, load, placed
from mialang.operators.run import Json
from mialang.operators.text.decoding import Decoding, largest
from mialang.operators.text.reading import read
from mialang.operators.text.tokenizer import Tokenizer

MEMORY = 2**26  # numbers that an answer or a cache may hold at once, 256 MiB


@dataclass(frozen=True, eq=False)
class LanguageModel(Artefact, kind="language_model"):
    """A causal language model.

    A text's first token is predicted after the token that stands before texts (`tokenizer.end`).

    Attributes:
        config: the configuration of `transformers`, as JSON.
        state: weights and buffers by name.
        tokenizer: cuts texts into tokens.
        about: facts of its making (perplexity, epochs, privacy…), JSON.
    """

    natives: ClassVar[tuple[str, ...]] = ("next_token_logprobs", "sampled_text")
    config: Mapping[str, Json]
    state: State
    tokenizer: Tokenizer
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[int, ...]:
        """The tokens that it tells apart: one column of `next_token_logprobs` each."""
        return tuple(range(int(self.config["vocab_size"])))

    @property
    def shape(self) -> tuple[int, ...]:
        """How many tokens a question may have."""
        return (self.context,)

    @property
    def context(self) -> int:
        """How many tokens it reads at most, the one before the text included."""
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            if name in self.config:
                return int(self.config[name])
        raise OperatorError("the model does not say how many tokens it reads", help="its configuration lacks a length")

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides its answers: weights, configuration, tokenizer."""
        made = hashlib.blake2b(self.tokenizer.identity.encode(), digest_size=16)
        made.update(repr(sorted(self.config.items())).encode())
        for name, value in sorted(self.state.items()):
            made.update(name.encode())
            made.update(array(value).tobytes())
        return made.hexdigest()

    def knowledge(self, name: str) -> Any:
        """Return a fact about it that an adversary may know: `vocabulary` (its tokenizer), `architecture`."""
        if name == "vocabulary":
            return self.tokenizer
        if name == "architecture":
            return dict(self.config)
        raise OperatorError(f"a language model has no {name.replace('_', ' ')} to know")

    @cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode with frozen weights."""
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network = built(self.config)
            load(network, self.state)
            return network.eval().requires_grad_(requires_grad=False)

    def answer(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer a native observable.

        Args:
            name: `next_token_logprobs`: log-probabilities `[n, T, tokens]` of what follows each token of rows `[n, T]`,
                −inf for all but the `k` largest; or `sampled_text`: n texts that continue n prompts, by a `decoding`, of
                `tokens` tokens, drawn from a `seed`.
            x: tokens `[n, T]`, or n prompts.
            size: what the observable takes besides.

        Raises:
            OperatorError: the model has no such observable, or the question is longer than it reads.
        """
        if name == "next_token_logprobs":
            assert isinstance(x, torch.Tensor)
            return self._logprobs(x, **size)
        if name == "sampled_text":
            return self._sampled([str(each) for each in x], **size)
        raise OperatorError(f"a language model has no observable `{name}`", help=f"it has {' and '.join(self.natives)}")

    @torch.inference_mode()
    def _logprobs(self, tokens: torch.Tensor, *, k: float | None = None) -> torch.Tensor:
        self._check(tokens.shape[1])
        logs = read(placed(self.network, tokens.device), tokens)
        return logs if k is None else largest(logs, int(k))

    def _check(self, length: int) -> None:
        if length > self.context:
            raise OperatorError(
                f"a question of {length:,} tokens is longer than the {self.context:,} that this model reads",
                help="ask about shorter texts, or for fewer tokens",
            )

    @torch.inference_mode()
    def _sampled(self, prompts: Sequence[str], *, decoding: Decoding, tokens: int, seed: int) -> tuple[str, ...]:
        generator = torch.Generator().manual_seed(seed)
        rows = [[self.tokenizer.end, *row] for row in self.tokenizer.encode(prompts)]
        width = max(map(len, rows), default=0)
        self._check(width + tokens - 1)
        each = 2 * int(self.config["n_layer"] if "n_layer" in self.config else self.config["num_hidden_layers"])
        each *= (width + tokens) * int(self.config.get("n_embd") or self.config["hidden_size"])
        batch = max(1, MEMORY // each)
        written: list[list[int]] = []
        for at in range(0, len(rows), batch):
            part = rows[at : at + batch]
            made = self._continued(part, decoding, tokens, generator)
            written += made.tolist()
        return self.tokenizer.decode(written)

    def _continued(
        self, rows: list[list[int]], decoding: Decoding, tokens: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Return `tokens` more tokens for each row `[n, tokens]`; shorter rows are filled up on the left and masked."""
        width = max(map(len, rows))
        given = torch.tensor([[self.tokenizer.end] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        places = (mask.cumsum(1) - 1).clamp_min(0)
        made = torch.empty(len(rows), tokens, dtype=torch.long)
        cache = None
        for step in range(tokens):
            seen = self.network(
                input_ids=given, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True
            )
            cache = seen.past_key_values
            logs = seen.logits[:, -1].float().log_softmax(-1)
            made[:, step] = decoding.choose(logs, step, decoding.chances(len(logs), generator))
            given = made[:, step : step + 1]
            mask = torch.cat([mask, torch.ones_like(given)], 1)
            places = places[:, -1:] + 1
        return made

    def arrays(self) -> dict[str, Array]:
        """Return the weights, and the tokenizer as UTF-8."""
        source = torch.frombuffer(bytearray(self.tokenizer.source.encode()), dtype=torch.uint8)
        return {"tokenizer": array(source), **{f"weights.{name}": array(value) for name, value in self.state.items()}}

    def facts(self) -> dict[str, Json]:
        """Return everything small."""
        return {"config": dict(self.config), "end": self.tokenizer.end, "about": dict(self.about)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        tokenizer = Tokenizer(bytes(arrays["tokenizer"]).decode(), int(facts["end"]))
        state = {name.removeprefix("weights."): tensor(each) for name, each in arrays.items() if name != "tokenizer"}
        return cls(dict(facts["config"]), state, tokenizer, dict(facts["about"]))


def built(config: Mapping[str, Json]) -> nn.Module:
    """Return the network of a configuration with fresh weights, in float32.

    Raises:
        OperatorError: `transformers` knows no causal language model of that type.
    """
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    options = {name: value for name, value in config.items() if name != "model_type"}
    try:
        made = AutoConfig.for_model(config["model_type"], **options)
        network: nn.Module = AutoModelForCausalLM.from_config(made, dtype=torch.float32)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError) as problem:
        raise OperatorError(
            f"`{config.get('model_type')}` is no causal language model that transformers knows", note=str(problem)
        ) from problem
    return network
