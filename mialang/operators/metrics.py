"""Metrics over all outputs of an attack: units attempted without output count as failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.measurement import Measurement
from mialang.operators.records import Records
from mialang.operators.run import Run

ONLY = ""  # the name of a metric's only field


@torch.inference_mode()
def attack_accuracy(*, of: Candidates, judge: Handle, top: Sequence[int], run: Run) -> Measurement:
    """Measure the share of outputs that a judge takes for the class they claim.

    `(1/n_Y) Σ_{y attempted} mean_i 1[y ∈ top_k E(x̂_{y,i})]`. A class without output counts with as many failures as the
    other classes have outputs.

    Returns:
        Field `top{k}` per k: 0 or 1 per output, items `class {y}`. Not available where k is not below the number of the
        judge's classes, or where the judge does not know a class.
    """
    names = [f"top{k}" for k in top]
    strangers = sorted(set(of.attempted) - set(judge.classes))
    if strangers:
        return Measurement.unavailable(f"the judge does not know class {strangers[0]}", *names)
    missing = _missing(of)
    items = [f"class {label}" for label in of.labels.tolist()] + missing
    measured = Measurement()
    logits = judge.ask("logits", of.values) if len(of) else torch.empty(0, len(judge.classes))
    for k, name in zip(top, names, strict=True):
        if k >= len(judge.classes):
            reason = f"top {k} of {len(judge.classes)} classes is always right"
            measured = measured.without_field(name, reason)
            continue
        chosen = logits.topk(k, dim=1).indices
        hits = (chosen == judge.column(of.labels).unsqueeze(1)).any(1).float() if len(of) else torch.empty(0)
        measured = measured.with_field(name, torch.cat([hits, torch.zeros(len(missing))]), items)
    run.note("outputs", len(of))
    run.note("units_attempted", len(of.attempted))
    run.note("units_without_output", sorted(set(missing)))
    return measured


@torch.inference_mode()
def accuracy(*, of: Handle, on: Records, run: Run) -> Measurement:
    """Measure the share of records whose label the model answers; items are the records, named `record {row}`."""
    strangers = sorted(set(on.classes) - set(of.classes))
    if strangers:
        return Measurement.unavailable(f"the data hold class {strangers[0]}, which the model does not know", ONLY)
    hits = of.ask("label", on.inputs) == on.targets
    run.note("records", len(on))
    return Measurement().with_field(ONLY, hits, [f"record {row}" for row in range(len(on))])


@torch.inference_mode()
def knn_distance(*, of: Candidates, secret: Records, features: Handle, run: Run) -> Measurement:
    """Measure `min_{x∈D_y} ‖φ_E(x̂) − φ_E(x)‖²`: squared L2 from each output to the nearest private record of its class.

    φ_E are penultimate features of the judge. Not available where a class has no output: there is no distance to take,
    and leaving the class out would flatter the attack.
    """
    reason = _incomparable(of, secret)
    if reason:
        return Measurement.unavailable(reason, ONLY)
    found = features.ask("features", of.values).flatten(1)
    private = features.ask("features", secret.inputs).flatten(1)
    values = torch.empty(len(of))
    for label in of.labels.unique():
        rows, own = of.labels == label, private[secret.targets == label]
        values[rows] = _squared_distances(found[rows], own).min(1).values
    run.note("private_records", len(secret))
    return Measurement().with_field(ONLY, values, [f"class {label}" for label in of.labels.tolist()])


@torch.inference_mode()
def feature_distance(*, of: Candidates, secret: Records, features: Handle, run: Run) -> Measurement:
    """Measure `‖φ_E(x̂) − mean_{x∈D_y} φ_E(x)‖²`: squared L2 from each output to the centroid of its class."""
    reason = _incomparable(of, secret)
    if reason:
        return Measurement.unavailable(reason, ONLY)
    found = features.ask("features", of.values).flatten(1)
    private = features.ask("features", secret.inputs).flatten(1)
    centroids = torch.stack([private[secret.targets == label].mean(0) for label in secret.classes])
    columns = torch.searchsorted(torch.tensor(secret.classes), of.labels)
    values = (found - centroids[columns]).square().sum(1)
    run.note("private_records", len(secret))
    return Measurement().with_field(ONLY, values, [f"class {label}" for label in of.labels.tolist()])


def queries(*, of: Candidates, run: Run) -> Measurement:
    """Measure how many questions were put to the target on behalf of each output."""
    run.note("outputs", len(of))
    if of.asked is None:
        return Measurement.unavailable("the attack does not count its questions", ONLY)
    return Measurement().with_field(ONLY, of.asked, [f"class {label}" for label in of.labels.tolist()])


def _missing(of: Candidates) -> list[str]:
    """Return one item per output that units attempted lack, compared with the unit that has most."""
    counts = Counter(of.group.tolist())
    expected = max(counts.values(), default=1)
    return [f"class {unit}" for unit in of.attempted for _ in range(expected - counts[unit])]


def _incomparable(of: Candidates, secret: Records) -> str:
    empty = sorted(set(of.attempted) - set(of.group.tolist()))
    if empty:
        return f"class {empty[0]} has no output"
    strangers = sorted(set(of.labels.tolist()) - set(secret.classes))
    return f"the private data hold no class {strangers[0]}" if strangers else ""


def _squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cdist(a.double(), b.double()).square().float()
