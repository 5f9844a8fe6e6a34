"""Node classifiers: trained on one graph, which they go on serving. The weights are one thing, the graph another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch.nn import functional

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.graph.architectures import GraphNetwork
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.graphs import Graph
from mialang.operators.graph.neighbourhoods import EdgeList, Relaxed
from mialang.operators.graph.questions import OwnGraphs, Scaled
from mialang.operators.models import Architecture, State, load, state_of
from mialang.operators.run import Json, Run
from mialang.operators.training import commonest, diverged

ROOM = 2**20  # values of a layer that are worked on at once: about what a cache holds
SERVED = "the graph that the model serves"


@dataclass(frozen=True, eq=False)
class NodeModel(Artefact, kind="node_classifier"):
    """A model of the nodes of a graph.

    Attributes:
        architecture: how the network is built.
        width: number of features of a node.
        classes: class ids by column.
        state: weights by name.
        served: the graph that it answers about; None for whoever holds the weights alone.
        about: facts of its making.
    """

    natives: ClassVar[tuple[str, ...]] = ("logits", "features", "node_logits", "node_embeddings", "inductive_logits")

    architecture: Architecture
    width: int
    classes: tuple[int, ...]
    state: State
    served: Graph | None
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one node."""
        return (self.width,)

    def released(self) -> NodeModel:
        """Return what whoever holds the weights has: the model without the graph that it serves."""
        return replace(self, served=None)

    @cached_property
    def network(self) -> GraphNetwork:
        """The network in evaluation mode with frozen weights."""
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network: Any = self.architecture.build(self.shape, len(self.classes))
            load(network, self.state)
            made: GraphNetwork = network.eval().requires_grad_(False)
            return made

    def answer(self, name: str, x: Any) -> torch.Tensor:
        """Answer a native observable.

        Args:
            name: `logits` or `features` (embeddings) of graphs of the asker's own, `[b, n, …]`; `node_logits` or
                `node_embeddings` of nodes of the graph served, `[k, …]`; `inductive_logits` for features sent in, over
                the graph served, `[q, n, classes]` float64.
            x: `OwnGraphs`, node numbers int64 `[k]`, or `Scaled`.

        Raises:
            OperatorError: the question is of another sort, or speaks of other nodes or features than the model knows.
        """
        answers: dict[str, tuple[type, Callable[[Any], torch.Tensor]]] = {
            "logits": (OwnGraphs, lambda asked: self._of_own(asked)[1]),
            "features": (OwnGraphs, lambda asked: self._of_own(asked)[0]),
            "node_logits": (torch.Tensor, lambda asked: self._of_nodes(asked)[1]),
            "node_embeddings": (torch.Tensor, lambda asked: self._of_nodes(asked)[0]),
            "inductive_logits": (Scaled, self._of_features),
        }
        if name not in answers:
            raise OperatorError(f"a node classifier has no observable `{name}` of its own")
        sort, function = answers[name]
        if not isinstance(x, sort):
            asked = {
                OwnGraphs: "whole graphs of one's own",
                torch.Tensor: "numbers of nodes",
                Scaled: "features sent in",
            }
            raise OperatorError(
                f"{name.replace('_', ' ')} are asked with {asked[sort]}",
                note="weights compute answers about any graph, but not about the one that the model keeps to itself",
                help="ask for `node_posteriors` about nodes, or search over graphs with `adjacency(…)`",
            )
        return function(x)

    def _of_own(self, asked: OwnGraphs) -> tuple[torch.Tensor, torch.Tensor]:
        self._fit(asked.features)
        mapped = asked.features.times(self.network.first())
        return self.network.rest(mapped, Relaxed(asked.adjacency))

    def _of_nodes(self, asked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        graph = self._graph()
        if len(asked) and (int(asked.min()) < 0 or int(asked.max()) >= graph.size):
            raise OperatorError(f"the model serves {graph.size:,} nodes, and was asked about node {int(asked.max())}")
        embeddings, logits = self._served
        return embeddings[asked], logits[asked]

    @torch.no_grad()
    def _of_features(self, asked: Scaled) -> torch.Tensor:
        graph = self._graph()
        self._fit(asked.features)
        if len(asked.features) != graph.size:
            raise OperatorError(
                f"the model serves {graph.size:,} nodes, and was sent features of {len(asked.features):,}"
            )
        network = self._precise
        mapped = asked.features.times(network.first())
        made = []
        for part in torch.arange(len(asked)).split(max(1, ROOM // mapped.numel())):
            batch = mapped.repeat(len(part), 1, 1)
            place = torch.arange(len(part))
            batch[place, asked.nodes[part]] *= asked.factors[part].unsqueeze(1)
            made.append(network.rest(batch, self._links)[1])
        return torch.cat(made)

    @cached_property
    def _served(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings and logits of all nodes served."""
        graph = self._graph()
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.network(graph.features, self._links)  # type: ignore[no-any-return]

    @cached_property
    def _links(self) -> EdgeList:
        graph = self._graph()
        return EdgeList(graph.pairs, graph.size)

    @cached_property
    def _precise(self) -> GraphNetwork:
        """The network in double precision: differences of answers to almost equal questions keep their digits."""
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network: Any = self.architecture.build(self.shape, len(self.classes))
            load(network, self.state)
            made: GraphNetwork = network.double().eval().requires_grad_(False)
            return made

    def _graph(self) -> Graph:
        if self.served is None:
            raise OperatorError(
                f"the weights alone do not tell {SERVED}",
                note="its edges were never part of them",
                help="grant answers about its nodes, or ask about a graph of your own",
            )
        return self.served

    def _fit(self, features: NodeFeatures) -> None:
        if features.width != self.width:
            raise OperatorError(
                f"the model takes {self.width:,} features a node, and these nodes have {features.width:,}",
                help="grant the features of the graph that the model was trained on",
            )

    def arrays(self) -> dict[str, Array]:
        """Return the weights and the graph served."""
        made = {f"state.{name}": array(value) for name, value in self.state.items()}
        return (
            made
            if self.served is None
            else made | {f"graph.{name}": value for name, value in self.served.arrays().items()}
        )

    def facts(self) -> dict[str, Json]:
        """Return everything small."""
        return {
            "architecture": self.architecture.facts(),
            "width": self.width,
            "classes": list(self.classes),
            "served": None if self.served is None else self.served.facts(),
            "about": dict(self.about),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        state = {name.partition(".")[2]: tensor(value) for name, value in arrays.items() if name.startswith("state.")}
        held = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith("graph.")}
        return cls(
            Architecture.restore(facts["architecture"]),
            int(facts["width"]),
            tuple(facts["classes"]),
            state,
            None if facts["served"] is None else Graph.restore(held, facts["served"]),
            dict(facts["about"]),
        )


def node_classifier(
    *, model: Architecture, trained: Graph, epochs: int, lr: float, decay: float, run: Run
) -> NodeModel:
    """Train a graph network on the training nodes of a graph, over all of its edges (transductive), with Adam.

    The weights of the lowest loss on the validation nodes are kept; without any, the last ones. Test nodes take no part.
    Notes as evidence: `train_accuracy`, `test_accuracy` where the data name test nodes.

    Raises:
        OperatorError: the graph has no features, labels or training nodes; one class only; divergence.
    """
    features, classes, fitted = trained.features, trained.classes, trained.train_nodes
    if len(classes) < 2:
        raise OperatorError(
            f"the graph has nodes of one class only ({classes[0]})", help="name a graph of several classes"
        )
    columns = torch.from_numpy(np.searchsorted(np.array(classes), trained.labels.values))
    rows = torch.from_numpy(fitted.numbers)
    watched = torch.from_numpy(trained.split["validation"]) if "validation" in trained.split else None
    links = EdgeList(trained.pairs, trained.size)
    with run.seeded():
        network: Any = model.build((features.width,), len(classes))
        optimiser = torch.optim.Adam(network.parameters(), lr=lr, weight_decay=decay)
        loop = run.loop("training", epochs, network=network, optimiser=optimiser)
        kept = loop.kept
        kept.update(state=state_of(network), lowest=float("inf"), epoch=0)
        for epoch in loop:
            network.train()
            loss = functional.cross_entropy(network(features, links)[1][rows], columns[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if not bool(torch.isfinite(loss)):
                raise diverged("training", epoch + 1, epochs, f"lr = {lr:g}")
            if watched is not None:
                with torch.no_grad():
                    seen = float(
                        functional.cross_entropy(network.eval()(features, links)[1][watched], columns[watched])
                    )
                if seen < kept["lowest"]:
                    kept.update(state=state_of(network), lowest=seen, epoch=epoch + 1)
            run.progress(epoch + 1, epochs, loss=float(loss.detach()))
    about: dict[str, Json] = {"epochs": epochs, "lr": lr, "decay": decay, "train_nodes": len(rows)}
    if watched is not None:
        about["chosen_epoch"] = kept["epoch"]
    state = state_of(network) if watched is None else kept["state"]
    made = NodeModel(model, features.width, classes, state, trained, about)
    for name, part in (("train_accuracy", "train"), ("test_accuracy", "test")):
        if part in trained.split:
            run.note(name, _share_correct(made, trained.part(part).numbers, columns))
    run.note("commonest_class", commonest(columns[rows]))
    for name, value in about.items():
        run.note(name, value)
    return made


def _share_correct(model: NodeModel, nodes: Array, columns: torch.Tensor) -> float:
    asked = torch.from_numpy(nodes)
    return float((model.answer("node_logits", asked).argmax(1) == columns[asked]).float().mean())
