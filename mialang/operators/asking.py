"""Asking a model about records, and keeping question and answer side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.batches import Batch, owned, plain, restored
from mialang.operators.handles import Handle
from mialang.operators.records import Records
from mialang.operators.run import Json, Run


@dataclass(frozen=True, eq=False)
class Pairs(Artefact, kind="pairs"):
    """Questions and what a model answered.

    Attributes:
        inputs: a tensor `[n, …]`, or n strings.
        answers: a tensor `[n, …]`, or a sequence of n.
        what: the observable asked for.
        classes: the model's class ids, by column of the answers where those are scores; empty for what is no classifier.
        identity: hash of all that decides the model's answers, for models that tell.
        units: places of the secret records that the pairs reveal, for leaked pairs.
    """

    inputs: Batch
    answers: Batch
    what: str
    classes: tuple[int, ...]
    identity: str = ""
    units: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.inputs)

    def reveals(self) -> tuple[int, ...]:
        """Return the places of the secret records that whoever holds the pairs knows already."""
        return self.units

    def arrays(self) -> dict[str, Array]:
        """Return inputs and answers."""
        return {**plain(self.inputs, "inputs"), **plain(self.answers, "answers")}

    def facts(self) -> dict[str, Json]:
        """Return the observable, the classes, the model's identity and the records revealed."""
        return {
            "what": self.what,
            "classes": list(self.classes),
            "identity": self.identity,
            "units": list(self.units),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        inputs, answers = restored(arrays, "inputs"), restored(arrays, "answers")
        return cls(inputs, answers, facts["what"], tuple(facts["classes"]), facts["identity"], tuple(facts["units"]))


@torch.inference_mode()
def ask(*, of: Handle, what: str, about: Records, run: Run) -> Pairs:
    """Ask a model for one observable of every record: one query per record."""
    answers = of.ask(what, about.inputs)
    run.progress(len(about), len(about))
    return Pairs(about.inputs, owned(answers), what, of.classes, of.identity)
