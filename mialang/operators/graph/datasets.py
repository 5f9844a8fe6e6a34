"""Graph data that a spec can name: the karate club that ships with PyG, and npz files. What is not simple is counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.graphs import SPLITS, Graph, ordered
from mialang.operators.run import Run

SEED = 20_210_819  # of the fixed order in which nodes are drawn for training


def karate(*, train: float | None, run: Run) -> Graph:
    """Load Zachary's karate club, 34 nodes and 78 edges: who was seen with whom. Its features only number the nodes."""
    from torch_geometric.datasets import KarateClub  # noqa: PLC0415 - it drags in all of PyG

    club: Any = KarateClub()[0]
    mask = club.train_mask.numpy()
    graph = Graph(
        int(club.num_nodes),
        ordered(club.edge_index.numpy().T, int(club.num_nodes)),
        NodeFeatures.of_dense(club.x.numpy()),
        club.y.numpy().astype(np.int64),
        {},
        {"train": np.flatnonzero(mask), "test": np.flatnonzero(~mask)},
    )
    return _told(graph if train is None else split_evenly(graph, train), run)


def npz(
    *,
    path: str,
    directed: str,
    weights: str,
    features: str,
    normalise: str,
    train: float | None,
    limit: int | None,
    run: Run,
) -> Graph:
    """Load a graph from an npz file: `edges` [m, 2], and where it has them `label` [n], features, split indices.

    Features are `x` [n, d], or `x_indptr`, `x_indices`, `x_data`, `x_shape` of a sparse matrix by rows. Loops and
    repeated edges are removed and counted, nodes without an edge stay and are counted.

    Raises:
        OperatorError: a node that does not exist, edges in one direction only, weights, missing features: each with what
            to write where that is meant.
    """
    found = run.find(path)
    arrays = _arrays(found)
    label, split = _labels(arrays, path), {name: arrays[key] for name, key in _indices(arrays)}
    told = NodeFeatures.of_identity(0) if features == "identity" else _features(arrays, path)
    pairs, marked = _pairs(arrays, path)
    size = _size(pairs, label, told if features == "given" else None, path)
    if features == "identity":
        told = NodeFeatures.of_identity(size)
    _refuse_weights(arrays, weights, path)
    _check_split(split, size, path)
    pairs = _simple(pairs, size, marked=marked, directed=directed, path=path, run=run)
    if normalise == "rows" and told is not None:
        told = told.by_rows()
    graph = Graph(size, pairs, told, label, {}, {name: np.sort(part).astype(np.int64) for name, part in split.items()})
    graph = graph if limit is None else graph.first(limit)
    run.note("features", features)
    return _told(graph if train is None else split_evenly(graph, train), run)


def split_evenly(graph: Graph, share: float) -> Graph:
    """Return a graph with a share of each class as training nodes, at least one, drawn in a fixed order; the rest tests.

    Raises:
        OperatorError: the graph has no labels.
    """
    labels = graph.labels.values
    order = np.random.default_rng(SEED).permutation(len(labels))
    drawn = [order[labels[order] == label] for label in graph.classes]
    train = np.concatenate([own[: max(1, round(share * len(own)))] for own in drawn])
    rest = np.setdiff1d(np.arange(len(labels)), train)
    return Graph(
        graph.size, graph.pairs, graph.attributes, graph.values, graph.names, {"train": np.sort(train), "test": rest}
    )


def _told(graph: Graph, run: Run) -> Graph:
    run.note("nodes", graph.size)
    run.note("edges", len(graph.pairs))
    run.note("isolated_nodes", int(graph.size - len(np.unique(graph.pairs))))
    if graph.values is not None:
        counts = {str(label): int((graph.values == label).sum()) for label in graph.classes}
        run.note("nodes_by_class", counts)
    return graph


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except (OSError, ValueError, EOFError) as problem:
        raise OperatorError(
            f"`{path.name}` cannot be read as npz", note=str(problem), help="write it with numpy.savez, without objects"
        ) from problem


def _pairs(arrays: Mapping[str, Array], path: str) -> tuple[Array, bool]:
    """Return the edges as listed, and whether the file calls them directed."""
    for key, marked in (("edges", False), ("edges_directed", True), ("edge_index", False)):
        if key in arrays:
            pairs = arrays[key].T if key == "edge_index" else arrays[key]
            if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
                raise OperatorError(
                    f"`{path}` lists no edges: `{key}` has shape {list(arrays[key].shape)} of {arrays[key].dtype}",
                    help="give whole numbers of nodes, [m, 2] under the key `edges`",
                )
            return pairs.astype(np.int64), marked
    raise OperatorError(
        f"`{path}` holds no edges",
        note=f"it holds {', '.join(sorted(arrays))}",
        help="give [m, 2] under the key `edges`",
    )


