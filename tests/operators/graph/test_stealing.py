"""Link stealing: the sign of a distance is fixed, the classifier sees no pair that it was not told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.artefacts import restore
from mialang.operators.asking import Pairs
from mialang.operators.errors import OperatorError
from mialang.operators.graph.granting import known
from mialang.operators.graph.metrics import link_auc
from mialang.operators.graph.pairs import pair_count
from mialang.operators.graph.parts import Edges
from mialang.operators.graph.released import released_embeddings, released_posteriors
from mialang.operators.graph.similarity import DISTANCES
from mialang.operators.graph.stealing import (
    classify_links,
    fit_pair_classifier,
    pair_features,
    rank_by_answers,
    rank_by_features,
    rank_by_labels,
)
from mialang.operators.graph.universe import whole
from tests.operators.graph.graphs import communities, run
from tests.operators.graph.test_node_classifier import trained


def answers(graph, model):
    nodes = torch.arange(graph.size)
    return Pairs(nodes, model.answer("node_logits", nodes).softmax(1), "node_posteriors", model.classes)


def area(links, graph):
    return float(np.mean(link_auc(of=links, secret=graph, pairs=whole(), run=run()).fields["auc"][0]))


@pytest.mark.parametrize("by", DISTANCES)
def test_the_sign_is_fixed_before_anybody_looks(by):
    """R-LSA-1: the released code turns a distance round where its area is below one half."""
    graph, model, _ = trained(epochs=80)
    posteriors = answers(graph, model)
    links = rank_by_answers(of=posteriors, by=by, run=run())
    assert area(links, graph) > 0.7
    # A graph that joins what is unlike: the same attack stays below one half instead of being turned round.
    unlike = graph.values[:, None] != graph.values[None, :]
    u, v = np.triu_indices(graph.size, 1)
    opposite = type(graph)(graph.size, np.stack([u[unlike[u, v]], v[unlike[u, v]]], axis=1))
    assert area(links, opposite) < 0.4


def test_baselines_rank_by_what_was_granted():
    graph, model, _ = trained()
    assert area(rank_by_features(of=graph.features, by="cosine", run=run()), graph) > 0.7
    by_label = rank_by_labels(of=graph.labels, run=run())
    u, v = np.triu_indices(graph.size, 1)
    assert np.array_equal(by_label.of(np.arange(len(u))).numpy(), (graph.values[u] == graph.values[v]).astype(float))
    told = Pairs(torch.arange(graph.size), torch.from_numpy(graph.values), "node_label", model.classes)
    assert torch.equal(
        rank_by_answers(of=told, by="equal", run=run()).of(np.arange(len(u))), by_label.of(np.arange(len(u)))
    )


@given(st.integers(1, 6), st.integers(0, 99))
def test_which_end_comes_first_does_not_matter(k, seed):
    source = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(k, 4, generator=source, dtype=torch.float64).softmax(1) for _ in range(2))
    torch.testing.assert_close(pair_features(a, b), pair_features(b, a))
    assert pair_features(a, b).shape == (k, 4 * 4 + 8 + 4)


def test_scaling_is_fitted_on_known_pairs_alone():
    """R-LSA-2: the released code fits the scaling anew on the test pairs."""
    graph, model, _ = trained()
    posteriors = answers(graph, model)
    told = known(of=graph.edges, share=0.3, others=1.0, run=run(1))
    made = fit_pair_classifier(on=posteriors, known=told, epochs=3, lr=1e-3, run=run(1))
    exact = posteriors.answers.double()
    seen = pair_features(exact[told.pairs[:, 0]], exact[told.pairs[:, 1]])
    torch.testing.assert_close(made.mean, seen.mean(0))
    moving = seen.std(0, correction=0) > 0
    torch.testing.assert_close(made.deviation[moving], seen.std(0, correction=0)[moving])
    alone = made.score(exact[:1], exact[1:2])
    together = made.score(exact[:20], exact[1:21])
    torch.testing.assert_close(alone[0], together[0])


def test_the_classifier_learns_which_pairs_are_linked():
    graph, model, _ = trained(epochs=80)
    posteriors = answers(graph, model)
    told = known(of=graph.edges, share=0.5, others=1.0, run=run(2))
    made = fit_pair_classifier(on=posteriors, known=told, epochs=50, lr=5e-3, run=run(2))
    links = classify_links(of=posteriors, by=made, run=run())
    assert area(links.without(told.reveals()), graph) > 0.75
    back = restore(links.kind, links.arrays(), links.facts())
    assert torch.equal(back.of(np.arange(50)), links.of(np.arange(50)))
    u, v = np.triu_indices(graph.size, 1)
    by_pair = links.between(torch.from_numpy(u), torch.from_numpy(v))
    torch.testing.assert_close(links.of(np.arange(pair_count(graph.size))), by_pair, rtol=1e-4, atol=1e-4)


def test_equal_seeds_give_equal_classifiers():
    graph, model, _ = trained()
    told = known(of=graph.edges, share=0.3, others=1.0, run=run(1))
    one, again, other = (
        fit_pair_classifier(on=answers(graph, model), known=told, epochs=2, lr=1e-3, run=run(seed))
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one.state[name], again.state[name]) for name in one.state)
    assert any(not torch.equal(one.state[name], other.state[name]) for name in one.state)


def test_known_pairs_of_one_sort_teach_nothing():
    graph, model, _ = trained()
    for told in (graph.edges, Edges(graph.size, graph.pairs[:5], np.ones(5, dtype=np.bool_))):
        with pytest.raises(OperatorError, match="all of one sort"):
            fit_pair_classifier(on=answers(graph, model), known=told, epochs=1, lr=1e-3, run=run())


def test_answers_must_speak_of_all_nodes_in_order():
    some = Pairs(torch.tensor([2, 0, 1]), torch.rand(3, 2), "node_posteriors", (0, 1))
    with pytest.raises(OperatorError, match="in order"):
        rank_by_answers(of=some, by="cosine", run=run())


@pytest.mark.parametrize("release", [released_posteriors, released_embeddings])
def test_leaked_answers_are_those_of_all_nodes_and_their_decoy_moves_each_of_them(release):
    graph, model, _ = trained()

    class Open:
        classes, identity = model.classes, ""

        def ask(self, name, x):
            return model.answer("node_logits" if "posteriors" in name else "node_embeddings", x)

    real, decoy = (
        release(of=Open(), records=graph, size=None, permuted=permuted, turn=0, run=run(4))
        for permuted in (False, True)
    )
    assert real.reveals() == ()
    assert len(real.answers) == graph.size
    moved = (real.answers[:, None] == decoy.answers[None, :]).all(-1)
    assert moved.any(0).all()
    assert area(rank_by_answers(of=real, by="cosine", run=run()), communities()) > 0.7
