"""The pairs that a metric ranks are declared, seeded, and free of what was given away."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.graph.links import SimilarityLinks
from mialang.operators.graph.metrics import link_auc, link_recall
from mialang.operators.graph.pairs import numbers_of, pair_count
from mialang.operators.graph.universe import balanced, draw_unlinked, induced, whole
from tests.operators.graph.graphs import communities, graphs, run

NONE = np.empty(0, dtype=np.int64)


def edges_of(graph):
    return numbers_of(graph.pairs[:, 0], graph.pairs[:, 1], graph.size)


@given(graphs(), st.integers(0, 99))
def test_universes_hold_no_pair_twice_and_none_that_was_given_away(graph, seed):
    gone = np.unique(np.random.default_rng(seed).integers(0, pair_count(graph.size), 5))
    for universe in (whole(), induced(nodes=4, seed=seed), balanced(others=1.0, seed=seed)):
        numbers = universe.numbers(graph, gone)
        assert np.array_equal(numbers, np.unique(numbers))
        assert not np.isin(numbers, gone).any()
        assert np.array_equal(numbers, universe.numbers(graph, gone))


@given(graphs())
def test_balanced_pairs_are_all_edges_and_as_many_others(graph):
    numbers = balanced(others=1.0, seed=3).numbers(graph, NONE)
    linked = graph.linked(numbers)
    free = pair_count(graph.size) - len(graph.pairs)
    assert linked.sum() == len(graph.pairs)
    assert (~linked).sum() == min(len(graph.pairs), free)


def test_every_unlinked_pair_is_drawn_equally_often():
    """MC-GRA's list takes the first ones instead of random ones."""
    graph = communities(groups=2, each=4, seed=1)
    gone = np.array([0, 5])
    counts = np.zeros(pair_count(graph.size))
    for seed in range(3000):
        counts[draw_unlinked(graph, 3, np.random.default_rng(seed), gone)] += 1
    free = ~np.isin(np.arange(len(counts)), np.union1d(edges_of(graph), gone))
    assert counts[~free].sum() == 0
    expected = 9000 / free.sum()
    assert (np.abs(counts[free] - expected) < 5 * np.sqrt(expected)).all()


def scored(graph, seed=0):
    source = torch.Generator().manual_seed(seed)
    vectors = graph.features.dense[:, :3] + 0.5 * torch.rand(graph.size, 3, generator=source)
    return SimilarityLinks(graph.size, vectors, "cosine")


def mean(measurement, name):
    return float(np.mean(measurement.fields[name][0]))


def test_another_universe_gives_another_area():
    """R-MCG-4: in MC-GRA the balancing comes after the curve, and changes nothing."""
    graph = communities(across=0.1)
    areas = {
        name: mean(link_auc(of=scored(graph), secret=graph, pairs=pairs, run=run()), "auc")
        for name, pairs in (
            ("whole", whole()),
            ("induced", induced(nodes=12, seed=1)),
            ("balanced", balanced(others=1, seed=1)),
        )
    }
    assert len(set(areas.values())) == 3


def test_area_and_precision_are_taken_on_the_same_pairs_without_a_diagonal():
    """R-GMI-G3: the released code takes one on all ordered pairs with the diagonal, the other on a balanced draw."""
    graph = communities()
    for pairs in (whole(), balanced(others=2, seed=0)):
        told = run()
        link_auc(of=scored(graph), secret=graph, pairs=pairs, run=told)
        linked, others = told.notes["linked_pairs"], told.notes["unlinked_pairs"]
        assert linked == len(graph.pairs)
        assert others == (pair_count(graph.size) - linked if pairs == whole() else 2 * linked)


@settings(max_examples=20)
@given(graphs(), st.integers(0, 999))
def test_numbering_the_nodes_anew_changes_no_figure(graph, seed):
    order = np.random.default_rng(seed).permutation(graph.size)
    links = scored(graph)
    moved = SimilarityLinks(graph.size, links.vectors[torch.from_numpy(order)], "cosine")
    before = link_auc(of=links, secret=graph, pairs=whole(), run=run())
    after = link_auc(of=moved, secret=graph.induced(order), pairs=whole(), run=run())
    assert before.reasons == after.reasons
    for name, (values, _) in before.fields.items():
        assert np.allclose(np.array(values)[order], after.fields[name][0])


def test_what_a_grant_reveals_counts_nowhere():
    graph = communities()
    links = scored(graph)
    known = edges_of(graph)[:20].tolist()
    told = run()
    link_auc(of=links.without(known), secret=graph, pairs=whole(), run=told)
    assert told.notes["linked_pairs"] == len(graph.pairs) - 20
    assert told.notes["pairs_given_away"] == 20
    everything = links.without(range(pair_count(graph.size)))
    gone = link_auc(of=everything, secret=graph, pairs=whole(), run=run())
    assert gone.fields == {}
    assert "given away" in gone.reasons["auc"]


def test_few_unlinked_pairs_cannot_tell_a_small_rate_of_false_alarms():
    graph = communities()
    found = link_recall(of=scored(graph), secret=graph, pairs=whole(), one_in=[10_000, 10], run=run())
    assert set(found.fields) == {"recall_1_in_10"}
    assert "one false alarm in 10,000" in found.reasons["recall_1_in_10000"]


def test_outputs_about_another_graph_are_not_measured():
    other = scored(communities().first(24))
    found = link_auc(of=other, secret=communities(), pairs=whole(), run=run())
    assert "24 nodes" in found.reasons["auc"]