def _labels(arrays: Mapping[str, Array], path: str) -> Array | None:
    if "label" not in arrays:
        return None
    label = arrays["label"].reshape(-1).astype(np.int64)
    if not np.array_equal(label, arrays["label"].reshape(-1)) or (len(label) and label.min() < 0):
        odd = int(np.flatnonzero((label != arrays["label"].reshape(-1)) | (label < 0))[0])
        raise OperatorError(
            f"`{path}` gives node {odd} the label {arrays['label'].reshape(-1)[odd]}",
            help="number the classes 0, 1, 2, …, one for every node, or leave `label` out",
        )
    return label


def _features(arrays: Mapping[str, Array], path: str) -> NodeFeatures | None:
    sparse = ("x_indptr", "x_indices", "x_data", "x_shape")
    if all(key in arrays for key in sparse):
        starts, columns, values, shape = (arrays[key] for key in sparse)
        if len(starts) != shape[0] + 1 or len(columns) != len(values) or (len(columns) and columns.max() >= shape[1]):
            raise OperatorError(f"the sparse features of `{path}` do not fit their shape {shape.tolist()}")
        told = NodeFeatures(starts.astype(np.int64), columns.astype(np.int64), values.astype(np.float32), int(shape[1]))
    elif "x" in arrays:
        told = NodeFeatures.of_dense(arrays["x"].astype(np.float32))
    else:
        return None
    if not np.isfinite(told.values).all():
        raise OperatorError(f"`{path}` has a feature that is no number", help="replace it before loading")
    return told


def _indices(arrays: Mapping[str, Array]) -> list[tuple[str, str]]:
    keys = {"train": "train_idx", "validation": "val_idx", "test": "test_idx"}
    return [(name, keys[name]) for name in SPLITS if keys[name] in arrays]


def _size(pairs: Array, label: Array | None, told: NodeFeatures | None, path: str) -> int:
    """Return how many nodes there are, and refuse parts of the file that do not agree on it."""
    sizes = {"label": None if label is None else len(label), "features": None if told is None else len(told)}
    known = {name: size for name, size in sizes.items() if size is not None}
    least = int(pairs.max()) + 1 if len(pairs) else 0
    size = next(iter(known.values()), least)
    if any(other != size for other in known.values()):
        raise OperatorError(
            f"`{path}` has {known['label']:,} labels and features of {known['features']:,} nodes",
            help="give one label and one row of features per node",
        )
    if least > size or (len(pairs) and pairs.min() < 0):
        odd = int(pairs.max() if least > size else pairs.min())
        raise OperatorError(
            f"an edge of `{path}` ends at node {odd}, and there are {size:,} nodes", help="number the nodes from 0"
        )
    return size


def _refuse_weights(arrays: Mapping[str, Array], weights: str, path: str) -> None:
    held = next((arrays[key] for key in ("weights", "edge_weight") if key in arrays), None)
    if held is not None and weights == "refuse" and not bool((held == 1).all()):
        raise OperatorError(
            f"the edges of `{path}` have weights from {held.min():g} to {held.max():g}",
            note="a link is there or not: scores of pairs say nothing about weights",
            help="write `weights = ignore` to take every listed edge as a link",
        )


def _check_split(split: Mapping[str, Array], size: int, path: str) -> None:
    for name, part in split.items():
        if len(part) and (part.min() < 0 or part.max() >= size):
            raise OperatorError(f"`{path}` names {name} node {int(part.max())}, and there are {size:,} nodes")
    taken = np.concatenate(list(split.values())) if split else np.empty(0)
    if len(np.unique(taken)) < len(taken):
        raise OperatorError(
            f"parts of the split of `{path}` share nodes", help="let every node belong to one part at most"
        )


def _simple(pairs: Array, size: int, *, marked: bool, directed: str, path: str, run: Run) -> Array:
    """Return the edges as an undirected list without loops and repetitions; notes what was changed."""
    loops = pairs[:, 0] == pairs[:, 1]
    straight = pairs[~loops]
    arcs = np.unique(straight, axis=0)
    simple = ordered(straight, size)
    both = len(arcs) - len(simple)  # pairs that are listed in both directions
    one_way = len(simple) - both
    mixed = marked or (both > 0 and one_way > 0)
    if mixed and directed == "refuse":
        raise OperatorError(
            f"`{path}` is a directed graph: {one_way:,} of {len(simple):,} edges come in one direction only",
            note="links are recovered as pairs, without a direction",
            help="write `directed = ignore` to take a pair as linked where either direction is listed",
        )
    run.note("loops_removed", int(loops.sum()))
    run.note("repeated_edges_merged", len(straight) - len(arcs))
    run.note("directions_dropped", one_way if mixed else 0)
    return simple
