"""Metrics of scores of pairs: areas under ROC and precision-recall curves, recall at few false alarms, on declared pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mialang.operators.artefacts import Array
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.links import Links
from mialang.operators.graph.pairs import MEMORY, ends_of, numbers_of, pair_count
from mialang.operators.graph.parts import Nodes
from mialang.operators.graph.ranking import Ranking, by_node
from mialang.operators.graph.universe import PairUniverse, Whole
from mialang.operators.handles import Handle
from mialang.operators.measurement import Measurement
from mialang.operators.run import Run

AUC, AP, RECALL = "auc", "ap", "recall_1_in_{}"
RANKED = 96  # bytes a pair that ranking takes at its peak, measured
POINTS = 200  # corners of the ROC curve that the report draws
SHOWN = 100  # nodes of which the report draws a map


@dataclass(frozen=True)
class _Measured:
    """Pairs with their scores and whether they are linked."""

    numbers: Array
    ranking: Ranking


def link_auc(*, of: Links, secret: Graph, pairs: PairUniverse, run: Run) -> Measurement:
    """Measure the areas under the ROC curve (`auc`) and the precision-recall curve (`ap`), on the same pairs.

    Returns:
        One value per node whose mean is the area; items are the nodes, the unit of resampling. Not available where no
        pair or every pair is linked, where pairs are more than memory holds, or where the outputs speak of other nodes.
    """
    measured = _measured(of, secret, pairs, run)
    if isinstance(measured, str):
        return Measurement.unavailable(measured, AUC, AP)
    u, v = ends_of(measured.numbers, secret.size)
    items = [f"node {node}" for node in range(secret.size)]
    made = Measurement()
    for name, (area, added) in ((AUC, measured.ranking.auc()), (AP, measured.ranking.average_precision())):
        made = made.with_field(name, torch.from_numpy(by_node(area, added, u, v, secret.size)), items)
    run.exhibit("roc", measured.ranking.curve(POINTS))
    run.exhibit("map", _map(of, secret))
    return made


def link_recall(*, of: Links, secret: Graph, pairs: PairUniverse, one_in: Sequence[int], run: Run) -> Measurement:
    """Measure the share of linked pairs found when one in so many other pairs is taken for linked (TPR at a small FPR).

    Returns:
        Field `recall_1_in_{k}` per k: per linked pair 1 where it is found, else 0. Not available where the other pairs are
        fewer than k, so that one false alarm is already too many.
    """
    names = [RECALL.format(each) for each in one_in]
    measured = _measured(of, secret, pairs, run)
    if isinstance(measured, str):
        return Measurement.unavailable(measured, *names)
    made = Measurement()
    others = int(measured.ranking.negatives)
    for each, name in zip(one_in, names, strict=True):
        if others < each:
            made = made.without_field(name, f"{others:,} unlinked pairs cannot tell one false alarm in {each:,}")
            continue
        _, found = measured.ranking.recall_at(1 / each)
        made = made.with_field(name, torch.from_numpy(found), [f"edge {place}" for place in range(len(found))])
    return made


@torch.inference_mode()
def node_accuracy(*, of: Handle, on: Nodes, run: Run) -> Measurement:
    """Measure the share of nodes whose class the model answers; items are the nodes."""
    strangers = sorted(set(on.classes) - set(of.classes))
    if strangers:
        return Measurement.unavailable(f"the nodes have class {strangers[0]}, which the model does not know", "")
    hits = of.ask("node_label", on.inputs) == on.targets
    run.note("nodes", len(on))
    return Measurement().with_field("", hits, [f"node {number}" for number in on.numbers.tolist()])


def _measured(of: Links, secret: Graph, pairs: PairUniverse, run: Run) -> _Measured | str:
    """Scores and truth on the universe, or why there are none."""
    if of.size != secret.size:
        return f"the outputs speak of {of.size:,} nodes, and the secret graph has {secret.size:,}"
    if isinstance(pairs, Whole) and pair_count(secret.size) * RANKED > MEMORY:
        need = pair_count(secret.size) * RANKED / 2**30
        return (
            f"ranking {pair_count(secret.size):,} pairs takes {need:.1f} GiB, and {MEMORY / 2**30:.0f} GiB are allowed: "
            "measure balanced or induced pairs"
        )
    numbers = pairs.numbers(secret, of.revealed)
    linked = secret.linked(numbers)
    run.note("pairs", pairs.words())
    run.note("linked_pairs", int(linked.sum()))
    run.note("unlinked_pairs", int(len(linked) - linked.sum()))
    run.note("pairs_given_away", len(of.revealed))
    if not linked.any() or linked.all():
        return "no pair that was not given away is linked" if not linked.any() else "every pair is linked"
    scores = of.of(numbers).numpy()
    if not np.isfinite(scores).all():
        return "a score is no number"
    return _Measured(numbers, Ranking.of(scores, linked))


def _map(of: Links, secret: Graph) -> dict[str, object]:
    """Scores of pairs among some nodes, as percentiles, beside the truth: what the report draws.

    The nodes are those nearest to the best connected one, by class where the graph has labels.
    """
    nodes = secret.near()[:SHOWN]
    groups = np.zeros(len(nodes), dtype=np.int64) if secret.values is None else secret.values[nodes]
    order = np.lexsort((nodes, groups))
    nodes, groups = nodes[order], groups[order]
    u, v = ends_of(np.arange(pair_count(len(nodes))), len(nodes))
    numbers = numbers_of(nodes[u], nodes[v], secret.size)
    scores = of.of(numbers).numpy()
    values = np.sort(scores)
    middle = (np.searchsorted(values, scores, "left") + np.searchsorted(values, scores, "right")) / (
        2 * max(1, len(scores))
    )
    percentiles = np.minimum(middle * 100, 99).astype(np.uint8)
    hidden = np.isin(numbers, of.revealed)
    return {
        "nodes": len(nodes),
        "groups": groups.tolist(),
        "scores": percentiles.tobytes().hex(),
        "linked": np.packbits(secret.linked(numbers)).tobytes().hex(),
        "given": np.packbits(hidden).tobytes().hex(),
    }
