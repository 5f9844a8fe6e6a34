"""Mean and standard deviation of a model's features over records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.handles import Handle
from mialang.operators.records import Records
from mialang.operators.run import Json, Run


@dataclass(frozen=True, eq=False)
class Statistics(Artefact, kind="statistics"):
    """A normal distribution with independent coordinates.

    Attributes:
        mean: `[d]`, μ.
        deviation: `[d]`, σ: a standard deviation, neither a variance nor its logarithm.
        count: how many records it was taken over.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    count: int

    def arrays(self) -> dict[str, Array]:
        """Return mean and deviation."""
        return {"mean": array(self.mean), "deviation": array(self.deviation)}

    def facts(self) -> dict[str, Json]:
        """Return the count."""
        return {"count": self.count}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(tensor(arrays["mean"]), tensor(arrays["deviation"]), int(facts["count"]))


@torch.inference_mode()
def feature_statistics(*, of: Handle, about: Records, limit: int, run: Run) -> Statistics:
    """Ask a model for the features of up to `limit` records and fit a normal distribution to them."""
    records = about.first(limit).inputs
    features = of.ask("features", records).flatten(1)
    run.progress(len(records), len(records))
    return Statistics(features.mean(0).clone(), features.std(0, correction=0).clone(), len(records))
