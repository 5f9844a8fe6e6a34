"""Token scores: how likely a language model found each token of each text, and scores that can be made of them.

The scores of Carlini et al., USENIX Security 2021, arXiv:2012.07805; all of them are made of one question per text.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch

from mialang.operators.algebra import Objective, Point
from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.batches import packed, unpacked
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Json, Run
from mialang.operators.text.sampling import Samples
from mialang.operators.text.tokenizer import Tokenizer

AT_ONCE = 2**22  # numbers of an answer: larger ones do not fit the cache of a CPU


@dataclass(frozen=True, eq=False)
class TokenScores(Artefact, kind="token_scores"):
    """Log-probabilities of the tokens of some texts.

    Attributes:
        lines: n texts.
        logprobs: `[n, T]` log p of each token given those before it; 0 where a text has no more tokens.
        lengths: `[n]` how many tokens each text has.
        identity: hash of the tokenizer that cut them.
    """

    lines: tuple[str, ...]
    logprobs: torch.Tensor
    lengths: torch.Tensor
    identity: str

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lines)

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Text → row."""
        return {line: row for row, line in enumerate(self.lines)}

    def rows(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the rows `[m]` of some texts.

        Raises:
            OperatorError: nobody asked about one of them.
        """
        try:
            return torch.tensor([self.place[text] for text in texts], dtype=torch.long)
        except KeyError:
            raise OperatorError(
                "these token scores belong to other texts", help="ask about the texts that are ranked"
            ) from None

    def arrays(self) -> dict[str, Array]:
        """Return texts, log-probabilities and lengths."""
        return {**packed(self.lines), "logprobs": array(self.logprobs), "lengths": array(self.lengths)}

    def facts(self) -> dict[str, Json]:
        """Return the tokenizer's identity."""
        return {"identity": self.identity}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(unpacked(arrays), tensor(arrays["logprobs"]), tensor(arrays["lengths"]), facts["identity"])


@torch.inference_mode()
def token_logprobs(*, of: Handle, about: Samples, letters: str, run: Run) -> TokenScores:
    """Ask a language model how likely it finds each token of some texts: one question per text.

    Args:
        of: the model. Where it gives only its k likeliest tokens, a token that is not among them is given an even share
            of what these leave.
        about: n texts.
        letters: `as_written`, or `lower`: ask about the texts in lower-case letters (the scores stay with the originals).
        run: takes notes.

    Returns:
        Scores of the texts, cut at the length that the model reads.
    """
    tokenizer: Tokenizer = of.know("vocabulary")
    lines = about.texts
    asked = [line.lower() for line in lines] if letters == "lower" else list(lines)
    tokens, lengths = tokenizer.batch(asked, longest=of.shape[0])
    found = torch.zeros(len(tokens), tokens.shape[1] - 1)
    unseen = 0
    for at, part in in_parts(tokens, len(of.classes)):
        answer = of.ask("next_token_logprobs", part)
        own, missing = own_logprobs(answer, part)
        there = torch.arange(own.shape[1]) < lengths[at : at + len(part), None]
        found[at : at + len(part)] = torch.where(there, own, 0.0)
        unseen += int((missing & there).sum())
        run.progress(at + len(part), len(tokens))
    run.note("tokens", int(lengths.sum()))
    run.note("tokens_outside_what_was_shown", unseen)
    return TokenScores(lines, found, lengths, tokenizer.identity)


def in_parts(tokens: torch.Tensor, classes: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield questions `[n, T]` in parts whose answers `[m, T, classes]` a CPU turns over quickly, each with the place where it starts."""
    size = max(1, AT_ONCE // max(1, tokens.shape[1] * classes))
    for at in range(0, len(tokens), size):
        yield at, tokens[at : at + size]


def own_logprobs(answer: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p of each token but the first, and whether it was not among the tokens shown: both `[n, T − 1]`.

    Args:
        answer: `[n, T, tokens]` log-probabilities of what follows each token, −inf for what was not shown.
        tokens: `[n, T]`.
    """
    ahead, own = answer[:, :-1], answer[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
    missing = own.isinf()
    if not bool(missing.any()):
        return own, missing
    return torch.where(missing, share_of_rest(ahead), own), missing


def share_of_rest(answer: torch.Tensor) -> torch.Tensor:
    """Return the log of an even share `[…]` of what the tokens shown leave, for log-probabilities `[…, tokens]`."""
    hidden = answer.isinf().sum(-1).clamp_min(1)
    rest = (1 - answer.exp().sum(-1)).clamp_min(torch.finfo(torch.float32).eps)
    return rest.log() - hidden.log()


# -- scores --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NegativeLogLikelihood(Objective):
    """−Σ_t log p(x_t | x_<t) of a text, or its mean over the tokens, or the least mean of a window of so many tokens."""

    of: TokenScores
    per: str
    window: int = 0

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`; infinite for a text without tokens.

        Raises:
            OperatorError: means over tokens of different tokenizers would be compared.
        """
        if self.per == "token" and point.once("tokenizer", self.of.identity) != self.of.identity:
            raise OperatorError(
                "the formula joins means over tokens of models with different tokenizers",
                note="a mean over long tokens is larger than one over short tokens of the same text",
                help="compare whole texts: `nll(…, per = text)`",
            )
        rows = self.of.rows([str(value) for value in point.value])
        losses, lengths = -self.of.logprobs[rows], self.of.lengths[rows]
        if self.window:
            return _least_window(losses, lengths, self.window)
        total = losses.sum(1)
        made = total if self.per == "text" else total / lengths
        return torch.where(lengths > 0, made, math.inf)

    def formula(self) -> str:
        """Return the call."""
        if self.window:
            return f"lowest_nll(width = {self.window})"
        return f"nll(per = {self.per})"


def _least_window(losses: torch.Tensor, lengths: torch.Tensor, width: int) -> torch.Tensor:
    """Return the least mean loss of `width` tokens in a row, `[n]`; of all tokens where a text has fewer."""
    width = min(width, losses.shape[1])
    sums = torch.nn.functional.pad(losses.cumsum(1), (1, 0))
    ends = torch.arange(width, losses.shape[1] + 1)
    means = (sums[:, ends] - sums[:, ends - width]) / width
    means = means.masked_fill(ends > lengths[:, None], math.inf)
    whole = losses.sum(1) / lengths
    least = torch.where(lengths >= width, means.min(1).values, whole)
    return torch.where(lengths > 0, least, math.inf)


@dataclass(frozen=True)
class CompressedBytes(Objective):
    """How many bytes a text takes after zlib."""

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`."""
        return torch.tensor([float(len(zlib.compress(str(value).encode()))) for value in point.value])

    def formula(self) -> str:
        """Return the call."""
        return "compressed_bytes()"


def nll(*, of: TokenScores, per: str) -> Objective:
    """Describe the negative log-likelihood of a text, per token or in all."""
    return NegativeLogLikelihood(of, per)


def lowest_nll(*, of: TokenScores, width: int) -> Objective:
    """Describe the least mean negative log-likelihood of `width` tokens in a row."""
    return NegativeLogLikelihood(of, "token", width)


def compressed_bytes() -> Objective:
    """Describe the length of a text after zlib, in bytes."""
    return CompressedBytes()
