"""Parts of a graph that can be granted one by one: who is in it, of what class, which pairs are linked, how many are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.graph.pairs import numbers_of, pair_count
from mialang.operators.run import Json


@dataclass(frozen=True, eq=False)
class NodeLabels(Artefact, kind="node_labels"):
    """The class of every node.

    Attributes:
        values: `[n]` int64 class ids.
    """

    values: Array

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.values)

    def reveals(self) -> tuple[int, ...]:
        """Return the pairs whose link they tell: none."""
        return ()

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur, ascending."""
        return tuple(int(label) for label in np.unique(self.values))

    def arrays(self) -> dict[str, Array]:
        """Return the labels."""
        return {"values": np.ascontiguousarray(self.values)}

    def facts(self) -> dict[str, Json]:
        """Nothing small."""
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        return cls(np.array(arrays["values"]))


@dataclass(frozen=True, eq=False)
class Nodes(Artefact, kind="nodes"):
    """Some nodes of a graph as records: their numbers, and their classes where those are not withheld.

    Attributes:
        numbers: `[k]` int64.
        labels: `[k]` int64 class ids, or None where only the numbers are told.
    """

    numbers: Array
    labels: Array | None = None

    def __len__(self) -> int:
        """Return how many nodes."""
        return len(self.numbers)

    def reveals(self) -> tuple[int, ...]:
        """Return the pairs whose link they tell: none."""
        return ()

    @property
    def inputs(self) -> torch.Tensor:
        """What a model that serves the graph is asked about: numbers of nodes, int64 `[k]`."""
        return torch.from_numpy(self.numbers)

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur; empty where they are withheld."""
        return () if self.labels is None else tuple(int(label) for label in np.unique(self.labels))

    @property
    def targets(self) -> torch.Tensor:
        """Class ids, int64 `[k]`.

        Raises:
            OperatorError: they are withheld.
        """
        if self.labels is None:
            raise OperatorError(
                "these nodes have no labels", help="take `train_nodes` or `test_nodes` of a labelled graph"
            )
        return torch.from_numpy(self.labels)

    def first(self, limit: int) -> Nodes:
        """Return the first `limit` nodes."""
        return Nodes(self.numbers[:limit], None if self.labels is None else self.labels[:limit])

    def fingerprints(self) -> list[str]:
        """Return the numbers as text."""
        return [str(number) for number in self.numbers.tolist()]

    def arrays(self) -> dict[str, Array]:
        """Return numbers and labels."""
        made = {"numbers": self.numbers, "labels": self.labels}
        return {name: np.ascontiguousarray(value) for name, value in made.items() if value is not None}

    def facts(self) -> dict[str, Json]:
        """Nothing small."""
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        return cls(np.array(arrays["numbers"]), np.array(arrays["labels"]) if "labels" in arrays else None)


@dataclass(frozen=True, eq=False)
class Edges(Artefact, kind="edges"):
    """Pairs of nodes of which it is known whether they are linked.

    Attributes:
        size: number of nodes of the graph.
        pairs: `[k, 2]` int64, u < v.
        linked: `[k]` bool.
        complete: whether every pair that is not listed is known to be unlinked.
    """

    size: int
    pairs: Array
    linked: Array
    complete: bool = False

    def __len__(self) -> int:
        """Return how many edges are known."""
        return int(self.linked.sum())

    @property
    def numbers(self) -> Array:
        """The numbers of the pairs, int64 `[k]`."""
        return numbers_of(self.pairs[:, 0], self.pairs[:, 1], self.size)

    def reveals(self) -> Collection[int]:
        """Return the numbers of the pairs of which it is known whether they are linked."""
        if self.complete:
            return range(pair_count(self.size))
        listed: list[int] = self.numbers.tolist()
        return listed

    def arrays(self) -> dict[str, Array]:
        """Return the pairs and whether they are linked."""
        return {"pairs": np.ascontiguousarray(self.pairs), "linked": np.ascontiguousarray(self.linked)}

    def facts(self) -> dict[str, Json]:
        """Return the size of the graph, and whether the list is complete."""
        return {"size": self.size, "complete": self.complete}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(int(facts["size"]), np.array(arrays["pairs"]), np.array(arrays["linked"]), bool(facts["complete"]))


@dataclass(frozen=True, eq=False)
class EdgeCount(Artefact, kind="edge_count"):
    """How many edges a graph has, or is believed to have."""

    count: int

    def reveals(self) -> tuple[int, ...]:
        """Return the pairs whose link it tells: none."""
        return ()

    def arrays(self) -> dict[str, Array]:
        """Nothing large."""
        return {}

    def facts(self) -> dict[str, Json]:
        """Return the count."""
        return {"count": self.count}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        return cls(int(facts["count"]))
