"""What leaks of a store: the vectors of its secret records, or some of the records with their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch

from mialang.operators import observables
from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.asking import Pairs
from mialang.operators.batches import owned, rows
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Json, Run


class Stored(Protocol):
    """Secret records behind a store."""

    inputs: object

    def __len__(self) -> int:
        """Return the number of records."""


@dataclass(frozen=True, eq=False)
class Embeddings(Artefact, kind="embeddings"):
    """Vectors of records without the records.

    Attributes:
        vectors: `[n, width]` float32; row i belongs to record i.
        identity: hash of all that decides the encoder's answers; what was fitted to one encoder fits no other.
    """

    vectors: torch.Tensor
    identity: str

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.vectors)

    @property
    def units(self) -> tuple[int, ...]:
        """Places of the records that the vectors belong to."""
        return tuple(range(len(self.vectors)))

    def arrays(self) -> dict[str, Array]:
        """Return the vectors."""
        return {"vectors": array(self.vectors)}

    def facts(self) -> dict[str, Json]:
        """Return the encoder's identity."""
        return {"identity": self.identity}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(tensor(arrays["vectors"]), facts["identity"])


def same_encoder(first: str, second: str, what: str) -> None:
    """Refuse vectors of another encoder than the one that something was fitted to.

    Args:
        first: identity of the encoder that it was fitted to.
        second: identity of the encoder that the vectors come from.
        what: what was fitted, for the message.

    Raises:
        OperatorError: they differ.
    """
    if first != second:
        raise OperatorError(
            f"{what} was fitted to another encoder than the one that these embeddings come from",
            note=f"it was fitted to encoder {first[:8]}, and the embeddings are of {second[:8]}; "
            "other weights, pooling, normalisation or length make another space",
            help="fit it to the encoder in question, or bring the embeddings into its space with `align`",
        )


def same_width(first: int, second: int, what: str) -> None:
    """Refuse vectors of another length than expected.

    Raises:
        OperatorError: the lengths differ.
    """
    if first != second:
        raise OperatorError(
            f"{what} takes vectors of {first:,} numbers, and these have {second:,}",
            note="embeddings of different width come from different encoders",
            help="fit it to embeddings of the same encoder",
        )


@torch.inference_mode()
def stored_embeddings(
    *,
    of: Handle,
    records: Stored,
    size: float | None,  # noqa: ARG001 - of what comes in sizes only
    permuted: bool,
    turn: int,  # noqa: ARG001 - all records are taken
    run: Run,
) -> Embeddings:
    """Take the embeddings of all secret records from a store, behind its defenses.

    Args:
        of: the model, open.
        records: the secret records.
        size: not used.
        permuted: make the decoy: every vector in another record's place.
        turn: not used.
        run: draws the decoy's order.
    """
    vectors = of.ask("stored_embeddings", records.inputs)
    run.progress(len(records), len(records))
    if permuted:
        vectors = observables.permuted(vectors, generator=run.generator)
    return Embeddings(owned(vectors), of.identity)


@torch.inference_mode()
def leaked_pairs(*, of: Handle, records: Stored, size: float | None, permuted: bool, turn: int, run: Run) -> Pairs:
    """Take some secret records with their embeddings, behind the defenses of the store.

    Args:
        of: the model, open.
        records: the secret records.
        size: k, how many leak; None = half of them.
        permuted: make the decoy: every record with the vector of the record that would leak next.
        turn: number of the repeat; it decides which records leak. The first k of a larger leak are the smaller leak.
        run: takes notes.
    """
    order = np.random.default_rng([LEAK, turn]).permutation(len(records))
    k = len(records) // 2 if size is None else min(int(size), len(records))
    leaked = torch.from_numpy(order[:k])
    answered = torch.from_numpy(np.roll(order, -1)[:k]) if permuted else leaked
    vectors = of.ask("leaked_pairs", rows(records.inputs, answered))
    run.note("pairs", k)
    return Pairs(rows(records.inputs, leaked), owned(vectors), "embedding", (), of.identity, tuple(leaked.tolist()))


LEAK = 29  # seed of the order in which records leak
