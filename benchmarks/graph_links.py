"""What attacks recover of a citation graph, beside what needs no attack: areas under the ROC curve, time and memory.

One line a seed and figure, then means with standard deviations. GraphMI is measured on all pairs u < v, link stealing and
LinkTeller on balanced pairs. `untrained` is GraphMI against weights that were never fitted, `rewired` against those of a
model that was trained on the same nodes joined at random (what the blind control of an audit asks).

    python benchmarks/graph_links.py DATA/graph/planetoid_cora.npz [--seeds 5] [--train 0.1] [--only graphmi]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mialang.operators import observables
from mialang.operators.asking import Pairs
from mialang.operators.graph.adjacency import adjacency, links_of
from mialang.operators.graph.architectures import gcn
from mialang.operators.graph.datasets import npz
from mialang.operators.graph.decoding import decode_links, sample_edges
from mialang.operators.graph.granting import known
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.influence import influence
from mialang.operators.graph.links import Links
from mialang.operators.graph.metrics import link_auc
from mialang.operators.graph.node_classifier import NodeModel, node_classifier
from mialang.operators.graph.objectives import edge_norm, feature_smoothness
from mialang.operators.graph.rewiring import rewired
from mialang.operators.graph.similarity import DISTANCES
from mialang.operators.graph.stealing import (
    classify_links,
    fit_pair_classifier,
    rank_by_answers,
    rank_by_features,
    rank_by_labels,
)
from mialang.operators.graph.universe import PairUniverse, balanced, whole
from mialang.operators.objectives import cross_entropy
from mialang.operators.optimisers import sgd
from mialang.operators.run import Run
from mialang.operators.search import descend

BALANCED = balanced(others=1, seed=0)
WHOLE = whole()


@dataclass
class Open:
    """A handle that answers everything, unmetered."""

    model: NodeModel
    name: str = "target"
    remaining: None = None
    identity: str = ""

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids by column."""
        return self.model.classes

    def ask(self, name: str, x: object) -> torch.Tensor:
        """Answer natively, or class probabilities."""
        natives = {"scores": "logits", "inductive_posteriors": "inductive_logits", "node_posteriors": "node_logits"}
        answer = self.model.answer(natives.get(name, name), x)
        return observables.scores(answer, classes=self.classes) if name in natives else answer

    def column(self, labels: torch.Tensor) -> torch.Tensor:
        """Map class ids to columns."""
        return torch.searchsorted(torch.tensor(self.classes), labels)


def area(links: Links, graph: Graph, pairs: PairUniverse) -> float:
    measured = link_auc(of=links, secret=graph, pairs=pairs, run=Run(seed=0))
    return float(np.mean(measured.fields["auc"][0]))


def trained(graph: Graph, seed: int, epochs: int = 200) -> NodeModel:
    model = gcn(hidden=16, layers=2, dropout=0.5)
    return node_classifier(model=model, trained=graph, epochs=epochs, lr=0.01, decay=5e-4, run=Run(seed=seed))


def graphmi(graph: Graph, model: NodeModel, seed: int) -> dict[str, Links]:
    """GraphMI: what its decoder says, the relaxed graph itself, and its third module's draw."""
    target, features = Open(model), graph.features
    loss = cross_entropy(of=target, labels=graph.labels) + 1e-3 * edge_norm()
    whole_loss = loss + 1e-4 * feature_smoothness(features=features)
    found = None
    for objective in (loss, whole_loss):
        space = adjacency(among=features, budget=graph.edge_count, begin=found)
        found = descend(over=space, minimise=objective, by=sgd(lr=0.1, momentum=0.0), steps=50, starts=1, until=None,
                        keep="last", run=Run(seed=seed))  # fmt: skip
    decoded = decode_links(of=found, through=target, features=features, by="cosine", run=Run(seed=seed))
    drawn = sample_edges(
        of=found, by=whole_loss, count=graph.edge_count, features=features, draws=20, run=Run(seed=seed)
    )
    return {
        "decoded": decoded,
        "relaxed": links_of(of=found, run=Run(seed=seed)),
        "sampled": links_of(of=drawn, run=Run(seed=seed)),
    }


