"""Graphs, their parts, and how they are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.granting import believed_edges, known
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.pairs import pair_count
from mialang.operators.overlap import disjoint
from mialang.operators.parts import part
from tests.operators.graph.graphs import communities, graphs, run

PARTS = ("nodes", "train_nodes", "test_nodes", "features", "labels", "edges", "edge_count")


def same(one, other):
    arrays, others = one.arrays(), other.arrays()
    return (
        one.facts() == other.facts()
        and arrays.keys() == others.keys()
        and all(
            np.array_equal(arrays[name], others[name]) and arrays[name].dtype == others[name].dtype for name in arrays
        )
    )


@given(graphs())
def test_plain_form_and_back_is_the_same(graph):
    assert same(restore("graph", graph.arrays(), graph.facts()), graph)
    for name in PARTS:
        made = part(of=graph, member=name, run=run())
        assert same(restore(made.kind, made.arrays(), made.facts()), made)


@given(graphs())
def test_only_edges_reveal_pairs(graph):
    for name in PARTS:
        revealed = getattr(graph, name).reveals()
        assert len(revealed) == (pair_count(graph.size) if name == "edges" else 0)


@given(graphs())
def test_nodes_that_are_granted_have_no_labels(graph):
    nodes = graph.nodes
    assert "labels" not in nodes.arrays()
    with pytest.raises(OperatorError, match="no labels"):
        _ = nodes.targets
    assert graph.train_nodes.targets.tolist() == graph.values[graph.split["train"]].tolist()


@given(graphs(), st.integers(0, 99))
def test_numbering_nodes_anew_moves_everything_along(graph, seed):
    order = np.random.default_rng(seed).permutation(graph.size)
    moved = graph.induced(order)
    back = moved.induced(np.argsort(order))
    assert same(back, graph)
    assert torch.equal(moved.features.dense, graph.features.dense[torch.from_numpy(order)])
    assert len(moved.pairs) == len(graph.pairs)
    assert sorted(moved.fingerprints()) == sorted(graph.fingerprints())


@given(graphs(), st.integers(2, 12))
def test_a_part_of_a_graph_is_connected_as_far_as_the_graph_is(graph, limit):
    cut = graph.first(limit)
    assert cut.size == min(limit, graph.size)
    assert len(cut.pairs) <= len(graph.pairs)
    near = graph.near()
    assert sorted(near.tolist()) == list(range(graph.size))
    degrees = np.bincount(graph.pairs.reshape(-1), minlength=graph.size)
    assert degrees[near[0]] == degrees.max()


@given(graphs())
def test_features_multiply_as_their_matrix_does(graph):
    weights = torch.rand(5, 3, requires_grad=True)
    made = graph.features.times(weights)
    torch.testing.assert_close(made, graph.features.dense @ weights)
    (slope,) = torch.autograd.grad(made.square().sum(), weights)
    (expected,) = torch.autograd.grad((graph.features.dense @ weights).square().sum(), weights)
    torch.testing.assert_close(slope, expected)
    rows = graph.features.by_rows().dense.sum(1)
    assert torch.all(((rows - 1).abs() < 1e-5) | (rows == 0))


def test_what_a_graph_lacks_is_named():
    bare = Graph(3, np.array([[0, 1]]))
    with pytest.raises(OperatorError, match="no features") as caught:
        part(of=bare, member="features", run=run())
    assert "identity" in caught.value.help
    with pytest.raises(OperatorError, match="no labels"):
        part(of=bare, member="labels", run=run())
    with pytest.raises(OperatorError, match="no test nodes") as caught:
        part(of=communities().induced(np.arange(3)), member="test_nodes", run=run())
    assert "train = 10 %" in caught.value.help


def test_a_shadow_graph_must_not_share_edges():
    graph, other = communities(seed=1), communities(seed=2)
    assert disjoint(first=graph, second=other, by="record", near=None, run=run()).counts["shared"] == 0
    with pytest.raises(OperatorError, match="share"):
        disjoint(first=graph.induced(np.arange(10)), second=graph, by="record", near=None, run=run())


def test_graphs_whose_features_only_number_nodes_are_told_apart_by_size():
    edges = np.array([[0, 1], [1, 2]])
    small = Graph(3, edges, NodeFeatures.of_identity(3))
    large = Graph(4, edges, NodeFeatures.of_identity(4))
    assert not set(small.fingerprints()) & set(large.fingerprints())
    assert small.fingerprints() == Graph(3, edges).fingerprints()


@given(graphs(least=6), st.integers(0, 99))
def test_known_pairs_are_a_share_of_the_edges_and_as_many_others(graph, seed):
    assume(len(graph.pairs) > 1)
    told = known(of=graph.edges, share=0.5, others=1.0, run=run(seed))
    linked = graph.linked(told.numbers)
    assert np.array_equal(linked, told.linked)
    wanted = round(0.5 * len(graph.pairs))
    assert len(told) == wanted
    assert (~linked).sum() == min(wanted, pair_count(graph.size) - len(graph.pairs))
    assert sorted(told.reveals()) == sorted(set(told.numbers.tolist()))


def test_known_pairs_differ_between_seeds_and_an_empty_share_is_an_error():
    graph = communities()
    first, again, other = (known(of=graph.edges, share=0.2, others=1, run=run(seed)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    with pytest.raises(OperatorError, match="is none"):
        known(of=graph.edges, share=1e-6, others=1, run=run())
    with pytest.raises(OperatorError, match="all edges"):
        known(of=first, share=0.5, others=1, run=run())


def test_a_belief_about_the_number_of_edges_looks_at_no_graph():
    assert believed_edges(count=7, run=run()).count == 7
    assert communities().edge_count.count == len(communities().pairs)
