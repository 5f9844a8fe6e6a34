"""A graph as data: nodes with features and labels, and undirected edges. Its parts can be granted one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.pairs import ends_of, numbers_of
from mialang.operators.graph.parts import EdgeCount, Edges, NodeLabels, Nodes
from mialang.operators.run import Json

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Graph(Artefact, kind="graph"):
    """An undirected graph without weights, loops or repeated edges.

    Attributes:
        size: n, the number of nodes.
        pairs: `[m, 2]` int64, the edges, u < v, in the order of their numbers.
        attributes: features of the nodes, or None.
        values: `[n]` int64 class ids, or None.
        names: class id → name.
        split: numbers of the nodes of `train`, `validation`, `test`, for those that the data name.
    """

    size: int
    pairs: Array
    attributes: NodeFeatures | None = None
    values: Array | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    split: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return self.size

    # -- parts that can be granted ---------------------------------------------------------------------------------

    @property
    def features(self) -> NodeFeatures:
        """The features of all nodes.

        Raises:
            OperatorError: the graph has none.
        """
        if self.attributes is None:
            raise OperatorError(
                "this graph has no features",
                help="load it with `features = identity`, which tells nodes apart and says nothing else, or use a model without",
            )
        return self.attributes

    @property
    def labels(self) -> NodeLabels:
        """The class of every node.

        Raises:
            OperatorError: the graph has none.
        """
        if self.values is None:
            raise OperatorError("this graph has no labels", help="give one class per node under the key `label`")
        return NodeLabels(self.values)

    @property
    def nodes(self) -> Nodes:
        """The numbers of all nodes, without their classes."""
        return Nodes(np.arange(self.size))

    @property
    def edges(self) -> Edges:
        """All edges; what is not among them is known to be none."""
        return Edges(self.size, self.pairs, np.ones(len(self.pairs), dtype=np.bool_), complete=True)

    @property
    def edge_count(self) -> EdgeCount:
        """How many edges there are."""
        return EdgeCount(len(self.pairs))

    @property
    def train_nodes(self) -> Nodes:
        """The nodes whose classes a model is trained on, with their classes."""
        return self.part("train")

    @property
    def test_nodes(self) -> Nodes:
        """The nodes that no model is trained or chosen on, with their classes."""
        return self.part("test")

    def part(self, name: str) -> Nodes:
        """Return the nodes of one part of the split, with their classes.

        Raises:
            OperatorError: the data name no such part, or have no labels.
        """
        if name not in self.split or not len(self.split[name]):
            raise OperatorError(
                f"this graph names no {name} nodes",
                note=f"it names {', '.join(self.split) or 'no part of its nodes'}",
                help="load it with `train = 10 %`, which draws them evenly from the classes",
            )
        numbers = self.split[name]
        return Nodes(numbers, self.labels.values[numbers])

    # -- as records ------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> torch.Tensor:
        """The numbers of all nodes, int64 `[n]`."""
        return torch.arange(self.size)

    @property
    def targets(self) -> torch.Tensor:
        """The classes of all nodes, int64 `[n]`."""
        return torch.from_numpy(self.labels.values)

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur, ascending; none where the graph has no labels."""
        return () if self.values is None else self.labels.classes

    def first(self, limit: int) -> Graph:
        """Return the graph among up to `limit` nodes: those nearest to the one of most neighbours, breadth first."""
        return self if limit >= self.size else self.induced(np.sort(self.near()[:limit]))

    def near(self) -> Array:
        """Return all nodes, breadth first from the one of most neighbours; what is not connected to it follows."""
        starts, neighbours = self.adjacency
        matrix = csr_matrix((np.ones(len(neighbours)), neighbours, starts), (self.size, self.size))
        near = breadth_first_order(matrix, int(np.argmax(np.diff(starts))), return_predecessors=False)
        return np.concatenate([near, np.setdiff1d(np.arange(self.size), near)])

    def induced(self, nodes: Array) -> Graph:
        """Return the graph among some nodes, numbered anew in their order."""
        place = np.full(self.size, -1)
        place[nodes] = np.arange(len(nodes))
        ends = place[self.pairs]
        kept = ends[(ends >= 0).all(axis=1)]
        split = {name: np.sort(place[part][place[part] >= 0]) for name, part in self.split.items()}
        return Graph(
            len(nodes),
            ordered(kept, len(nodes)),
            None if self.attributes is None else self.attributes.take(nodes),
            None if self.values is None else self.values[nodes],
            self.names,
            {name: part for name, part in split.items() if len(part)},
        )

    @cached_property
    def adjacency(self) -> tuple[Array, Array]:
        """Neighbours by node: where each row begins `[n + 1]`, and the neighbours `[2m]`, both int64."""
        sources = np.concatenate([self.pairs[:, 0], self.pairs[:, 1]])
        sinks = np.concatenate([self.pairs[:, 1], self.pairs[:, 0]])
        order = np.lexsort((sinks, sources))
        counts = np.bincount(sources, minlength=self.size)
        return np.concatenate([[0], np.cumsum(counts)]), sinks[order]

    def linked(self, numbers: Array) -> Array:
        """Return whether pairs `[k]`, given by their numbers, are edges."""
        edges = numbers_of(self.pairs[:, 0], self.pairs[:, 1], self.size)
        if not len(edges):
            return np.zeros(len(numbers), dtype=np.bool_)
        place = np.minimum(np.searchsorted(edges, numbers), len(edges) - 1)
        found: Array = edges[place] == numbers
        return found

    def fingerprints(self) -> list[str]:
        """Return one hash per edge: what both ends are known by.

        A node is known by its features; where there are none, or they only number the nodes, by its number in a graph
        of n nodes.
        """
        ends = np.array(self._identities(), dtype="S32")[self.pairs]
        ends.sort(axis=1)
        return [hashlib.blake2b(b"".join(both), digest_size=16).hexdigest() for both in ends.tolist()]

    def _identities(self) -> list[bytes]:
        told = self.attributes
        if told is None or (told.width == self.size and np.array_equal(told.columns, np.arange(self.size))):
            return [f"{node} of {self.size}".encode() for node in range(self.size)]
        rows = [slice(told.starts[node], told.starts[node + 1]) for node in range(self.size)]
        held = [told.columns[row].tobytes() + told.values[row].tobytes() for row in rows]
        return [hashlib.blake2b(row, digest_size=16).hexdigest().encode() for row in held]

    # -- plain form ------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Return edges, features, labels and split."""
        made = {"pairs": np.ascontiguousarray(self.pairs)}
        if self.attributes is not None:
            made |= {f"features.{name}": value for name, value in self.attributes.arrays().items()}
        if self.values is not None:
            made["labels"] = np.ascontiguousarray(self.values)
        return made | {f"split.{name}": np.ascontiguousarray(part) for name, part in self.split.items()}

    def facts(self) -> dict[str, Json]:
        """Return sizes and class names."""
        width = None if self.attributes is None else self.attributes.width
        names = {str(label): name for label, name in sorted(self.names.items())}
        return {"size": self.size, "width": width, "names": names}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        held = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith("features.")}
        return cls(
            int(facts["size"]),
            np.array(arrays["pairs"]),
            NodeFeatures.restore(held, facts) if held else None,
            np.array(arrays["labels"]) if "labels" in arrays else None,
            {int(label): str(name) for label, name in facts["names"].items()},
            {name.partition(".")[2]: np.array(part) for name, part in arrays.items() if name.startswith("split.")},
        )


def ordered(pairs: Array, n: int) -> Array:
    """Return pairs `[m, 2]` with u < v in the order of their numbers, each once; int64."""
    numbers = np.unique(numbers_of(pairs[:, 0], pairs[:, 1], n)) if len(pairs) else np.empty(0, dtype=np.int64)
    return np.stack(ends_of(numbers, n), axis=1).astype(np.int64)
