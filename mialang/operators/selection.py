"""Selection: which outputs an attack hands over. All that are handed over are scored, never the lucky one."""

from __future__ import annotations

import torch

from mialang.operators.algebra import Objective, Point
from mialang.operators.candidates import Candidates
from mialang.operators.run import Run


def best(*, of: Candidates, per: str, by: Objective, keep: int, run: Run) -> Candidates:
    """Keep the `keep` outputs with the largest score in each class or record.

    Args:
        of: outputs to choose from.
        per: `class` or `record`; either way the unit is the one that outputs claim (`group`).
        by: score, large is good. It may ask the target; the judge is out of its reach.
        keep: how many per unit.
        run: takes notes.

    Returns:
        The outputs chosen, unit by unit, best first, with the score in `scores`. A unit without outputs stays empty and
        stays in `attempted`.
    """
    score = _score(of, by, run)
    order = torch.argsort(score, descending=True, stable=True)
    order = order[torch.argsort(of.group[order], stable=True)]
    rank = rank_within(of.group[order])
    rows = order[rank < keep]
    run.note("formula", by.formula())
    run.note("per", per)
    return of.take(rows, score[rows])


def top(*, of: Candidates, by: Objective, keep: int, run: Run) -> Candidates:
    """Keep the `keep` outputs with the largest score, whatever they claim to be."""
    score = _score(of, by, run)
    rows = torch.argsort(score, descending=True, stable=True)[:keep]
    run.note("formula", by.formula())
    return of.take(rows, score[rows])


@torch.inference_mode()
def _score(of: Candidates, by: Objective, run: Run) -> torch.Tensor:
    code = of.code if of.code is not None else of.values if isinstance(of.values, torch.Tensor) else of.scores
    return by(Point(of.values, code, of.labels, run.generator)).clone()


def rank_within(group: torch.Tensor) -> torch.Tensor:
    """Return the position of each row in its run of equal, adjacent group numbers."""
    n = torch.arange(len(group))
    first = torch.ones(len(group), dtype=torch.bool)
    first[1:] = group[1:] != group[:-1]
    return n - torch.cummax(torch.where(first, n, 0), dim=0).values
