"""Influence flows along edges and no further than the model is deep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mialang.operators.errors import OperatorError
from mialang.operators.graph import influence as module
from mialang.operators.graph.influence import influence
from mialang.operators.graph.metrics import link_auc
from mialang.operators.graph.pairs import ends_of, pair_count
from mialang.operators.graph.universe import whole
from mialang.operators.observables import permuted
from tests.operators.graph.graphs import run
from tests.operators.graph.test_node_classifier import trained


class Server:
    """Answers class probabilities for features that are sent in, rounded where that is asked."""

    name = "server"

    def __init__(self, model, digits=None, decoy=False):
        self.model, self.digits, self.decoy = model, digits, decoy
        self.classes = model.classes
        self.asked = 0
        self.generator = torch.Generator().manual_seed(0)

    def ask(self, name, x):
        assert name == "inductive_posteriors"
        self.asked += len(x)
        made = self.model.answer("inductive_logits", x).softmax(-1)
        made = made if self.digits is None else made.round(decimals=self.digits)
        return permuted(made, generator=self.generator) if self.decoy else made


def area(links, graph):
    return float(np.mean(link_auc(of=links, secret=graph, pairs=whole(), run=run()).fields["auc"][0]))


def test_only_nodes_within_two_steps_move_each_other_and_linked_ones_most():
    graph, model, _ = trained(epochs=80)
    links = influence(of=Server(model), features=graph.features, delta=1e-4, run=run())
    near = np.zeros((graph.size, graph.size))
    near[graph.pairs[:, 0], graph.pairs[:, 1]] = near[graph.pairs[:, 1], graph.pairs[:, 0]] = 1
    within = (near + near @ near) > 0
    u, v = ends_of(np.arange(pair_count(graph.size)), graph.size)
    scores = links.of(np.arange(len(u))).numpy()
    assert np.array_equal(scores > 0, within[u, v])
    assert area(links, graph) > 0.9


def test_questions_are_one_a_node_and_one_more_however_many_at_a_time(monkeypatch):
    graph, model, _ = trained()
    server = Server(model)
    at_once = influence(of=server, features=graph.features, delta=1e-4, run=run())
    assert server.asked == graph.size + 1
    monkeypatch.setattr(module, "VALUES", 1)
    one_by_one = influence(of=Server(model), features=graph.features, delta=1e-4, run=run())
    assert np.array_equal(one_by_one.numbers, at_once.numbers)
    torch.testing.assert_close(one_by_one.scores, at_once.scores, rtol=1e-3, atol=1e-6)


def test_the_nudge_is_the_parameter_and_every_value_of_it_counts():
    """R-LTE-1: the documented option of the released code is not the coded one."""
    graph, model, _ = trained(epochs=80)
    small, large = (
        influence(of=Server(model), features=graph.features, delta=delta, run=run()) for delta in (1e-4, 10.0)
    )
    assert not torch.allclose(small.scores, large.scores)
    with pytest.raises(OperatorError, match="move nothing"):
        influence(of=Server(model), features=graph.features, delta=0.0, run=run())


def test_rounding_hides_a_small_nudge_and_not_a_large_one():
    graph, model, _ = trained(epochs=80)
    hidden = influence(of=Server(model, digits=2), features=graph.features, delta=1e-4, run=run())
    seen = influence(of=Server(model, digits=2), features=graph.features, delta=1.0, run=run())
    assert area(hidden, graph) < 0.55
    assert area(seen, graph) > 0.7


def test_answers_of_a_decoy_tell_nothing():
    graph, model, _ = trained(epochs=80)
    blind = influence(of=Server(model, decoy=True), features=graph.features, delta=1e-4, run=run())
    assert abs(area(blind, graph) - 0.5) < 0.15
