"""Deduplication: what stands more than once in a text stays once.

Lee, Ippolito, Nystrom et al., ACL 2022, arXiv:2107.06499; as a defense: Kandpal, Wallace, Raffel, ICML 2022,
arXiv:2202.06539. Nothing helps what stands there only once.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy import sparse

from mialang.operators.artefacts import Array
from mialang.operators.run import Run
from mialang.operators.text.texts import Texts, identity
from mialang.operators.text.windows import NONE, passages

SEED = 20_220_527  # of the hash functions, which stay the same in every repeat
MISSED = 1e-7  # chance that a pair just similar enough is proposed by no band of MinHash signatures
PRIME = (1 << 31) - 1  # of the hash functions x ↦ (a·x + b) mod p


def deduplicate_exact(*, of: Texts, length: int, run: Run) -> Texts:
    """Keep the first copy of every record, and of every stretch of at least `length` characters within and across records.

    A record is the same as another if their identities are equal (NFC, case-folded, spaces collapsed).
    """
    kept = _once(of)
    lines, cut = without_repeats(kept.lines, length)
    left = replace(kept, lines=lines).take(np.array([row for row, line in enumerate(lines) if line.strip()]))
    run.note("records", len(of))
    run.note("records_removed", len(of) - len(left))
    run.note("characters_cut", cut)
    return left


def deduplicate_near(*, of: Texts, similarity: float, words: int, run: Run) -> Texts:
    """Keep the first of records that share almost all their word n-grams: Jaccard similarity of at least `similarity`.

    MinHash (Broder, 1997) proposes pairs; every pair is then compared exactly. Equal records are left out beforehand.
    """
    once = _once(of)
    marks = shingles(once.lines, words)
    first, second = proposed_pairs(marks, similarity)
    shared = np.asarray(marks[first].multiply(marks[second]).sum(1)).ravel()
    sizes = np.asarray(marks.sum(1)).ravel()
    close = shared >= similarity * (sizes[first] + sizes[second] - shared)
    kept = np.ones(len(once), dtype=bool)
    # In the order of the later record: whether an earlier one stays is known when it is compared with.
    pairs = zip(first[close].tolist(), second[close].tolist(), strict=True)
    for one, other in sorted(pairs, key=lambda pair: pair[::-1]):
        kept[other] &= not kept[one]
    run.note("records", len(of))
    run.note("records_removed", len(of) - int(kept.sum()))
    run.note("pairs_compared", len(first))
    return once.take(kept)


def _once(texts: Texts) -> Texts:
    """Return the first of records that are the same."""
    first = {identity(line): row for row, line in reversed(list(enumerate(texts.lines)))}
    return texts.take(np.array(sorted(first.values()), dtype=np.int64))


def without_repeats(lines: tuple[str, ...], length: int) -> tuple[tuple[str, ...], int]:
    """Cut every stretch of `length` characters that occurred before; return the texts and how many characters went."""
    found = passages(lines, length)
    first = np.zeros(len(found.numbers), dtype=bool)
    first[np.unique(found.numbers, return_index=True)[1]] = True
    again = np.flatnonzero(~first & (found.numbers != NONE))
    edges = np.zeros(len(first) + length + 1, dtype=np.int64)
    edges[again] += 1
    edges[again + length] -= 1
    gone = np.cumsum(edges)[: len(first)] > 0
    made = list(lines)
    for row in np.flatnonzero(np.add.reduceat(gone, found.starts)).tolist() if len(lines) else []:
        start = int(found.starts[row])
        letters = np.array(list(lines[row]), dtype=object)
        made[row] = "".join(letters[~gone[start : start + len(letters)]].tolist())
    return tuple(made), int(gone.sum())


def shingles(lines: tuple[str, ...], words: int) -> sparse.csr_array:
    """Return which word n-grams each record has, `[n, n-grams]` of 0 and 1; a record of fewer words is one n-gram.

    Words are compared as records are: case-folded.
    """
    number: dict[tuple[str, ...], int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for row, line in enumerate(lines):
        parts = identity(line).split(" ")
        width = min(words, len(parts))
        for gram in {tuple(parts[at : at + width]) for at in range(len(parts) - width + 1)}:
            rows.append(row)
            columns.append(number.setdefault(gram, len(number)))
    ones = np.ones(len(rows), dtype=np.int64)
    return sparse.csr_array((ones, (rows, columns)), shape=(len(lines), max(1, len(number))))


def proposed_pairs(marks: sparse.csr_array, similarity: float) -> tuple[Array, Array]:
    """Return pairs of records (first, second; first < second) that agree in a band of their MinHash signatures.

    Two records of Jaccard similarity s agree in a band of r rows with probability s^r. There are as many bands as leave
    a pair of the wanted similarity out with a probability of 1e-7.
    """
    rows = 4 if similarity >= 0.7 else 2 if similarity >= 0.4 else 1
    bands = 1 if similarity >= 1 else math.ceil(math.log(MISSED) / math.log1p(-(max(similarity, 1e-3) ** rows)))
    random = np.random.default_rng(SEED)
    # A number for each n-gram that does not depend on where it was met first would need a hash; any number will do.
    grams = random.permutation(marks.shape[1]).astype(np.int64)[marks.indices]
    found: set[tuple[int, int]] = set()
    for _ in range(bands):
        factors = random.integers(1, PRIME, rows, dtype=np.int64)
        shifts = random.integers(0, PRIME, rows, dtype=np.int64)
        mixed = (grams[:, None] * factors + shifts) % PRIME
        signatures = np.minimum.reduceat(mixed, marks.indptr[:-1], axis=0)
        group = np.unique(signatures, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(group, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            found.update(combinations(members.tolist(), 2))
    pairs = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
