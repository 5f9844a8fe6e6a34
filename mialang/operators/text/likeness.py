"""Near doubles: texts that share almost all their pairs of neighbouring words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.text.deduplication import proposed_pairs, shingles

WORDS = 2  # in a row; messages are short


def have_double(lines: Sequence[str], others: Sequence[str], similarity: float) -> Array:
    """Return which lines have a near double among others, bool `[n]`.

    Two texts are near doubles if the Jaccard similarity of their pairs of neighbouring words is at least `similarity`:
    the pairs that both have over the pairs that either has. MinHash (Broder, 1997) proposes whom to compare; every
    proposal is compared exactly.
    """
    n = len(lines)
    marks = shingles((*lines, *others), WORDS)
    first, second = proposed_pairs(marks, similarity)
    across = (first < n) & (second >= n)
    first, second = first[across], second[across]
    shared = np.asarray(marks[first].multiply(marks[second]).sum(1)).ravel()
    sizes = np.asarray(marks.sum(1)).ravel()
    close = shared >= similarity * (sizes[first] + sizes[second] - shared)
    found = np.zeros(n, dtype=np.bool_)
    found[first[close]] = True
    return found
