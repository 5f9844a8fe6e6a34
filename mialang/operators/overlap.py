"""Overlap between sets of records: whether an adversary was given what it is to recover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run


class Fingerprinted(Protocol):
    """Records that can be told apart."""

    classes: tuple[int, ...]

    def __len__(self) -> int:
        """How many there are."""

    def fingerprints(self) -> list[str]:
        """A hash per record, after decoding and preprocessing."""

    def take(self, rows: Array) -> Self:
        """The records that a mask `[n]` keeps."""


@dataclass(frozen=True)
class Evidence(Artefact, kind="evidence"):
    """A fact about data that was checked, and what was counted."""

    counts: Mapping[str, Json]

    def arrays(self) -> dict[str, Array]:
        """Nothing large."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What was counted."""
        return dict(self.counts)

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the facts."""
        return cls(dict(facts))


def disjoint(*, first: Fingerprinted, second: Fingerprinted, by: str, near: float | None, run: Run) -> Evidence:
    """Check that two sets share no record, or no class; with `near`, no records that are almost the same either.

    Raises:
        OperatorError: they share some; says how many. Or records of this sort have no near doubles.
    """
    if by == "class":
        shared: list[Any] = sorted(set(first.classes) & set(second.classes))
        noun, listed = "classes", ", ".join(map(str, shared[:8]))
    else:
        seen = set(first.fingerprints())
        marks = second.fingerprints()  # of a graph one an edge, so that they need not be as many as its nodes
        shared = [place for place, mark in enumerate(marks) if mark in seen]
        noun, listed = "records", f"{len(shared):,} of {len(marks):,}"
    run.note(f"shared_{noun}", len(shared))
    if shared:
        raise OperatorError(
            f"the prior and the secret share {noun}: {listed}",
            note="an adversary who already holds the secret proves nothing",
            help="grant other classes, for example with `classes = …` where the records come from"
            if by == "class"
            else "grant other records, or remove the shared ones with `minus(a, b)`",
        )
    alike = 0 if near is None else int(_doubles(second, first, near).sum())
    if alike:
        run.note("near_doubles", alike)
        raise OperatorError(
            f"{alike:,} of {len(second):,} records of the secret have near doubles in the prior",
            note=f"near are those of a similarity of at least {near:g}",
            help="grant other records, or remove the near ones too: `minus(a, b, near = …)`",
        )
    return Evidence({"by": by, "first": len(first), "second": len(second), "shared": 0})


def minus(*, of: Fingerprinted, without: Fingerprinted, near: float | None, run: Run) -> Fingerprinted:
    """Take from a set the records that another holds, with `near` those that are almost the same too; notes how many.

    Raises:
        OperatorError: nothing is left, or records of this sort have no near doubles.
    """
    seen = set(without.fingerprints())
    kept = np.array([mark not in seen for mark in of.fingerprints()], dtype=np.bool_)
    run.note("records_removed", int((~kept).sum()))
    if near is not None:
        doubles = _doubles(of, without, near) & kept
        run.note("near_doubles_removed", int(doubles.sum()))
        kept &= ~doubles
    if not kept.any():
        raise OperatorError(
            f"all {len(of):,} records are among those to be removed",
            note="nothing would be left",
            help="name records that are not those of the other set",
        )
    return of.take(kept)


def _doubles(of: Fingerprinted, others: Fingerprinted, similarity: float) -> Array:
    """Which records of one set have a near double in another."""
    found = getattr(of, "near", None)
    if found is None:
        raise OperatorError(
            "nothing says when two records of this sort are nearly the same",
            help="leave `near` out: equal records are told",
        )
    doubles: Array = found(others, similarity)
    return doubles
