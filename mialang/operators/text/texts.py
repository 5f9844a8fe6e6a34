"""Texts: records that are strings, and when two of them are the same record."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.batches import packed, unpacked
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json

SPACES = re.compile(r"\s+")
SHUFFLE = 20_231_116  # seed of the fixed order in which `first` takes records


@dataclass(frozen=True, eq=False)
class Texts(Artefact, kind="texts"):
    """Strings, with labels where the data have them.

    Attributes:
        lines: the strings as decoded, none of them blank.
        labels: `[n]` int64 class ids, or None where the data have no classes.
        names: class id → name.
        about: facts that belong to the data as a whole (as where canaries stand), JSON.
    """

    lines: tuple[str, ...]
    labels: Array | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    about: Mapping[str, Json] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.lines)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a model is asked about: the strings."""
        return self.lines

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: a string has none."""
        return ()

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur, ascending; none where the data have no classes."""
        return () if self.labels is None else tuple(int(label) for label in np.unique(self.labels))

    @cached_property
    def targets(self) -> torch.Tensor:
        """All labels as int64 `[n]`.

        Raises:
            OperatorError: the data have no classes.
        """
        if self.labels is None:
            raise OperatorError("these texts have no labels", help="load them with a column that holds labels")
        with torch.inference_mode(mode=False):  # the first reader may be inside it, a later one may need gradients
            return torch.from_numpy(self.labels)

    def take(self, rows: Array) -> Texts:
        """Return the texts at some rows (indices or mask), in that order."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        labels = None if self.labels is None else np.ascontiguousarray(self.labels[places])
        return replace(self, lines=tuple(self.lines[place] for place in places), labels=labels)

    def only(self, classes: Iterable[int]) -> Texts:
        """Return the texts of some classes.

        Raises:
            OperatorError: a class does not occur.
        """
        wanted = sorted(set(classes))
        missing = sorted(set(wanted) - set(self.classes))
        if missing or self.labels is None:
            raise OperatorError(
                f"no text of class {missing[0] if missing else wanted}",
                note=f"the data hold classes {list(self.classes)}",
            )
        return self.take(np.isin(self.labels, wanted))

    def first(self, limit: int) -> Texts:
        """Return `limit` texts of a fixed shuffle, in their own order; a larger limit contains a smaller one's texts."""
        order = np.random.default_rng(SHUFFLE).permutation(len(self))
        return self.take(np.sort(order[:limit]))

    def fingerprints(self) -> list[str]:
        """Return one hash per record, over its identity; labels do not enter."""
        return [hashlib.blake2b(identity(line).encode(), digest_size=16).hexdigest() for line in self.lines]

    def near(self, others: Texts, similarity: float) -> Array:
        """Return which of these texts have a near double among others, bool `[n]`."""
        from mialang.operators.text.likeness import have_double  # noqa: PLC0415 - it compares texts by their n-grams

        return have_double(self.lines, others.lines, similarity)

    def arrays(self) -> dict[str, Array]:
        """Return the strings as UTF-8 in a row with the ends of each, and the labels."""
        made = packed(self.lines)
        return made if self.labels is None else {**made, "labels": np.ascontiguousarray(self.labels)}

    def facts(self) -> dict[str, Json]:
        """Return class names and facts about the data."""
        return {"names": {str(label): name for label, name in sorted(self.names.items())}, "about": dict(self.about)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        labels = np.array(arrays["labels"]) if "labels" in arrays else None
        names = {int(label): str(name) for label, name in facts["names"].items()}
        return cls(unpacked(arrays), labels, names, dict(facts["about"]))


def identity(text: str) -> str:
    """Return what makes two texts the same record: NFC, case-folded, spaces collapsed."""
    return SPACES.sub(" ", unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())).strip()
