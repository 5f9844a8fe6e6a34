"""Pairs of nodes as numbers: u < v, no diagonal, row by row of the upper triangle."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.errors import OperatorError

MEMORY = 2**32  # bytes that work on all pairs of a graph may take
BLOCK = 2**22  # pairs that are worked on at once


def pair_count(n: int) -> int:
    """Return how many pairs u < v there are among n nodes."""
    return n * (n - 1) // 2


def numbers_of(u: Array, v: Array, n: int) -> Array:
    """Return the numbers `[k]` of pairs, given by their ends in either order; int64."""
    low, high = np.minimum(u, v).astype(np.int64), np.maximum(u, v).astype(np.int64)
    return low * (2 * n - low - 1) // 2 + high - low - 1


def ends_of(numbers: Array, n: int) -> tuple[Array, Array]:
    """Return the ends u < v of pairs `[k]`, given by their numbers; int64."""
    first = np.arange(n, dtype=np.int64)
    starts = first * (2 * n - first - 1) // 2  # the number of the first pair of each row
    u = np.searchsorted(starts, numbers, side="right") - 1
    u = np.minimum(u, max(n - 2, 0))  # the last node has no row of its own: its start is that of its neighbour's end
    return u, numbers - starts[u] + u + 1


def rows_at_once(n: int, width: int = 1) -> int:
    """Return how many rows of an n by n matrix of vectors of some width are worked on at once."""
    return max(1, BLOCK // max(1, n * width))


def blocks(n: int, width: int = 1) -> Iterator[slice]:
    """Yield slices of rows that together cover an n by n matrix."""
    step = rows_at_once(n, width)
    for at in range(0, n, step):
        yield slice(at, min(n, at + step))


def upper(rows: slice, n: int) -> Array:
    """Return the mask `[b, n]` of the pairs u < v in some rows of an n by n matrix."""
    mask: Array = np.arange(n)[None, :] > np.arange(rows.start, rows.stop)[:, None]
    return mask


def affordable(n: int, bytes_a_pair: float, what: str) -> None:
    """Refuse work on all pairs that memory does not hold.

    Raises:
        OperatorError: it would take more than `MEMORY`; says how much.
    """
    need = n * n * bytes_a_pair
    if need > MEMORY:
        raise OperatorError(
            f"{what} among {n:,} nodes would take {need / 2**30:.1f} GiB, and {MEMORY / 2**30:.0f} GiB are allowed",
            note=f"{pair_count(n):,} pairs of nodes are worked on at once",
            help="load a part of the graph (`limit = 4_000`), or measure balanced or induced pairs",
        )
