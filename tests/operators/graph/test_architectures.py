"""Graph networks compute what PyG's layers compute, on lists of edges and on matrices alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from mialang.operators.graph.architectures import gat, gcn, sage
from mialang.operators.graph.neighbourhoods import EdgeList, Relaxed
from tests.operators.graph.graphs import communities, graphs

ARCHITECTURES = [
    gcn(hidden=6, layers=2, dropout=0.5),
    gcn(hidden=6, layers=3, dropout=0.0),
    sage(hidden=6, layers=2, dropout=0.5),
    gat(hidden=4, heads=3, dropout=0.6),
]
NAMES = ["gcn", "gcn of three layers", "sage", "gat"]


def network(architecture, width=5, outputs=3, seed=0):
    torch.manual_seed(seed)
    made = architecture.build((width,), outputs).eval()
    with torch.no_grad():
        for parameter in made.parameters():  # biases start at 0, where they could not be told apart
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def matrix(graph):
    made = torch.zeros(1, graph.size, graph.size)
    u, v = torch.from_numpy(graph.pairs).T
    made[0, u, v] = made[0, v, u] = 1.0
    return made


def both_ways(graph):
    pairs = torch.from_numpy(graph.pairs).T
    return torch.cat([pairs, pairs.flip(0)], dim=1)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
@settings(max_examples=10)
@given(graphs())
def test_a_list_of_edges_and_its_matrix_give_the_same(architecture, graph):
    net = network(architecture)
    listed = net(graph.features, EdgeList(graph.pairs, graph.size))
    relaxed = net.rest(graph.features.times(net.first()), Relaxed(matrix(graph)))
    for one, other in zip(listed, relaxed, strict=True):
        torch.testing.assert_close(other[0], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
@settings(max_examples=10)
@given(graphs(), st.integers(0, 99))
def test_numbering_nodes_anew_numbers_answers_anew(architecture, graph, seed):
    net = network(architecture)
    order = np.random.default_rng(seed).permutation(graph.size)
    moved = graph.induced(order)
    _, before = net(graph.features, EdgeList(graph.pairs, graph.size))
    _, after = net(moved.features, EdgeList(moved.pairs, moved.size))
    torch.testing.assert_close(after, before[torch.from_numpy(order)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_many_features_at_once_give_what_each_gives_alone(architecture):
    graph = communities()
    net = network(architecture, width=3)
    links = EdgeList(graph.pairs, graph.size)
    mapped = graph.features.times(net.first())
    batch = torch.stack([mapped, 2 * mapped, -mapped])
    _, together = net.rest(batch, links)
    for place, own in enumerate(batch):
        torch.testing.assert_close(together[place], net.rest(own, links)[1], rtol=1e-4, atol=1e-5)


def test_gcn_is_that_of_pyg():
    graph, net = communities(), network(ARCHITECTURES[0], width=3)
    one, two = GCNConv(3, 6), GCNConv(6, 3)
    with torch.no_grad():
        for layer, weights, bias in zip((one, two), net.weights, net.biases, strict=True):
            layer.lin.weight.copy_(weights.T)
            layer.bias.copy_(bias)
    edges = both_ways(graph)
    expected = two(one(graph.features.dense, edges).relu(), edges)
    torch.testing.assert_close(
        net(graph.features, EdgeList(graph.pairs, graph.size))[1], expected, rtol=1e-4, atol=1e-5
    )


def test_sage_is_that_of_pyg():
    graph, net = communities(), network(ARCHITECTURES[2], width=3)
    layers = (SAGEConv(3, 6), SAGEConv(6, 3))
    with torch.no_grad():
        for layer, own, near, bias in zip(layers, net.own, net.near, net.biases, strict=True):
            layer.lin_r.weight.copy_(own.T)
            layer.lin_l.weight.copy_(near.T)
            layer.lin_l.bias.copy_(bias)
    edges = both_ways(graph)
    expected = layers[1](layers[0](graph.features.dense, edges).relu(), edges)
    torch.testing.assert_close(
        net(graph.features, EdgeList(graph.pairs, graph.size))[1], expected, rtol=1e-4, atol=1e-5
    )


def test_gat_is_that_of_pyg():
    graph, net = communities(), network(ARCHITECTURES[3], width=3)
    one, two = GATConv(3, 4, heads=3), GATConv(12, 3, heads=1)
    with torch.no_grad():
        one.lin.weight.copy_(net.one.T)
        two.lin.weight.copy_(net.two.T)
        for layer, source, sink, bias in ((one, net.source_one, net.sink_one, net.bias_one), (two, net.source_two, net.sink_two, net.bias_two)):  # fmt: skip
            layer.att_src.copy_(source.unsqueeze(0))
            layer.att_dst.copy_(sink.unsqueeze(0))
            layer.bias.copy_(bias)
    edges = both_ways(graph)
    expected = two(torch.nn.functional.elu(one(graph.features.dense, edges)), edges)
    torch.testing.assert_close(
        net(graph.features, EdgeList(graph.pairs, graph.size))[1], expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_every_pair_has_a_gradient_linked_or_not(architecture):
    """R-DRB-1: DeepRobust loses the gradient where a dense adjacency becomes a list of edges."""
    graph = communities(groups=2, each=5)
    net = network(architecture, width=2)
    links = matrix(graph).requires_grad_()
    _, logits = net.rest(graph.features.times(net.first()), Relaxed(links))
    (slope,) = torch.autograd.grad(logits.square().sum(), links)
    u, v = torch.triu_indices(graph.size, graph.size, 1)
    by_pair = (slope + slope.mT)[0, u, v]
    assert (by_pair != 0).all()
    linked = links[0, u, v] > 0
    assert linked.any()
    assert (~linked).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_gradients_are_right_by_finite_differences(architecture):
    graph = communities(groups=2, each=3)
    net = network(architecture, width=2).double()
    mapped = graph.features.times(net.first())
    links = 0.2 + 0.6 * matrix(graph).double()

    def answer(free):
        whole = (free + free.mT) / 2
        whole = whole * (1 - torch.eye(graph.size, dtype=torch.float64))
        return net.rest(mapped, Relaxed(whole))[1]

    assert torch.autograd.gradcheck(answer, (links.requires_grad_(),), eps=1e-6, atol=1e-5)


def test_dropout_is_drawn_in_training_and_absent_after_it():
    graph, net = communities(), network(ARCHITECTURES[0], width=3)
    links = EdgeList(graph.pairs, graph.size)
    assert torch.equal(net(graph.features, links)[1], net(graph.features, links)[1])
    net.train()
    assert not torch.equal(net(graph.features, links)[1], net(graph.features, links)[1])
