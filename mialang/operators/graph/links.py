"""Scores of pairs: what an attack on edges hands over. A large score says that the pair is linked.

Scores are kept as what they follow from (a vector per node, a classifier of pairs, a sparse matrix), because all pairs
of a graph are many: whoever measures asks for the pairs that it measures on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.graph.pairs import BLOCK, blocks, ends_of, pair_count, upper
from mialang.operators.graph.similarity import MEASURES, all_against, prepared
from mialang.operators.run import Json

NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Links(Artefact, kind="links"):
    """Scores of all pairs u < v of n nodes.

    Attributes:
        size: n.
        revealed: numbers of the pairs that are no longer claimed, ascending, int64: they were given away.
    """

    size: int
    revealed: Array = field(default_factory=lambda: NONE, kw_only=True)

    def __len__(self) -> int:
        """Return how many pairs are claimed."""
        return pair_count(self.size) - len(self.revealed)

    @abstractmethod
    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """Return the scores `[b, n]` of some nodes against all; the diagonal means nothing."""

    @abstractmethod
    def between(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the scores `[k]` of pairs of ends int64 `[k]`."""

    @property
    def effort(self) -> int:
        """How many values one score is worked out from."""
        return 1

    def of(self, numbers: Array) -> torch.Tensor:
        """Return the scores `[k]` of pairs given by their numbers."""
        if 2 * len(numbers) > pair_count(self.size):
            return self._everything(numbers)
        u, v = (torch.from_numpy(each) for each in ends_of(numbers, self.size))
        step = max(1, BLOCK // self.effort)
        made = [self.between(u[at : at + step], v[at : at + step]) for at in range(0, len(numbers), step)]
        return torch.cat(made) if made else torch.empty(0)

    def _everything(self, numbers: Array) -> torch.Tensor:
        """The scores of all pairs that are claimed, by rows: quicker than pair by pair."""
        n = self.size
        made = [
            self.rows(torch.arange(part.start, part.stop))[torch.from_numpy(upper(part, n))]
            for part in blocks(n, self.effort)
        ]
        return torch.cat(made)[torch.from_numpy(numbers)]

    def without(self, units: Collection[int]) -> Self:
        """Return the scores without some pairs, given by their numbers."""
        gone = np.fromiter(units, dtype=np.int64, count=len(units))
        return replace(self, revealed=np.union1d(self.revealed, gone))

    def arrays(self) -> dict[str, Array]:
        """Return what the scores follow from."""
        return {"revealed": self.revealed, **self._arrays()}

    def facts(self) -> dict[str, Json]:
        """Return sizes and names."""
        return {"size": self.size, **self._facts()}

    @abstractmethod
    def _arrays(self) -> dict[str, Array]: ...

    @abstractmethod
    def _facts(self) -> dict[str, Json]: ...


@dataclass(frozen=True, eq=False)
class SimilarityLinks(Links, kind="similarity_links"):
    """Pairs scored by how alike the vectors of their ends are.

    Attributes:
        vectors: `[n, d]`.
        measure: one of `MEASURES`.
    """

    vectors: torch.Tensor
    measure: str

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """Compare some nodes with all."""
        return all_against(which, self._exact, self.measure, self._ready)

    def between(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Compare the ends of pairs."""
        return MEASURES[self.measure](self._exact[u], self._exact[v])

    @property
    def effort(self) -> int:
        """As many values as a vector has, where scores are no dot products."""
        return self.vectors.shape[1] if self._ready is None else 1

    @cached_property
    def _exact(self) -> torch.Tensor:
        # Posteriors of a sure model differ in late digits. Wide vectors are features, whose similarities do not.
        return self.vectors.double() if self.vectors.shape[1] <= 256 else self.vectors

    @cached_property
    def _ready(self) -> torch.Tensor | None:
        return prepared(self._exact, self.measure)

    def _arrays(self) -> dict[str, Array]:
        return {"vectors": array(self.vectors)}

    def _facts(self) -> dict[str, Json]:
        return {"measure": self.measure}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        revealed = np.array(arrays["revealed"])
        return cls(int(facts["size"]), tensor(arrays["vectors"]), str(facts["measure"]), revealed=revealed)


@dataclass(frozen=True, eq=False)
class ListedLinks(Links, kind="listed_links"):
    """Pairs scored one by one; all that are not listed have the score 0.

    Attributes:
        numbers: of the pairs listed, ascending, int64 `[k]`.
        scores: `[k]`.
    """

    numbers: Array
    scores: torch.Tensor

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """Fill rows from the list."""
        u, v = (torch.from_numpy(each) for each in ends_of(self.numbers, self.size))
        place = torch.full((self.size,), -1)
        place[which] = torch.arange(len(which))
        made = torch.zeros(len(which), self.size, dtype=self.scores.dtype)
        for one, other in ((u, v), (v, u)):
            mine = place[one] >= 0
            made[place[one[mine]], other[mine]] = self.scores[mine]
        return made

    def between(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Look pairs up."""
        if not len(self.numbers):
            return torch.zeros(len(u), dtype=self.scores.dtype)
        low, high = torch.minimum(u, v), torch.maximum(u, v)
        wanted = low * (2 * self.size - low - 1) // 2 + high - low - 1
        listed = torch.from_numpy(self.numbers)
        place = torch.searchsorted(listed, wanted).clamp(max=len(listed) - 1)
        return torch.where(listed[place] == wanted, self.scores[place], 0)

    def _arrays(self) -> dict[str, Array]:
        return {"numbers": self.numbers, "scores": array(self.scores)}

    def _facts(self) -> dict[str, Json]:
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        numbers, revealed = np.array(arrays["numbers"]), np.array(arrays["revealed"])
        return cls(int(facts["size"]), numbers, tensor(arrays["scores"]), revealed=revealed)


def listed(matrix: torch.Tensor) -> ListedLinks:
    """Return the entries above the diagonal of a matrix `[n, n]` that are not 0 as scores of pairs.

    Raises:
        OperatorError: an entry is no number.
    """
    n = len(matrix)
    numbers, scores = [], []
    for part in blocks(n):
        own = matrix[part].cpu()
        if not bool(torch.isfinite(own).all()):
            raise OperatorError(
                "a score of a pair is no number", note="infinite or undefined entries came out of the search"
            )
        mask = torch.from_numpy(upper(part, n))
        flat = own[mask]
        before = sum(n - 1 - row for row in range(part.start))
        places = torch.nonzero(flat).squeeze(1)
        numbers.append((places + before).numpy())
        scores.append(flat[places])
    return ListedLinks(n, np.concatenate(numbers), torch.cat(scores))
