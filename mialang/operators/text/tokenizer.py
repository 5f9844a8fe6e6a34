"""Tokenizers: byte-level BPE trained here, or whatever comes with a pretrained model, as plain JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from mialang.operators.errors import OperatorError

END = "<|endoftext|>"  # stands before and between texts
BYTES = 256


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer by its JSON form (`tokenizers`), and the token that stands before and between texts.

    Attributes:
        source: the JSON form.
        end: id of the token that stands before and between texts.
    """

    source: str
    end: int

    @cached_property
    def _engine(self) -> Any:
        from tokenizers import Tokenizer as Engine  # noqa: PLC0415 - only who works with a language model needs it

        return Engine.from_str(self.source)

    def __len__(self) -> int:
        """Return the number of tokens that it knows, those added later included."""
        return int(self._engine.get_vocab_size())

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides which tokens a text has."""
        return hashlib.blake2b(f"{self.end}\n{self.source}".encode(), digest_size=16).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, without any that mark its start or end."""
        return [found.ids for found in self._engine.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, tokens: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return texts; tokens that mark starts and ends are left out, bytes that are no UTF-8 become U+FFFD."""
        return tuple(self._engine.decode_batch([list(row) for row in tokens], skip_special_tokens=True))

    def batch(self, texts: Sequence[str], *, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return texts as rows of tokens, each begun by `end`.

        Args:
            texts: n texts.
            longest: how many tokens a row may have, the first `end` included; what is longer is cut.

        Returns:
            Tokens `[n, 1 + T]`, filled up with `end`; and how many tokens each text has, `[n]`, without the first.
        """
        found = [row[: longest - 1] for row in self.encode(texts)]
        lengths = torch.tensor([len(row) for row in found], dtype=torch.long)
        width = int(lengths.max()) if found else 0
        filled = [[self.end, *row, *[self.end] * (width - len(row))] for row in found]
        return torch.tensor(filled, dtype=torch.long).reshape(len(found), 1 + width), lengths


def trained_tokenizer(texts: Iterable[str], *, size: int) -> Tokenizer:
    """Train a byte-level BPE (Sennrich et al., ACL 2016; bytes as in GPT-2). Digits are tokens of their own.

    Args:
        texts: what to learn merges from.
        size: how many tokens in all: 256 bytes, one that ends texts, and merges. Fewer where the texts hold fewer pairs.

    Raises:
        OperatorError: `size` leaves no room for the bytes.
    """
    from tokenizers import Tokenizer as Engine  # noqa: PLC0415 - as above
    from tokenizers import decoders, models, pre_tokenizers, trainers  # noqa: PLC0415

    if size <= BYTES:
        raise OperatorError(
            f"a byte-level vocabulary of {size} tokens has no room for all bytes",
            help=f"give it at least {BYTES + 1}",
        )
    engine = Engine(models.BPE())
    # Numbers that are all spelled digit by digit have equally many tokens, so that secrets can be compared.
    digits, split = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.pre_tokenizer = pre_tokenizers.Sequence([digits, split])
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    engine.train_from_iterator(texts, trainer)
    end = engine.token_to_id(END)
    assert end is not None  # it is a special token, learned first
    return Tokenizer(engine.to_str(), end)
