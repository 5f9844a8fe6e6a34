"""Influence: how much the answers about one node move when the features of another are nudged (LinkTeller)."""

from __future__ import annotations

import torch

from mialang.operators.errors import OperatorError
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.links import ListedLinks, listed
from mialang.operators.graph.pairs import affordable
from mialang.operators.graph.questions import Scaled
from mialang.operators.handles import Handle
from mialang.operators.run import Run

VALUES = 2**23  # answers that are held at once


@torch.inference_mode()
def influence(*, of: Handle, features: NodeFeatures, delta: float, run: Run) -> ListedLinks:
    """Score a pair by how much either end moves the answers about the other.

    Node v's features are scaled by 1 + Δ, all others stay; I[v, u] = ‖f(X')_u − f(X)_u‖₂ / Δ, and a pair has the score
    I[v, u] + I[u, v]. That takes n + 1 questions, asked many at a time.

    Raises:
        OperatorError: Δ is 0, or rounding leaves no answer moved.
    """
    if delta == 0:
        raise OperatorError(
            "features that are scaled by 1 move nothing", help="give `delta` a value above 0, such as 1e-4"
        )
    n, classes = len(features), max(1, len(of.classes))
    affordable(n, 16, "the influence of nodes on each other")
    plain = of.ask("inductive_posteriors", Scaled(features, torch.zeros(1, dtype=torch.long), torch.ones(1).double()))[
        0
    ]
    moved = torch.zeros(n, n)
    for nodes in torch.arange(n).split(max(1, VALUES // (n * classes))):
        factors = torch.full((len(nodes),), 1 + delta, dtype=torch.float64)
        answers = of.ask("inductive_posteriors", Scaled(features, nodes, factors))
        moved[nodes] = ((answers - plain).norm(dim=-1) / delta).float()
        run.progress(int(nodes[-1]) + 1, n)
    run.note("share_of_pairs_moved", float((moved > 0).float().mean()))
    return listed(moved + moved.T)
