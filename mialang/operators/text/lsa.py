"""Latent semantic analysis: tf-idf vectors of texts, projected on their largest singular directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mialang.operators.artefacts import tensor
from mialang.operators.batches import packed, unpacked
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.embedder import Embedder, Encoder, EncoderDescription
from mialang.operators.text.texts import Texts
from mialang.operators.text.words import words_of


class LsaEncoder(Encoder):
    """Unit vectors of `Σ_t idf(w_t)·c(w_t)`, c the columns of the projection (Deerwester et al., JASIS 1990).

    The length of a tf-idf vector does not matter before the projection, because what comes out is normalised.
    """

    def __init__(self, of: Embedder) -> None:
        self._terms = unpacked(of.state, "terms.")
        self._table = tensor(of.state["idf"]).unsqueeze(1) * tensor(of.state["components"]).T
        self.width = self._table.shape[1]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self._terms)}

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors `[n, D]`; a text of unknown words only has the vector 0."""
        rows = self.tokens(texts)
        flat = torch.tensor([token for row in rows for token in row], dtype=torch.long)
        owner = torch.tensor([line for line, row in enumerate(rows) for _ in row], dtype=torch.long)
        sums = torch.zeros(len(texts), self.width).index_add_(0, owner, self._table[flat])
        return functional.normalize(sums, dim=1)

    def embed_soft(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return unit vectors `[n, D]` of texts whose words are given by their vectors `[n, T, D]`."""
        return functional.normalize(vectors.sum(1), dim=1)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the known words of each text."""
        return [[self._place[word] for word in words_of(text) if word in self._place] for text in texts]

    def table(self) -> torch.Tensor:
        """Return the vector of each word, `[V, D]`."""
        return self._table

    def written(self, tokens: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return words as texts."""
        return tuple(" ".join(self._terms[token] for token in row) for row in tokens)

    def special(self) -> frozenset[int]:
        """Return nothing: every term is a word."""
        return frozenset()


@dataclass(frozen=True)
class Lsa(EncoderDescription):
    """LSA of a given width, fitted to texts of its own or to those that it is given."""

    width: int
    on: Texts | None

    def make(self, texts: Texts | None, run: Run) -> Embedder:
        """Fit it: idf as in scikit-learn (smoothed), singular directions by its randomised solver."""
        fitted = self.on if self.on is not None else texts
        if fitted is None:
            raise OperatorError("LSA has to be fitted to texts", help="name them: `lsa(on = …)`")
        # Slow to import, and only LSA needs them.
        from scipy.sparse import csr_matrix  # noqa: PLC0415
        from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415

        found = [words_of(text) for text in fitted.lines]
        terms = sorted({word for row in found for word in row})
        if self.width >= min(len(terms), len(found)):
            raise OperatorError(
                f"LSA of width {self.width} needs more than {self.width} texts and words",
                note=f"there are {len(found):,} texts with {len(terms):,} different words",
                help="lower `width`, or fit it to more texts",
            )
        place = {term: column for column, term in enumerate(terms)}
        columns = np.array([place[word] for row in found for word in row])
        ends = np.concatenate([[0], np.cumsum([len(row) for row in found])])
        counts: Any = csr_matrix(
            (np.ones(len(columns), dtype=np.float32), columns, ends), shape=(len(found), len(terms))
        )
        counts.sum_duplicates()
        present = np.bincount(counts.indices, minlength=len(terms))
        idf = (np.log((1 + len(found)) / (1 + present)) + 1).astype(np.float32)
        weighted = counts.multiply(idf[None, :]).tocsr()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1))).clip(min=1e-12)
        weighted = weighted.multiply(1 / lengths).tocsr().astype(np.float32)
        model = TruncatedSVD(self.width, random_state=run.seed % 2**31)
        model.fit(weighted)
        state = {**packed(terms, "terms."), "idf": idf, "components": model.components_.astype(np.float32)}
        kept = float(model.explained_variance_ratio_.sum())
        return Embedder(
            "lsa", state, {"normalised": True, "words": 1}, {"terms": len(terms), "variance_kept": round(kept, 4)}
        )


def lsa(*, on: Texts | None, width: int) -> EncoderDescription:
    """Describe latent semantic analysis."""
    return Lsa(width, on)
