"""Embedders: models that answer a text with a vector of length 1, and the artefact that holds one."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import ClassVar, Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.batches import Batch
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run
from mialang.operators.text.recall import Recall
from mialang.operators.text.texts import Texts

ONCE, AGAIN = 8, 16  # calls whose answers are kept at hand, of up to 4,096 texts each


class Encoder(ABC):
    """A function from texts to vectors, rebuilt from an embedder's weights.

    Attributes:
        width: D, how long its vectors are.
    """

    width: int

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors `[n, D]`."""

    @abstractmethod
    def embed_soft(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return unit vectors `[n, D]` of texts whose tokens are given by their vectors `[n, T, d]`; differentiable."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text without any that mark its start or end, cut at the longest text it reads."""

    @abstractmethod
    def table(self) -> torch.Tensor:
        """Return the vector of each token, `[V, d]`."""

    @abstractmethod
    def written(self, tokens: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return tokens as texts; tokens that mark starts, ends and padding are left out."""

    @abstractmethod
    def special(self) -> frozenset[int]:
        """Return the tokens that are no part of any text: starts, ends, padding, masks, unknown."""


Builder = Callable[["Embedder"], Encoder]
ENCODERS: dict[str, str] = {
    "transformer": "mialang.operators.text.transformer_encoder:TransformerEncoder",
    "lsa": "mialang.operators.text.lsa:LsaEncoder",
}


class EncoderDescription(ABC):
    """How an encoder is come by (a term of kind `encoder`)."""

    @abstractmethod
    def make(self, texts: Texts | None, run: Run) -> Embedder:
        """Return the embedder: loaded, or fitted.

        Args:
            texts: what to fit it to where it has to be fitted and names no texts of its own.
            run: gives seeds and finds files.
        """


@dataclass(frozen=True, eq=False)
class Embedder(Artefact, kind="embedder"):
    """An encoder by its weights; the texts behind a store are no part of it.

    Attributes:
        form: which encoder it is, a name in `ENCODERS`.
        state: its weights, as arrays by name.
        settings: all else that decides its answers: configuration, tokenizer, pooling, normalisation, length.
        about: facts of its making, which decide nothing.
    """

    natives: ClassVar[tuple[str, ...]] = ("embedding",)
    classes: ClassVar[tuple[int, ...]] = ()
    shape: ClassVar[tuple[int, ...]] = ()

    form: str
    state: Mapping[str, Array]
    settings: Mapping[str, Json]
    about: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides its answers: weights, pooling, normalisation, tokenizer, longest text."""
        made = hashlib.blake2b(self.form.encode(), digest_size=16)
        made.update(json.dumps(self.settings, sort_keys=True).encode())
        for name, values in sorted(self.state.items()):
            made.update(f"{name} {values.dtype.str} {values.shape}".encode())
            made.update(np.ascontiguousarray(values).tobytes())
        return made.hexdigest()

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, ready to answer."""
        module, _, name = ENCODERS[self.form].partition(":")
        with torch.inference_mode(mode=False):
            made: Encoder = getattr(import_module(module), name)(self)
        return made

    @cached_property
    def _recall(self) -> Recall:
        return Recall(ONCE, AGAIN)

    def answer(self, name: str, x: Batch) -> torch.Tensor:
        """Answer its native observable, `embedding` `[n, D]`.

        Args:
            name: `embedding`.
            x: n texts, or vectors of their tokens `[n, T, d]`; differentiable in the latter.
        """
        if name != "embedding":
            raise OperatorError(f"an encoder has no observable `{name}` of its own", help="ask for its embedding")
        if isinstance(x, torch.Tensor):
            return self.encoder.embed_soft(x)
        key = hashlib.blake2b("\0".join(x).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self._recall(key, lambda: self.encoder.embed(x)).clone()

    def arrays(self) -> dict[str, Array]:
        """Return the weights."""
        return {name: np.ascontiguousarray(values) for name, values in self.state.items()}

    def facts(self) -> dict[str, Json]:
        """Return everything but the weights."""
        return {"form": self.form, "settings": dict(self.settings), "about": dict(self.about)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(facts["form"], dict(arrays), dict(facts["settings"]), dict(facts["about"]))


def embedder(*, encoder: EncoderDescription, stores: Texts | None, run: Run) -> Embedder:
    """Make the model behind a store of embeddings.

    Notes the encoder's `identity` and `width`, and how many of the stored texts it has to cut (`texts_cut`).
    """
    made = _made(encoder, None, run)
    if stores is not None:
        run.note("texts_stored", len(stores))
        limit = made.settings.get("length")
        if limit is not None:
            # A text that fills the length to the brim may have been cut; a longer one has been.
            longest = [len(row) for row in made.encoder.tokens(stores.lines)]
            run.note("texts_cut", sum(length >= limit for length in longest))
    return made


def own_encoder(*, encoder: EncoderDescription, on: Texts, run: Run) -> Embedder:
    """Make an encoder of the adversary's own, fitted to texts where it has to be and names none of its own."""
    return _made(encoder, on, run)


def _made(encoder: EncoderDescription, texts: Texts | None, run: Run) -> Embedder:
    made = encoder.make(texts, run)
    run.note("identity", made.identity)
    run.note("width", made.encoder.width)
    for name, value in made.about.items():
        run.note(name, value)
    return made
