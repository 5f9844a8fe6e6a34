"""Features of nodes: a sparse matrix that can be multiplied, granted and taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_matrix

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.graph.sparse import sparse_product
from mialang.operators.run import Json


@dataclass(frozen=True, eq=False)
class NodeFeatures(Artefact, kind="node_features"):
    """The features of all nodes, `[n, width]` float32, sparse by rows.

    Attributes:
        starts: `[n + 1]` int64, where each row begins.
        columns: `[nonzero]` int64.
        values: `[nonzero]` float32.
        width: number of features.
    """

    starts: Array
    columns: Array
    values: Array
    width: int

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.starts) - 1

    def reveals(self) -> tuple[int, ...]:
        """Return the pairs whose link they tell: none."""
        return ()

    @cached_property
    def dense(self) -> torch.Tensor:
        """All features as a matrix `[n, width]`."""
        with torch.inference_mode(mode=False):  # the first reader may be inside it, a later one may need gradients
            made = torch.zeros(len(self), self.width)
            rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
            made[torch.from_numpy(rows), torch.from_numpy(self.columns)] = torch.from_numpy(self.values)
            return made

    def times(self, weights: torch.Tensor, values: torch.Tensor | None = None) -> torch.Tensor:
        """Return features times weights, `[n, w]`; differentiable in the weights.

        Args:
            weights: `[width, w]`, float32 or float64.
            values: other values `[nonzero]` in the same places (as dropout leaves them).
        """
        held = self.values if values is None else values.numpy()
        matrix = csr_matrix((held, self.columns, self.starts), (len(self), self.width))
        return sparse_product(matrix, weights)

    def take(self, nodes: Array) -> NodeFeatures:
        """Return the features of some nodes, in their order."""
        counts = np.diff(self.starts)[nodes]
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][nodes] - starts[:-1], counts)
        return NodeFeatures(starts, self.columns[places], self.values[places], self.width)

    def by_rows(self) -> NodeFeatures:
        """Return the features with every row divided by its sum; rows of sum zero stay."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        sums = np.bincount(rows, weights=self.values, minlength=len(self))
        scale = np.where(sums == 0, 1.0, sums)[rows]
        return NodeFeatures(self.starts, self.columns, (self.values / scale).astype(np.float32), self.width)

    def arrays(self) -> dict[str, Array]:
        """Return the three arrays of the sparse matrix."""
        return {"starts": self.starts, "columns": self.columns, "values": self.values}

    def facts(self) -> dict[str, Json]:
        """Return the number of features."""
        return {"width": self.width}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        starts, columns, values = (np.array(arrays[name]) for name in ("starts", "columns", "values"))
        return cls(starts, columns, values, int(facts["width"]))

    @classmethod
    def of_dense(cls, matrix: Array) -> Self:
        """Return the features of a matrix `[n, width]`."""
        rows, columns = np.nonzero(matrix)
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
        values = matrix[rows, columns].astype(np.float32)
        return cls(starts.astype(np.int64), columns.astype(np.int64), values, matrix.shape[1])

    @classmethod
    def of_identity(cls, n: int) -> Self:
        """Return features that tell every node apart and say nothing else."""
        return cls(np.arange(n + 1), np.arange(n), np.ones(n, dtype=np.float32), n)
