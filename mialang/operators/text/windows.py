"""Equal passages: which stretches of so many characters occur more than once, without comparing them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NONE = -1


@dataclass(frozen=True, eq=False)
class Passages:
    """All stretches of `length` characters of some texts, each with a number; equal stretches have equal numbers.

    Attributes:
        numbers: `[N]` number of the stretch that starts at each character of the texts in a row; −1 where none fits.
        starts: `[n]` where each text starts in that row.
        sizes: `[n]` characters of each text.
        length: characters of a stretch.
    """

    numbers: Array
    starts: Array
    sizes: Array
    length: int

    def of(self, text: int) -> Array:
        """Return the numbers of the stretches of one text."""
        start = int(self.starts[text])
        return self.numbers[start : start + max(0, int(self.sizes[text]) - self.length + 1)]

    def texts_with(self, wanted: Array, texts: Array) -> Array:
        """Return which of some texts hold a stretch whose number is wanted, `[len(texts)]`."""
        there = np.isin(self.numbers, wanted[wanted != NONE]) & (self.numbers != NONE)
        upto = np.concatenate([[0], np.cumsum(there)])
        ends = self.starts[texts] + np.maximum(0, self.sizes[texts] - self.length + 1)
        found: Array = upto[ends] > upto[self.starts[texts]]
        return found


def passages(texts: Sequence[str], length: int) -> Passages:
    """Number the stretches of `length` characters of some texts. None reaches from one text into the next.

    Stretches of 1, 2, 4, … characters are numbered from pairs of shorter ones (Karp, Miller, Rosenberg, STOC 1972), so
    that equal numbers mean equal stretches, never a collision of hashes.
    """
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    starts = np.cumsum(sizes + 1) - (sizes + 1)
    codes = np.frombuffer("\0".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
        np.int64
    )
    gaps = starts + sizes
    codes[gaps] = 0x110000 + np.arange(len(gaps))  # one of its own after each text: no stretch over it equals another
    numbers = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    step = 1
    while step < length:
        reach = min(step, length - step)
        ahead = np.zeros(len(numbers), dtype=np.int64)  # 0 where a stretch would reach beyond the last text
        ahead[: max(0, len(numbers) - reach)] = numbers[reach:] + 1
        numbers = np.unique(numbers * (len(numbers) + 2) + ahead, return_inverse=True)[1].astype(np.int64)
        step += reach
    place = np.arange(len(numbers))
    ends = np.repeat(starts + sizes, sizes + 1)
    return Passages(np.where(place + length <= ends, numbers, NONE), starts, sizes, length)
