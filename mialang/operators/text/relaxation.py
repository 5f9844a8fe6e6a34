"""Texts as points of a simplex: every place of a text is a mixture of tokens, which gradients can move."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import torch

from mialang.operators.candidates import Candidates
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Run
from mialang.operators.spaces import Space
from mialang.operators.text.embedder import Embedder
from mialang.operators.text.texts import Texts


@dataclass(frozen=True)
class SimplexTokens(Space):
    """Codes z `[n, T, V]`; a code stands for the token vectors `softmax(z / τ)·E`, E those of a restricted vocabulary.

    Attributes:
        of: the encoder, weights in hand.
        about: texts whose most frequent tokens make the vocabulary.
        vocabulary: V, how many tokens that is at most.
        tokens: T, how many places a text has.
        temperature: τ.
        spread: standard deviation of the codes at the start.
    """

    of: Handle
    about: Texts
    vocabulary: int
    tokens: int
    temperature: float
    spread: float

    @cached_property
    def model(self) -> Embedder:
        """The encoder itself."""
        made = self.of.model()
        if not isinstance(made, Embedder):
            raise OperatorError(
                "only an encoder of texts has token vectors", help="name a target of type text.Embedder"
            )
        return made

    @cached_property
    def known(self) -> torch.Tensor:
        """The tokens of the vocabulary, most frequent first, `[V]`."""
        special = self.model.encoder.special()
        counts = Counter(token for row in self.model.encoder.tokens(self.about.lines) for token in row)
        ordered = sorted((each for each in counts if each not in special), key=lambda each: (-counts[each], each))
        return torch.tensor(ordered[: self.vocabulary], dtype=torch.long)

    @cached_property
    def _table(self) -> torch.Tensor:
        with torch.inference_mode(mode=False):  # whoever asks first: a later search needs gradients through it
            return self.model.encoder.table()[self.known.clone()]

    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return `n` mixtures near the middle."""
        return self.spread * torch.randn(n, self.tokens, len(self.known), generator=generator)

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return token vectors `[n, T, d]`."""
        made: torch.Tensor = (code / self.temperature).softmax(-1) @ self._table.to(code)
        return made

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Return the code: softmax keeps every mixture on the simplex."""
        return code


def simplex_tokens(
    *, of: Handle, about: Texts, vocabulary: int, tokens: int, temperature: float, spread: float
) -> Space:
    """Describe texts as mixtures of tokens (Song and Raghunathan, CCS 2020, section 4.1)."""
    return SimplexTokens(of, about, vocabulary, tokens, temperature, spread)


@torch.inference_mode()
def read_tokens(*, of: Candidates, space: SimplexTokens, run: Run) -> Candidates:
    """Read each place of a mixture as its heaviest token.

    Raises:
        OperatorError: the candidates were not searched for among mixtures of tokens.
    """
    if of.code is None or of.code.shape[-1] != len(space.known):
        raise OperatorError(
            "these candidates are no mixtures of these tokens", help="read them with the space of their search"
        )
    tokens = space.known[of.code.argmax(-1)]
    run.progress(len(of), len(of))
    texts = space.model.encoder.written(tokens.tolist())
    return Candidates(texts, of.labels, of.scores, of.group, of.attempted)