def graphmi_figures(graph: Graph, seed: int) -> Iterator[tuple[str, float]]:
    model = trained(graph, seed)
    began = time.perf_counter()
    found = graphmi(graph, model, seed)
    yield "GraphMI with sampling, seconds", time.perf_counter() - began
    yield "peak GiB so far", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for name, links in found.items():
        yield f"GraphMI {name}, all pairs", area(links, graph, WHOLE)
    decoy = trained(rewired(features=graph.features, labels=graph.labels, like=graph, run=Run(seed=seed)), seed)
    yield "GraphMI blind, rewired, all pairs", area(graphmi(graph, decoy, seed)["decoded"], graph, WHOLE)
    network = gcn(hidden=16, layers=2, dropout=0.5)
    with Run(seed=seed).seeded():
        fresh = network.build((graph.features.width,), len(graph.classes))
    untrained = NodeModel(network, graph.features.width, graph.classes, dict(fresh.state_dict()), None)
    yield "GraphMI untrained, all pairs", area(graphmi(graph, untrained, seed)["decoded"], graph, WHOLE)
    for name, links in granted(graph, model).items():
        yield f"{name}, all pairs", area(links, graph, WHOLE)


def granted(graph: Graph, model: NodeModel) -> dict[str, Links]:
    """Baselines: what was granted, decoded without any search."""
    target, nodes = Open(model), graph.nodes.inputs
    made = {}
    for name, what, by in (
        ("posterior similarity", "node_posteriors", "cosine"),
        ("embedding dot product", "node_embeddings", "dot"),
    ):
        answers = Pairs(nodes, target.ask(what, nodes), what, target.classes)
        made[name] = rank_by_answers(of=answers, by=by, run=Run(seed=0))
    made["feature similarity"] = rank_by_features(of=graph.features, by="cosine", run=Run(seed=0))
    made["label agreement"] = rank_by_labels(of=graph.labels, run=Run(seed=0))
    return made


def stealing_figures(graph: Graph, seed: int) -> Iterator[tuple[str, float]]:
    model = trained(graph, seed)
    nodes = graph.nodes.inputs
    tests = graph.test_nodes
    hits = Open(model).ask("node_logits", tests.inputs).argmax(1) == Open(model).column(tests.targets)
    yield "target accuracy", float(hits.float().mean())
    answers = Pairs(nodes, Open(model).ask("node_posteriors", nodes), "node_posteriors", model.classes)
    for by in DISTANCES:
        links = rank_by_answers(of=answers, by=by, run=Run(seed=seed))
        yield f"LinkStealing0 {by}, balanced", area(links, graph, BALANCED)
    told = known(of=graph.edges, share=0.1, others=1.0, run=Run(seed=seed))
    made = fit_pair_classifier(on=answers, known=told, epochs=50, lr=1e-3, run=Run(seed=seed))
    links = classify_links(of=answers, by=made, run=Run(seed=seed))
    yield "LinkStealing3 10 % known, balanced", area(links.without(told.reveals()), graph, BALANCED)
    for name, baseline in granted(graph, model).items():
        yield f"{name}, balanced", area(baseline, graph, BALANCED)


def influence_figures(graph: Graph, seed: int) -> Iterator[tuple[str, float]]:
    model = trained(graph, seed)
    for delta in (1e-4, 1.0):
        began = time.perf_counter()
        links = influence(of=Open(model), features=graph.features, delta=delta, run=Run(seed=seed))
        yield f"LinkTeller Δ = {delta:g}, seconds", time.perf_counter() - began
        yield f"LinkTeller Δ = {delta:g}, balanced", area(links, graph, BALANCED)
        yield f"LinkTeller Δ = {delta:g}, all pairs", area(links, graph, WHOLE)


FIGURES: dict[str, Callable[[Graph, int], Iterator[tuple[str, float]]]] = {
    "graphmi": graphmi_figures,
    "stealing": stealing_figures,
    "influence": influence_figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="npz file of the graph")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--train", type=float, default=None, help="share of nodes with known classes; absent: the file's split"
    )
    parser.add_argument("--only", choices=FIGURES, default=None)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    graph = npz(path=chosen.path, directed="ignore", weights="refuse", features="given", normalise="rows", train=chosen.train,
                limit=None, run=Run(seed=0))  # fmt: skip
    print(f"{graph.size:,} nodes, {len(graph.pairs):,} edges, {len(graph.train_nodes):,} training nodes")
    found: dict[str, list[float]] = {}
    for seed in range(chosen.seeds):
        for part, figures in FIGURES.items():
            if chosen.only in (None, part):
                for name, value in figures(graph, seed):
                    found.setdefault(name, []).append(value)
                    print(f"seed {seed}  {name:44}{value:10.4f}", flush=True)
    print()
    for name, values in found.items():
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        print(f"{name:44}{statistics.fmean(values):10.4f}{spread}")


if __name__ == "__main__":
    main()
