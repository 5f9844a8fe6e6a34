"""Prefixes: the beginnings of passages of a text, given to an adversary who is to continue them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.batches import packed, unpacked
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run
from mialang.operators.text.canaries import are_canaries
from mialang.operators.text.texts import Texts

WORD = re.compile(r"\S+")


@dataclass(frozen=True, eq=False)
class Prefixes(Artefact, kind="prefixes"):
    """The beginnings of passages; what follows them is not told.

    Attributes:
        lines: n beginnings, whole words.
        places: `[n]` record of the text that each stands in.
        ends: `[n]` character of that record after which the passage goes on.
    """

    lines: tuple[str, ...]
    places: Array
    ends: Array

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self.lines)

    @property
    def units(self) -> tuple[int, ...]:
        """What attacks recover, one by one: passages, by number."""
        return tuple(range(len(self)))

    def reveals(self) -> tuple[int, ...]:
        """Return the passages that are known from the prefix alone: none, for what is asked is how they go on."""
        return ()

    def suffixes(self, secret: Texts) -> tuple[str, ...]:
        """Return how each passage goes on, up to the end of its record."""
        ends = zip(self.places.tolist(), self.ends.tolist(), strict=True)
        return tuple(secret.lines[place][end:] for place, end in ends)

    def arrays(self) -> dict[str, Array]:
        """Return the beginnings and where they stand."""
        return {**packed(self.lines), "places": self.places, "stops": self.ends}

    def facts(self) -> dict[str, Json]:
        """Nothing small."""
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        return cls(unpacked(arrays), np.array(arrays["places"]), np.array(arrays["stops"]))


@dataclass(frozen=True)
class _Words:
    """Where the words of a record start and end."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, record: str) -> _Words:
        spans = [found.span() for found in WORD.finditer(record)]
        return cls(tuple(start for start, _ in spans), tuple(end for _, end in spans))

    @cached_property
    def count(self) -> int:
        return len(self.starts)


def prefixes(*, of: Texts, count: int, words: int, follow: int, run: Run) -> Prefixes:
    """Draw passages from records at random, each word of which may begin one with the same chance; none from canaries.

    Args:
        of: the text.
        count: how many passages; fewer where there are not so many. No two overlap in their prefix's first word.
        words: of a prefix.
        follow: how many words must follow it in the record.
        run: seeds, notes.

    Raises:
        OperatorError: no record is long enough.
    """
    known = [_Words.of(record) for record in of.lines]
    room = np.array([max(0, each.count - words - follow + 1) for each in known]) * ~are_canaries(of)
    if not room.sum():
        raise OperatorError(
            f"no record has {words + follow} words",
            note=f"a prefix has {words}, and {follow} must follow it",
            help="ask for shorter prefixes, or take longer texts",
        )
    random = np.random.default_rng(run.seed)
    drawn = np.sort(random.choice(room.sum(), min(count, int(room.sum())), replace=False))
    places = np.searchsorted(room.cumsum(), drawn, side="right")
    first = drawn - (room.cumsum() - room)[places]
    spans = [
        (known[place].starts[start], known[place].ends[start + words - 1])
        for place, start in zip(places.tolist(), first.tolist(), strict=True)
    ]
    lines = tuple(of.lines[place][start:end] for place, (start, end) in zip(places.tolist(), spans, strict=True))
    run.note("passages", len(lines))
    return Prefixes(lines, places.astype(np.int64), np.array([end for _, end in spans], dtype=np.int64))
