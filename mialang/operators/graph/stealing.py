"""Link stealing: pairs ranked by posteriors, or classified by a network that was shown some known pairs (He et al., USENIX Security 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.asking import Pairs
from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.links import Links, SimilarityLinks
from mialang.operators.graph.parts import Edges, NodeLabels
from mialang.operators.graph.similarity import DISTANCES, MEASURES
from mialang.operators.models import load, state_of
from mialang.operators.run import Json, Run

HIDDEN, DROPOUT, BATCH = 32, 0.5, 128


def rank_by_answers(*, of: Pairs, by: str, run: Run) -> SimilarityLinks:
    """Score every pair by how alike the answers about its ends are."""
    run.note("measure", by)
    return SimilarityLinks(len(of.inputs), _vectors(of), by)


def rank_by_features(*, of: NodeFeatures, by: str, run: Run) -> SimilarityLinks:
    """Score every pair by how alike the features of its ends are."""
    run.note("measure", by)
    return SimilarityLinks(len(of), of.dense, by)


def rank_by_labels(*, of: NodeLabels, run: Run) -> SimilarityLinks:
    """Score pairs of one class 1, others 0."""
    run.note("classes", len(of.classes))
    return SimilarityLinks(len(of), torch.from_numpy(of.values).float().unsqueeze(1), "equal")


def pair_features(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return what the classifier sees of a pair, `[k, 4·classes + 12]`, for posteriors `[k, classes]` of its ends.

    Average, product, absolute and squared difference of the posteriors, the eight distances, and the same four of the
    entropies. Nothing depends on which end comes first.
    """
    entropies = [-(p * p.clamp_min(1e-12).log()).sum(-1, keepdim=True) for p in (a, b)]
    distances = torch.stack([-MEASURES[name](a, b) for name in DISTANCES], dim=-1)
    return torch.cat([*_joined(a, b), distances, *_joined(*entropies)], dim=-1).float()


def _joined(a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
    return [(a + b) / 2, a * b, (a - b).abs(), (a - b).square()]


class _Network(nn.Sequential):
    """Two hidden layers of ReLU units with dropout, and two outputs."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, 2),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairClassifier(Artefact, kind="pair_classifier"):
    """A network that tells linked pairs from others by their posteriors.

    Attributes:
        mean: `[width]`, of the pairs that it was trained on and of no others.
        deviation: `[width]`, likewise.
        state: weights by name.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    state: Mapping[str, torch.Tensor]

    @torch.inference_mode()
    def score(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return log-odds `[k]` that pairs are linked, for posteriors `[k, classes]` of their ends."""
        with torch.random.fork_rng(devices=[]):
            network = _Network(len(self.mean))
        load(network, self.state)
        logits: torch.Tensor = network.eval()((pair_features(a, b) - self.mean) / self.deviation)
        return (logits[:, 1] - logits[:, 0]).double()

    def arrays(self) -> dict[str, Array]:
        """Return scaling and weights."""
        made = {f"state.{name}": array(value) for name, value in self.state.items()}
        return {"mean": array(self.mean), "deviation": array(self.deviation), **made}

    def facts(self) -> dict[str, Json]:
        """Nothing small."""
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        state = {name.partition(".")[2]: tensor(value) for name, value in arrays.items() if name.startswith("state.")}
        return cls(tensor(arrays["mean"]), tensor(arrays["deviation"]), state)


def fit_pair_classifier(*, on: Pairs, known: Edges, epochs: int, lr: float, run: Run) -> PairClassifier:
    """Train a classifier of pairs on those that are known, by Adam on cross-entropy.

    Features are scaled by mean and deviation of the training pairs alone.

    Raises:
        OperatorError: the known pairs are all linked, or none is: there is nothing to tell apart.
    """
    linked = torch.from_numpy(known.linked.astype(np.int64))
    if known.complete or len(linked.unique()) < 2:
        raise OperatorError(
            "the known pairs are all of one sort, so that there is nothing to learn",
            note=f"{len(known):,} linked pairs are known" + (", and with them all others" if known.complete else ""),
            help="grant a share of the edges with as many pairs that are none: `edges = known(DATA.edges, share = 10 %)`",
        )
    answers = _vectors(on).double()
    ends = torch.from_numpy(known.pairs)
    seen = pair_features(answers[ends[:, 0]], answers[ends[:, 1]])
    mean, deviation = seen.mean(0), seen.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    scaled = (seen - mean) / deviation
    with run.seeded():
        network = _Network(scaled.shape[1])
        optimiser = torch.optim.Adam(network.parameters(), lr=lr)
        for epoch in run.loop("pairs", epochs, network=network, optimiser=optimiser):
            for rows in torch.randperm(len(scaled), generator=run.generator).split(BATCH):
                loss = functional.cross_entropy(network(scaled[rows]), linked[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            run.progress(epoch + 1, epochs, loss=float(loss.detach()))
    run.note("known_pairs", len(linked))
    run.note("known_links", len(known))
    return PairClassifier(mean, deviation, state_of(network))


@dataclass(frozen=True, eq=False)
class ClassifiedLinks(Links, kind="classified_links"):
    """Pairs scored by a classifier of the answers about their ends.

    Attributes:
        answers: `[n, classes]`.
        classifier: what scores pairs.
    """

    answers: torch.Tensor
    classifier: PairClassifier

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """Score some nodes with all."""
        u = which.repeat_interleave(self.size)
        return self.between(u, torch.arange(self.size).repeat(len(which))).reshape(len(which), self.size)

    def between(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Score pairs."""
        exact = self.answers.double()
        return self.classifier.score(exact[u], exact[v])

    @property
    def effort(self) -> int:
        """As many values as the classifier sees of a pair, and its hidden ones."""
        return len(self.classifier.mean) + 2 * HIDDEN

    def _arrays(self) -> dict[str, Array]:
        held = {f"classifier.{name}": value for name, value in self.classifier.arrays().items()}
        return {"answers": array(self.answers), **held}

    def _facts(self) -> dict[str, Json]:
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        held = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith("classifier.")}
        made = PairClassifier.restore(held, {})
        return cls(int(facts["size"]), tensor(arrays["answers"]), made, revealed=np.array(arrays["revealed"]))


def classify_links(*, of: Pairs, by: PairClassifier, run: Run) -> ClassifiedLinks:
    """Score every pair by a classifier."""
    run.note("nodes", len(of.inputs))
    return ClassifiedLinks(len(of.inputs), _vectors(of), by)


def _vectors(of: Pairs) -> torch.Tensor:
    """Answers by node `[n, d]`.

    Raises:
        OperatorError: not every node was asked about once, in order, or answers are no vectors.
    """
    answers = of.answers
    if not isinstance(answers, torch.Tensor) or answers.dim() > 2:
        raise OperatorError("pairs are ranked by one vector per node", help="ask for `node_posteriors` about nodes")
    numbers = torch.as_tensor(of.inputs)
    if not torch.equal(numbers, torch.arange(len(answers))):
        raise OperatorError(
            "the answers do not speak of all nodes in order", help="ask about `prior.nodes` of the whole graph"
        )
    return answers if answers.dim() == 2 else answers.unsqueeze(1)
