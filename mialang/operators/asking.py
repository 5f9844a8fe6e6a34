"""Asking a model about records, and keeping question and answer side by side."""

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
class Pairs(Artefact, kind="pairs"):
    """Questions and what a model answered.

    Attributes:
        inputs: `[n, …]`.
        answers: `[n, …]`.
        what: the observable asked for.
        classes: the model's class ids, by column of the answers where those are scores.
    """

    inputs: torch.Tensor
    answers: torch.Tensor
    what: str
    classes: tuple[int, ...]

    def arrays(self) -> dict[str, Array]:
        """Return inputs and answers."""
        return {"inputs": array(self.inputs), "answers": array(self.answers)}

    def facts(self) -> dict[str, Json]:
        """Return the observable and the classes."""
        return {"what": self.what, "classes": list(self.classes)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        inputs, answers = tensor(arrays["inputs"]), tensor(arrays["answers"])
        return cls(inputs, answers, facts["what"], tuple(facts["classes"]))


@torch.inference_mode()
def ask(*, of: Handle, what: str, about: Records, run: Run) -> Pairs:
    """Ask a model for one observable of every record: one query per record."""
    answers = of.ask(what, about.inputs).clone()
    run.progress(len(about), len(about))
    return Pairs(about.inputs, answers, what, of.classes)
