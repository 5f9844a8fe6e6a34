"""Baselines: decode what was granted without any search. An attack that does not beat them has found nothing."""

from __future__ import annotations

import torch

from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.records import Records
from mialang.operators.run import Run


@torch.inference_mode()
def nearest_public(*, of: Handle, about: Records, keep: int, run: Run) -> Candidates:
    """Hand over, per class of the model, the `keep` public records with the largest p_y. One query per record."""
    scores = of.ask("scores", about.inputs)
    found = scores.topk(min(keep, len(scores)), dim=0)
    rows, labels = found.indices.T.reshape(-1), _labels(of, len(found.indices))
    run.note("queries", len(scores))
    return Candidates(
        values=about.inputs[rows].clone(),
        labels=labels,
        scores=found.values.T.reshape(-1).clone(),
        group=labels,
        attempted=of.classes,
    )


@torch.inference_mode()
def class_means(*, of: Handle, about: Records, run: Run) -> Candidates:
    """Hand over, per class, the mean of the public records to which the model gives that label. One query per record.

    A class that the model gives to no record has no output.
    """
    labels = of.ask("label", about.inputs)
    found, inverse, counts = labels.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(found), *about.inputs.shape[1:]).index_add_(0, inverse, about.inputs)
    means = sums / counts.reshape(-1, *[1] * (sums.dim() - 1))
    run.note("queries", len(labels))
    run.note("records_by_class", dict(zip(map(str, found.tolist()), counts.tolist(), strict=True)))
    return Candidates(
        values=means, labels=found.clone(), scores=counts.float(), group=found.clone(), attempted=of.classes
    )


def _labels(of: Handle, each: int) -> torch.Tensor:
    return torch.tensor(of.classes).repeat_interleave(each)
