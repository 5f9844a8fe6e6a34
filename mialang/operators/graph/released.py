"""What leaks of a model of nodes without a question: its answers about all nodes, as somebody wrote them down."""

from __future__ import annotations

from typing import Any

import torch

from mialang.operators import observables
from mialang.operators.asking import Pairs
from mialang.operators.batches import owned
from mialang.operators.graph.graphs import Graph
from mialang.operators.handles import Handle
from mialang.operators.run import Run


def released_posteriors(
    *, of: Handle, records: Graph, size: float | None, permuted: bool, turn: int, run: Run
) -> Pairs:
    """Take the class probabilities of all nodes, behind the defenses of the model."""
    return _released("released_posteriors", of=of, records=records, size=size, permuted=permuted, turn=turn, run=run)


def released_embeddings(
    *, of: Handle, records: Graph, size: float | None, permuted: bool, turn: int, run: Run
) -> Pairs:
    """Take the embeddings of all nodes, behind the defenses of the model."""
    return _released("released_embeddings", of=of, records=records, size=size, permuted=permuted, turn=turn, run=run)


@torch.inference_mode()
def _released(name: str, *, of: Handle, records: Graph, permuted: bool, run: Run, **rest: Any) -> Pairs:
    """Ask for all nodes; the decoy gives every node another one's answer. All nodes leak, whatever the repeat."""
    del rest
    answers = of.ask(name, records.inputs)
    run.progress(len(records), len(records))
    if permuted:
        answers = observables.permuted(answers, generator=run.generator)
    return Pairs(records.inputs, owned(answers), name, of.classes, of.identity)
