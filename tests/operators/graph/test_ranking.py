"""Areas under curves equal scikit-learn's, and what each pair adds to them is their derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from mialang.operators.graph.pairs import ends_of, pair_count
from mialang.operators.graph.ranking import Ranking, by_node


@st.composite
def ranked(draw, most=60):
    """Return scores with ties, and which are linked: some, and not all."""
    n = draw(st.integers(2, most))
    scores = draw(nps.arrays(np.float64, n, elements=st.integers(-5, 5).map(float)))
    linked = draw(nps.arrays(np.bool_, n))
    assume(linked.any() and not linked.all())
    return scores, linked


@settings(max_examples=40)
@given(ranked())
def test_areas_equal_those_of_scikit_learn(given_):
    scores, linked = given_
    ranking = Ranking.of(scores, linked)
    assert ranking.auc()[0] == pytest.approx(roc_auc_score(linked, scores))
    assert ranking.average_precision()[0] == pytest.approx(average_precision_score(linked, scores))


@settings(max_examples=40)
@given(ranked(), st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing_and_reversed_scores_turn_the_area_round(given_, random):
    scores, linked = given_
    order = list(range(len(scores)))
    random.shuffle(order)
    area = Ranking.of(scores, linked).auc()[0]
    assert Ranking.of(scores[order], linked[order]).auc()[0] == pytest.approx(area)
    assert Ranking.of(-scores, linked).auc()[0] == pytest.approx(1 - area)


@settings(max_examples=40)
@given(ranked())
def test_what_pairs_add_sums_to_nothing(given_):
    ranking = Ranking.of(*given_)
    for _, added in (ranking.auc(), ranking.average_precision()):
        assert added.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("figure", ["auc", "average_precision"])
@settings(max_examples=40)
@given(ranked(most=20), st.integers(0, 19))
def test_what_a_pair_adds_is_the_derivative_by_its_weight(figure, given_, place):
    scores, linked = given_
    place %= len(scores)
    score = {"auc": roc_auc_score, "average_precision": average_precision_score}[figure]
    step = 1e-6
    up, down = np.ones(len(scores)), np.ones(len(scores))
    up[place] += step
    down[place] -= step
    slope = (score(linked, scores, sample_weight=up) - score(linked, scores, sample_weight=down)) / (2 * step)
    _, added = getattr(Ranking.of(scores, linked), figure)()
    assert added[place] == pytest.approx(slope, abs=1e-5)


@settings(max_examples=40)
@given(ranked())
def test_recall_lies_on_the_roc_curve(given_):
    scores, linked = given_
    ranking = Ranking.of(scores, linked)
    x, y, _ = roc_curve(linked, scores, drop_intermediate=False)
    for share in (0.1, 0.5, 1.0):
        recall, found = ranking.recall_at(share)
        # At a vertical piece of the curve its upper end counts: no more false alarms are needed for it.
        expected = max(np.interp(share, x, y), y[x <= share].max())
        assert recall == pytest.approx(expected, abs=0.5 / linked.sum() + 1e-9)
        assert set(found) <= {0.0, 1.0}
        assert len(found) == linked.sum()


@settings(max_examples=40)
@given(ranked())
def test_the_curve_is_the_roc_curve(given_):
    scores, linked = given_
    corners = Ranking.of(scores, linked).curve(1000)
    x, y, _ = roc_curve(linked, scores, drop_intermediate=False)
    assert np.allclose(np.array(corners), np.stack([x, y], axis=1), atol=1e-6)


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_beginning():
    source = np.random.default_rng(0)
    scores, linked = source.random(20_000), source.random(20_000) < 0.02
    corners = np.array(Ranking.of(scores, linked).curve(200))
    assert len(corners) <= 202
    assert corners[0].tolist() == [0, 0]
    assert corners[-1].tolist() == [1, 1]
    assert (corners[:, 0] < 0.01).sum() > 10


@given(st.integers(3, 12), st.integers(0, 10_000))
def test_values_by_node_have_the_area_as_their_mean(n, seed):
    source = np.random.default_rng(seed)
    numbers = np.arange(pair_count(n))
    scores, linked = source.random(len(numbers)), source.random(len(numbers)) < 0.5
    assume(linked.any() and not linked.all())
    area, added = Ranking.of(scores, linked).auc()
    assert by_node(area, added, *ends_of(numbers, n), n).mean() == pytest.approx(area)


def test_values_by_node_spread_as_the_area_does_over_draws_of_graphs():
    """The standard error read off one graph is that of the area over many graphs of its kind, within a factor."""
    n, areas, read = 60, [], []
    u, v = ends_of(np.arange(pair_count(n)), n)
    for seed in range(60):
        source = np.random.default_rng(seed)
        popular = source.random(n)
        linked = source.random(len(u)) < 0.1 + 0.5 * popular[u] * popular[v]
        scores = popular[u] + popular[v] + source.normal(size=len(u))
        area, added = Ranking.of(scores, linked).auc()
        areas.append(area)
        read.append(by_node(area, added, u, v, n).std() / np.sqrt(n))
    assert 0.7 < np.mean(read) / np.std(areas) < 1.6
