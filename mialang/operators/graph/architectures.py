"""Graph networks: a first linear map of the features, then layers along the edges. What enters the last is the embedding."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.neighbourhoods import Neighbourhood
from mialang.operators.models import Architecture, builder


class GraphNetwork(nn.Module):
    """A network over one graph.

    The first map has no bias, so that scaling a node's features scales its row of the result and nothing else.
    """

    dropout: float

    @abstractmethod
    def first(self) -> torch.Tensor:
        """Return the weights of the first map, `[width, w]`."""

    @abstractmethod
    def rest(self, mapped: torch.Tensor, links: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings `[…, n, e]` and logits `[…, n, classes]` for mapped features `[…, n, w]`."""

    def forward(self, features: NodeFeatures, links: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings and logits of all nodes; in training, features are dropped like everything else."""
        kept = None
        if self.training and self.dropout > 0:
            kept = functional.dropout(torch.from_numpy(features.values), self.dropout)
        return self.rest(features.times(self.first(), kept), links)

    def drop(self, values: torch.Tensor) -> torch.Tensor:
        """Return values with dropout, in training."""
        return functional.dropout(values, self.dropout, self.training)


class GCN(GraphNetwork):
    """Graph convolutions with symmetric normalisation (Kipf and Welling, ICLR 2017, arXiv:1609.02907)."""

    def __init__(self, width: int, outputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        sizes = [width, *[hidden] * (layers - 1), outputs]
        self.weights = nn.ParameterList(_glorot(one, two) for one, two in pairwise(sizes))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes[1:])

    def first(self) -> torch.Tensor:
        """Return the first weights."""
        weights: torch.Tensor = self.weights[0]
        return weights

    def rest(self, mapped: torch.Tensor, links: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
        """Alternate sums over neighbours, ReLU and linear maps."""
        values, embedding = links.symmetric(mapped) + self.biases[0], mapped
        for weights, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            embedding = values.relu()
            values = links.symmetric(self.drop(embedding) @ weights) + bias
        return embedding, values


class SAGE(GraphNetwork):
    """GraphSAGE with the mean of the neighbours (Hamilton, Ying, Leskovec, NeurIPS 2017, arXiv:1706.02216)."""

    def __init__(self, width: int, outputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        sizes = [width, *[hidden] * (layers - 1), outputs]
        steps = list(pairwise(sizes))
        self.own = nn.ParameterList(_glorot(one, two) for one, two in steps)
        self.near = nn.ParameterList(_glorot(one, two) for one, two in steps)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes[1:])

    def first(self) -> torch.Tensor:
        """Return the maps of a node and of its neighbours, side by side."""
        return torch.cat([self.own[0], self.near[0]], dim=1)

    def rest(self, mapped: torch.Tensor, links: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
        """Add to a node the mean of its neighbours, each mapped by weights of their own."""
        own, near = mapped.chunk(2, dim=-1)
        values, embedding = own + links.mean(near) + self.biases[0], mapped
        for of_self, of_near, bias in zip(self.own[1:], self.near[1:], self.biases[1:], strict=True):
            embedding = values.relu()
            kept = self.drop(embedding)
            values = kept @ of_self + links.mean(kept @ of_near) + bias
        return embedding, values


class GAT(GraphNetwork):
    """Two layers of graph attention, several heads and then one (Veličković et al., ICLR 2018, arXiv:1710.10903)."""

    def __init__(self, width: int, outputs: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.heads, self.hidden, self.outputs = dropout, heads, hidden, outputs
        self.one, self.two = _glorot(width, heads * hidden), _glorot(heads * hidden, outputs)
        self.source_one, self.sink_one = _glorot(heads, hidden), _glorot(heads, hidden)
        self.source_two, self.sink_two = _glorot(1, outputs), _glorot(1, outputs)
        self.bias_one = nn.Parameter(torch.zeros(heads * hidden))
        self.bias_two = nn.Parameter(torch.zeros(outputs))

    def first(self) -> torch.Tensor:
        """Return the weights of all heads, side by side."""
        return self.one

    def rest(self, mapped: torch.Tensor, links: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend with several heads, ELU, attend with one."""
        values = mapped.unflatten(-1, (self.heads, self.hidden))
        seen = links.attend(values, (values * self.source_one).sum(-1), (values * self.sink_one).sum(-1))
        embedding = functional.elu(seen.flatten(-2) + self.bias_one)
        values = (self.drop(embedding) @ self.two).unsqueeze(-2)
        seen = links.attend(values, (values * self.source_two).sum(-1), (values * self.sink_two).sum(-1))
        return embedding, seen.flatten(-2) + self.bias_two


def gcn(*, hidden: int, layers: int, dropout: float) -> Architecture:
    """Describe a graph convolutional network."""
    return Architecture("gcn", {"hidden": hidden, "layers": layers, "dropout": dropout})


def sage(*, hidden: int, layers: int, dropout: float) -> Architecture:
    """Describe GraphSAGE."""
    return Architecture("sage", {"hidden": hidden, "layers": layers, "dropout": dropout})


def gat(*, hidden: int, heads: int, dropout: float) -> Architecture:
    """Describe a graph attention network."""
    return Architecture("gat", {"hidden": hidden, "heads": heads, "dropout": dropout})


@builder("gcn")
def _gcn(shape: tuple[int, ...], outputs: int, *, hidden: int, layers: int, dropout: float) -> nn.Module:
    return GCN(shape[0], outputs, hidden, layers, dropout)


@builder("sage")
def _sage(shape: tuple[int, ...], outputs: int, *, hidden: int, layers: int, dropout: float) -> nn.Module:
    return SAGE(shape[0], outputs, hidden, layers, dropout)


@builder("gat")
def _gat(shape: tuple[int, ...], outputs: int, *, hidden: int, heads: int, dropout: float) -> nn.Module:
    return GAT(shape[0], outputs, hidden, heads, dropout)


def _glorot(*size: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(*size)))
