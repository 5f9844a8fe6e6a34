"""Candidates: what an attack hands over, and which unit each output claims to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.run import Json


@dataclass(frozen=True, eq=False)
class Candidates(Artefact, kind="candidates"):
    """Reconstructions with their claims.

    Attributes:
        values: `[n, …]` reconstructions in the target's input range.
        labels: `[n]` int64, class id that each output claims to show.
        scores: `[n]` float32, value of the objective or score that the last step ranked by.
        group: `[n]` int64, the unit (class id, or record number) that each output claims to be.
        attempted: all units attempted. Units without output are failures, so metrics need them.
        code: `[n, …]` search variables whose decoding is `values`; None where there is none.
        asked: `[n]` int64, questions put to the target on behalf of each output; None = not counted.
    """

    values: torch.Tensor
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
            values=self.values[rows],
            labels=self.labels[rows],
            scores=scores.detach().float().cpu(),
            group=self.group[rows],
            attempted=self.attempted,
            code=None if self.code is None else self.code[rows],
            asked=None if self.asked is None else self.asked[rows],
        )

    def arrays(self) -> dict[str, Array]:
        """Return the tensors."""
        made = {
            "values": self.values,
            "labels": self.labels,
            "scores": self.scores,
            "group": self.group,
            "code": self.code,
            "asked": self.asked,
        }
        return {name: array(value) for name, value in made.items() if value is not None}

    def facts(self) -> dict[str, Json]:
        """Return the units attempted."""
        return {"attempted": list(self.attempted)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        made = {name: tensor(value) for name, value in arrays.items()}
        return cls(
            values=made["values"],
            labels=made["labels"],
            scores=made["scores"],
            group=made["group"],
            attempted=tuple(facts["attempted"]),
            code=made.get("code"),
            asked=made.get("asked"),
        )
