"""From a relaxed graph to scores of pairs: decode embeddings of a model over it, or draw edges from it."""

from __future__ import annotations

import torch

from mialang.operators.algebra import Objective, Point
from mialang.operators.graph.adjacency import RelaxedGraph, as_matrix, of_pairs
from mialang.operators.graph.features import NodeFeatures
from mialang.operators.graph.links import SimilarityLinks
from mialang.operators.graph.parts import EdgeCount
from mialang.operators.graph.questions import OwnGraphs
from mialang.operators.handles import Handle
from mialang.operators.run import Run


@torch.inference_mode()
def decode_links(*, of: RelaxedGraph, through: Handle, features: NodeFeatures, by: str, run: Run) -> SimilarityLinks:
    """Score pairs by how alike a model embeds their ends over the graph found (the decoder of a graph auto-encoder).

    Args:
        of: the graph found; the one of lowest cost counts.
        through: a model whose weights are at hand.
        features: of the nodes.
        by: `cosine` for max(0, cosine), `dot` for the product.
        run: takes notes.
    """
    graph = OwnGraphs(features, as_matrix(of.best).to(run.device))
    embeddings = through.ask("features", graph)[0].cpu().clone()
    run.note("embedding_width", embeddings.shape[1])
    return SimilarityLinks(len(features), embeddings, "relu_cosine" if by == "cosine" else "dot")


@torch.inference_mode()
def sample_edges(
    *, of: RelaxedGraph, by: Objective, count: EdgeCount, features: NodeFeatures, draws: int, run: Run
) -> RelaxedGraph:
    """Draw edges without replacement, each as likely as its number says, several times; keep the draw of lowest objective.

    A search that left every pair at 0 found nothing, and no edge is drawn from it.
    """
    best = of.best
    wanted = min(count.count, len(best.numbers))
    costs, found = [], []
    for draw in range(draws):
        # The largest of log a + Gumbel noise are a draw without replacement (Vieira, 2014; Kool et al., ICML 2019).
        noise = -torch.empty(len(best.numbers)).exponential_(generator=run.generator).log()
        chosen = (best.scores.log() + noise).topk(wanted).indices
        graph = of_pairs(best.numbers[chosen.numpy()], best.size)
        code = as_matrix(graph).to(run.device)
        costs.append(by(Point(OwnGraphs(features, code), code, torch.zeros(1, dtype=torch.long), run.generator)).cpu())
        found.append(graph)
        run.progress(draw + 1, draws)
    cost = torch.cat(costs)
    run.note("edges_drawn", wanted)
    run.note("lowest", float(cost.min()))
    run.note("formula", by.formula())
    return RelaxedGraph((found[int(cost.argmin())],), cost.min().reshape(1).clone())
