"""What a model of nodes is asked: about nodes that it serves, about features sent to it, about whole graphs of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mialang.operators.graph.features import NodeFeatures


@dataclass(frozen=True, eq=False)
class Scaled:
    """Feature matrices that differ in one row each: question i has the features of node `nodes[i]` times `factors[i]`.

    Every question is about all nodes, over the graph that the model keeps to itself.

    Attributes:
        features: of all nodes, `[n, width]`.
        nodes: `[q]` int64.
        factors: `[q]` float64.
    """

    features: NodeFeatures
    nodes: torch.Tensor
    factors: torch.Tensor

    def __len__(self) -> int:
        """Return the number of feature matrices."""
        return len(self.nodes)

    def __getitem__(self, part: slice) -> Scaled:
        """Return some of the questions."""
        return Scaled(self.features, self.nodes[part], self.factors[part])


@dataclass(frozen=True, eq=False)
class OwnGraphs:
    """Whole graphs of the asker's own, over the same nodes: features, and an adjacency matrix each.

    Attributes:
        features: of all nodes, `[n, width]`.
        adjacency: `[b, n, n]` float32 in [0, 1], symmetric, zero on the diagonal.
    """

    features: NodeFeatures
    adjacency: torch.Tensor

    def __len__(self) -> int:
        """Return the number of graphs."""
        return len(self.adjacency)

    def __getitem__(self, part: slice) -> OwnGraphs:
        """Return some of the graphs."""
        return OwnGraphs(self.features, self.adjacency[part])

    def numel(self) -> int:
        """Return how many values the adjacency matrices hold."""
        return self.adjacency.numel()

    @property
    def requires_grad(self) -> bool:
        """Whether answers are differentiated with respect to the adjacency."""
        return self.adjacency.requires_grad
