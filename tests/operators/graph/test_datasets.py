"""Files that hold graphs: what is not simple is refused with a way out, or counted."""

from __future__ import annotations

import numpy as np
import pytest

from mialang.operators.errors import OperatorError
from mialang.operators.graph.datasets import karate, npz, split_evenly
from tests.operators.graph.graphs import communities, run

EDGES = np.array([[0, 1], [1, 2], [2, 3]])
LABEL = np.array([0, 0, 1, 1, 1])
OPTIONS = {
    "directed": "refuse",
    "weights": "refuse",
    "features": "given",
    "normalise": "none",
    "train": None,
    "limit": None,
}


@pytest.fixture
def load(tmp_path):
    def loaded(arrays, **options):
        np.savez(tmp_path / "graph.npz", **arrays)
        told = run()
        return npz(path=str(tmp_path / "graph.npz"), **{**OPTIONS, **options}, run=told), told.notes

    return loaded


def test_the_karate_club_needs_no_file():
    told = run()
    club = karate(train=None, run=told)
    assert (club.size, len(club.pairs), len(club.classes)) == (34, 78, 4)
    assert len(club.train_nodes) == 4
    assert len(club.train_nodes) + len(club.test_nodes) == 34
    assert told.notes["isolated_nodes"] == 0


def test_a_simple_file_is_read_as_it_is(load):
    x = np.arange(10.0).reshape(5, 2)
    graph, notes = load(
        {"edges": EDGES, "label": LABEL, "x": x, "train_idx": np.array([0]), "test_idx": np.array([4, 3])}
    )
    assert graph.pairs.tolist() == EDGES.tolist()
    assert graph.features.dense.tolist() == x.tolist()
    assert graph.split["test"].tolist() == [3, 4]
    assert notes["isolated_nodes"] == 1  # node 4 has a label and no edge
    assert notes["loops_removed"] == notes["repeated_edges_merged"] == notes["directions_dropped"] == 0


def test_loops_and_repetitions_are_counted_and_removed(load):
    odd = np.array([[0, 1], [0, 1], [2, 2], [2, 3]])
    graph, notes = load({"edges": odd, "label": LABEL})
    assert graph.pairs.tolist() == [[0, 1], [2, 3]]
    assert (notes["loops_removed"], notes["repeated_edges_merged"]) == (1, 1)
    assert notes["isolated_nodes"] == 1


def test_both_directions_of_every_edge_are_one_undirected_graph(load):
    graph, notes = load({"edges": np.concatenate([EDGES, EDGES[:, ::-1]]), "label": LABEL})
    assert graph.pairs.tolist() == EDGES.tolist()
    assert notes["directions_dropped"] == 0


@pytest.mark.parametrize("arrays", [
    {"edges_directed": EDGES},
    {"edges": np.concatenate([EDGES, EDGES[:1, ::-1]])},
])  # fmt: skip
def test_a_directed_graph_is_refused_unless_directions_are_to_be_ignored(load, arrays):
    with pytest.raises(OperatorError, match="directed graph") as caught:
        load({**arrays, "label": LABEL})
    assert "directed = ignore" in caught.value.help
    graph, notes = load({**arrays, "label": LABEL}, directed="ignore")
    assert graph.pairs.tolist() == EDGES.tolist()
    assert notes["directions_dropped"] == (3 if "edges_directed" in arrays else 2)


def test_a_weighted_graph_is_refused_unless_weights_are_to_be_ignored(load):
    arrays = {"edges": EDGES, "label": LABEL, "weights": np.array([1.0, 0.5, 2.0])}
    with pytest.raises(OperatorError, match=r"weights from 0\.5 to 2") as caught:
        load(arrays)
    assert "weights = ignore" in caught.value.help
    assert len(load(arrays, weights="ignore")[0].pairs) == 3
    assert len(load({**arrays, "weights": np.ones(3)})[0].pairs) == 3


def test_missing_features_stay_missing_unless_the_spec_says_otherwise(load):
    graph, _ = load({"edges": EDGES, "label": LABEL})
    with pytest.raises(OperatorError, match="no features"):
        _ = graph.features
    numbered, notes = load({"edges": EDGES, "label": LABEL}, features="identity")
    assert np.array_equal(numbered.features.dense, np.eye(5))
    assert notes["features"] == "identity"


def test_features_can_be_scaled_by_rows(load):
    x = np.array([[1.0, 3], [0, 0], [2, 2], [5, 0], [1, 1]])
    graph, _ = load({"edges": EDGES, "x": x}, normalise="rows")
    assert graph.features.dense.sum(1).tolist() == [1, 0, 1, 1, 1]


@pytest.mark.parametrize(("arrays", "words"), [
    ({"label": LABEL}, "holds no edges"),
    ({"edges": EDGES.astype(float)}, "lists no edges"),
    ({"edges": EDGES.reshape(-1)}, "lists no edges"),
    ({"edges": np.array([[0, 9]]), "label": LABEL}, "ends at node 9"),
    ({"edges": np.array([[0, -1]]), "label": LABEL}, "ends at node -1"),
    ({"edges": EDGES, "label": np.array([0, -1, 0, 0, 0])}, "gives node 1 the label -1"),
    ({"edges": EDGES, "label": np.array([0, 0.5, 0, 0, 0])}, "gives node 1 the label 0.5"),
    ({"edges": EDGES, "label": LABEL, "x": np.ones((4, 2))}, "5 labels and features of 4 nodes"),
    ({"edges": EDGES, "label": LABEL, "x": np.full((5, 2), np.nan)}, "feature that is no number"),
    ({"edges": EDGES, "label": LABEL, "test_idx": np.array([7])}, "names test node 7"),
    ({"edges": EDGES, "label": LABEL, "test_idx": np.array([1]), "train_idx": np.array([1])}, "share nodes"),
])  # fmt: skip
def test_a_file_that_cannot_be_is_named(load, arrays, words):
    with pytest.raises(OperatorError, match=words):
        load(arrays)


def test_what_is_no_npz_is_named(tmp_path):
    (tmp_path / "graph.npz").write_text("no")
    with pytest.raises(OperatorError, match="cannot be read as npz"):
        npz(path=str(tmp_path / "graph.npz"), **OPTIONS, run=run())


def test_a_split_is_even_over_classes_and_always_the_same():
    graph = communities()
    one, other = split_evenly(graph, 0.25), split_evenly(graph, 0.25)
    assert np.array_equal(one.split["train"], other.split["train"])
    assert np.bincount(graph.values[one.split["train"]]).tolist() == [3, 3, 3]
    assert len(one.split["train"]) + len(one.split["test"]) == graph.size
    assert np.bincount(graph.values[split_evenly(graph, 0.001).split["train"]]).tolist() == [1, 1, 1]


def test_a_limit_keeps_what_is_near(load):
    graph, notes = load({"edges": EDGES, "label": LABEL}, limit=3)
    assert graph.size == 3
    assert notes["nodes"] == 3
