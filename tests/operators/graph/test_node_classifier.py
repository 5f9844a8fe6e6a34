"""Node classifiers learn, answer what they are asked, and keep their graph to themselves."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mialang.engine.codec import unpack
from mialang.engine.isolation import outside
from mialang.operators.answers import ModelAnswers
from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.graph.architectures import gat, gcn, sage
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.metrics import node_accuracy
from mialang.operators.graph.neighbourhoods import EdgeList
from mialang.operators.graph.node_classifier import node_classifier
from mialang.operators.graph.questions import OwnGraphs, Scaled
from mialang.operators.graph.rewiring import rewired
from tests.operators.graph.graphs import communities, run
from tests.operators.graph.test_architectures import matrix

OBSERVABLES = {
    "node_posteriors": {"from": ["node_logits"], "python": "mialang.operators.observables:scores", "size": ""},
    "node_label": {"from": ["node_posteriors"], "python": "mialang.operators.observables:label", "size": ""},
}


ARCHITECTURES = {
    "gcn": gcn(hidden=8, layers=2, dropout=0.5),
    "sage": sage(hidden=8, layers=2, dropout=0.5),
    "gat": gat(hidden=4, heads=2, dropout=0.6),
}


@cache
def trained(seed=0, epochs=40, architecture="gcn"):
    graph = communities()
    told = run(seed)
    model = node_classifier(
        model=ARCHITECTURES[architecture], trained=graph, epochs=epochs, lr=0.01, decay=5e-4, run=told
    )
    return graph, model, told.notes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nodes_are_told_apart_by_class(architecture):
    graph, model, notes = trained(epochs=80, architecture=architecture)
    assert notes["test_accuracy"] > 0.8
    answers = ModelAnswers(model, OBSERVABLES, generator=torch.Generator())
    measured = node_accuracy(of=Asked(answers), on=graph.test_nodes, run=run())
    assert np.mean(measured.fields[""][0]) == pytest.approx(notes["test_accuracy"])


class Asked:
    """A handle that grants everything."""

    def __init__(self, answers):
        self.answers = answers
        self.classes = answers.classes

    def ask(self, name, x):
        return self.answers(name, x)


def test_equal_seeds_give_equal_bytes_and_other_seeds_others():
    graph = communities()
    made = [node_classifier(model=gcn(hidden=4, layers=2, dropout=0.5), trained=graph, epochs=3, lr=0.01, decay=0, run=run(seed))
            for seed in (1, 1, 2)]  # fmt: skip
    first, again, other = ({name: value.tobytes() for name, value in model.arrays().items()} for model in made)
    assert first == again
    assert first != other


def test_plain_form_and_back_answers_the_same():
    graph, model, _ = trained()
    back = restore(model.kind, model.arrays(), model.facts())
    nodes = torch.arange(graph.size)
    assert torch.equal(back.answer("node_logits", nodes), model.answer("node_logits", nodes))
    bare = restore(model.kind, model.released().arrays(), model.released().facts())
    assert bare.served is None


def test_whoever_holds_the_weights_does_not_hold_the_graph():
    graph, model, _ = trained()
    held = ModelAnswers(model, OBSERVABLES, generator=torch.Generator()).model()
    assert held.served is None
    assert not any(name.startswith("graph.") for name in held.arrays())
    for name, question in (("node_logits", torch.arange(3)), ("inductive_logits", nudged(graph))):
        with pytest.raises(OperatorError, match="the weights alone do not tell"):
            held.answer(name, question)
    own = OwnGraphs(graph.features, torch.zeros(1, graph.size, graph.size))
    assert held.answer("logits", own).shape == (1, graph.size, 3)


def nudged(graph, factor=1.5):
    return Scaled(graph.features, torch.arange(4), torch.full((4,), factor, dtype=torch.float64))


@pytest.mark.parametrize("name", ["logits", "features"])
def test_questions_about_graphs_of_ones_own_are_not_answered_about_the_graph_served(name):
    """Weights derive logits and scores, but never those of the nodes that are served."""
    _, model, _ = trained()
    with pytest.raises(OperatorError, match="asked with whole graphs"):
        model.answer(name, torch.arange(3))


def test_answers_over_ones_own_graph_equal_the_served_ones_if_the_graph_is_the_same():
    graph, model, _ = trained()
    nodes = torch.arange(graph.size)
    own = OwnGraphs(graph.features, matrix(graph))
    torch.testing.assert_close(model.answer("logits", own)[0], model.answer("node_logits", nodes), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model.answer("features", own)[0], model.answer("node_embeddings", nodes), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_sent_in_are_answered_over_the_graph_served(architecture, monkeypatch):
    graph, model, _ = trained(architecture=architecture)
    asked = nudged(graph)
    together = model.answer("inductive_logits", asked)
    assert together.dtype == torch.float64
    for place in range(len(asked)):
        dense = graph.features.dense.double().clone()
        dense[place] *= 1.5
        net = model._precise
        _, expected = net.rest(dense @ net.first(), EdgeList(graph.pairs, graph.size))
        torch.testing.assert_close(together[place], expected)
    monkeypatch.setattr("mialang.operators.graph.node_classifier.ROOM", 1)
    assert torch.equal(model.answer("inductive_logits", asked), together)


def test_strange_nodes_and_features_are_refused():
    graph, model, _ = trained()
    with pytest.raises(OperatorError, match="serves 36 nodes"):
        model.answer("node_logits", torch.tensor([99]))
    other = communities(groups=2)
    with pytest.raises(OperatorError, match="takes 3 features"):
        model.answer("logits", OwnGraphs(other.features, torch.zeros(1, 24, 24)))
    with pytest.raises(OperatorError, match="features of 5"):
        model.answer("inductive_logits", nudged(graph.induced(np.arange(5))))


def test_validation_chooses_and_test_nodes_take_no_part():
    graph = communities()
    split = {"train": graph.split["train"], "validation": graph.split["test"][:8], "test": graph.split["test"][8:]}
    watched = Graph(graph.size, graph.pairs, graph.attributes, graph.values, {}, split)
    told = run(3)
    model = node_classifier(
        model=gcn(hidden=8, layers=2, dropout=0.5), trained=watched, epochs=30, lr=0.3, decay=0, run=told
    )
    assert 1 <= told.notes["chosen_epoch"] <= 30
    without = Graph(graph.size, graph.pairs, graph.attributes, graph.values, {}, {**split, "test": split["test"][:2]})
    again = node_classifier(
        model=gcn(hidden=8, layers=2, dropout=0.5), trained=without, epochs=30, lr=0.3, decay=0, run=run(3)
    )
    assert all(torch.equal(value, again.state[name]) for name, value in model.state.items())


@pytest.mark.parametrize(("graph", "words"), [
    (Graph(4, np.array([[0, 1]]), None, np.array([0, 0, 1, 1]), {}, {"train": np.arange(2)}), "no features"),
    (Graph(4, np.array([[0, 1]]), communities().induced(np.arange(4)).attributes), "no train nodes"),
    (communities().induced(np.arange(6)), "one class only"),
])  # fmt: skip
def test_a_graph_that_cannot_be_learned_from_is_named(graph, words):
    with pytest.raises(OperatorError, match=words):
        node_classifier(
            model=gcn(hidden=4, layers=2, dropout=0.5), trained=graph, epochs=1, lr=0.01, decay=0, run=run()
        )


def test_divergence_is_named():
    with pytest.raises(OperatorError, match="diverged"):
        node_classifier(
            model=gcn(hidden=4, layers=2, dropout=0), trained=communities(), epochs=60, lr=1e30, decay=0, run=run()
        )


def test_a_decoys_graph_keeps_nothing_of_the_edges_but_their_number():
    graph = communities()
    made = rewired(features=graph.features, labels=graph.labels, like=graph, run=run(1))
    assert len(made.pairs) == len(graph.pairs)
    assert np.array_equal(made.values, graph.values)
    linked = graph.linked(made.edges.numbers).mean()
    share = len(graph.pairs) / (graph.size * (graph.size - 1) / 2)
    assert abs(linked - share) < 0.15
    same_class = (made.values[made.pairs[:, 0]] == made.values[made.pairs[:, 1]]).mean()
    assert same_class < 0.5


def test_weights_that_go_to_another_process_hold_no_graph():
    _, model, _ = trained()
    answers = ModelAnswers(model, OBSERVABLES, generator=torch.Generator())
    told = outside._Conversation.__new__(outside._Conversation)
    told.job = SimpleNamespace(handles={"h": {"model": {"$node": "n"}}}, inputs={"n": ("digest", "made:by")})
    told._handle = lambda _: answers
    data, made_by = told._weights("h")
    kind, arrays, facts = unpack(data)
    assert (kind, made_by) == ("node_classifier", "made:by")
    assert all(name.startswith("state.") for name in arrays)
    assert facts["served"] is None
