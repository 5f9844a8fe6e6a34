"""Candidates: what an attack hands over, and which unit each output claims to be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch

from mialang.operators import batches
from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.batches import Batch
from mialang.operators.run import Json


@dataclass(frozen=True, eq=False)
class Candidates(Artefact, kind="candidates"):
    """Reconstructions with their claims.

    Attributes:
        values: reconstructions as the target takes them: a tensor `[n, …]`, or n strings.
        labels: `[n]` int64, the unit that each output claims to show: a class id, or the place of a record.
        scores: `[n]` float32, value of the objective or score that the last step ranked by.
        group: `[n]` int64, the unit (class id, or place of a record) that each output claims to be.
        attempted: all units attempted. Units without output are failures, so metrics need them.
        code: `[n, …]` search variables whose decoding is `values`; None where there is none.
        asked: `[n]` int64, questions put to the target on behalf of each output; None = not counted.
    """

    values: Batch
    labels: torch.Tensor
    scores: torch.Tensor
    group: torch.Tensor
    attempted: tuple[int, ...]
    code: torch.Tensor | None = None
    asked: torch.Tensor | None = None

    def __len__(self) -> int:
        """Return the number of outputs."""
        return len(self.values)

    def take(self, rows: torch.Tensor, scores: torch.Tensor) -> Candidates:
        """Return some of the outputs (`rows`: indices) with new scores; the units attempted stay."""
        return Candidates(
            values=batches.rows(self.values, rows),
            labels=self.labels[rows],
            scores=scores.detach().float().cpu(),
            group=self.group[rows],
            attempted=self.attempted,
            code=None if self.code is None else self.code[rows],
            asked=None if self.asked is None else self.asked[rows],
        )

    def without(self, units: Collection[int]) -> Candidates:
        """Return the outputs without those of some units, which are no longer attempted either."""
        gone = torch.tensor(sorted(units), dtype=torch.long)
        kept = torch.nonzero(~torch.isin(self.group, gone)).squeeze(1)
        attempted = tuple(unit for unit in self.attempted if unit not in units)
        return replace(self.take(kept, self.scores[kept]), attempted=attempted)

    def arrays(self) -> dict[str, Array]:
        """Return the outputs and what belongs to them."""
        made = {
            "labels": self.labels,
            "scores": self.scores,
            "group": self.group,
            "code": self.code,
            "asked": self.asked,
        }
        kept = {name: array(value) for name, value in made.items() if value is not None}
        return {**batches.plain(self.values, "values"), **kept}

    def facts(self) -> dict[str, Json]:
        """Return the units attempted."""
        return {"attempted": list(self.attempted)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        made = {name: tensor(value) for name, value in arrays.items() if not name.startswith("values")}
        return cls(
            values=batches.restored(arrays, "values"),
            labels=made["labels"],
            scores=made["scores"],
            group=made["group"],
            attempted=tuple(facts["attempted"]),
            code=made.get("code"),
            asked=made.get("asked"),
        )
