"""Sampling texts from a language model, and leaving out those that say the same again."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from mialang.operators.algebra import Objective, Point
from mialang.operators.artefacts import Array
from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.run import Run
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.texts import Texts

ROUND = 1024  # prompts that are asked at once
SEEDS = 2**31


@dataclass(frozen=True, eq=False)
class Samples(Candidates, kind="samples"):
    """Texts that a model wrote of itself: they claim to be no record in particular."""

    @classmethod
    def of(cls, texts: Sequence[str], scores: torch.Tensor) -> Samples:
        """Return texts with scores `[n]`."""
        nobody = torch.full((len(texts),), -1)
        return cls(tuple(texts), nobody, scores.detach().float().cpu(), nobody.clone(), ())

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, in order."""
        return tuple(str(value) for value in self.values)

    def take(self, rows: torch.Tensor, scores: torch.Tensor) -> Samples:
        """Return some of the texts (`rows`: indices) with new scores."""
        texts = self.texts
        return Samples.of([texts[row] for row in rows.tolist()], scores)

    def without(self, units: Collection[int]) -> Samples:
        """Return the same: what is granted of records takes nothing from texts that claim none."""
        del units
        return self


def sample(
    *, of: Handle, count: int, tokens: int, by: Decoding, prompts: Texts | None, words: int, run: Run
) -> Samples:
    """Let a language model write `count` texts of `tokens` tokens: one question per text.

    Args:
        of: the model.
        count: how many texts.
        tokens: how long each is.
        by: how tokens are chosen.
        prompts: texts of whose records the first `words` words are prompts, drawn evenly; None = nothing is given.
        words: of a prompt; they are no part of what comes back.
        run: seeds, progress, notes.

    Returns:
        The texts in the order in which they came.
    """
    given = [""] * count
    if prompts is not None:
        rows = torch.randint(len(prompts), (count,), generator=run.generator).tolist()
        given = [" ".join(prompts.lines[row].split()[:words]) for row in rows]
    seeds = torch.randint(SEEDS, (count // ROUND + 1,), generator=run.generator).tolist()
    loop = run.loop("rounds", math.ceil(count / ROUND))
    kept = loop.kept
    kept["written"] = []
    for number in loop:
        part = given[number * ROUND : (number + 1) * ROUND]
        kept["written"] += of.ask("sampled_text", part, decoding=by, tokens=tokens, seed=seeds[number])
        run.progress(len(kept["written"]), count)
    run.note("decoding", by.formula())
    return Samples.of(kept["written"], torch.zeros(count))


def ranked(*, of: Samples, by: Objective, run: Run) -> Samples:
    """Put the texts with the largest score first; equal ones stay in their order, and none is left out."""
    score = by(Point(of.texts, of.scores, None, run.generator)).clone()
    run.note("formula", by.formula())
    order = torch.argsort(score, descending=True, stable=True)
    return of.take(order, score[order])


def distinct(*, of: Samples, share: float, run: Run) -> Samples:
    """Leave out texts that share too many word trigrams with one kept before (Carlini et al., USENIX Security 2021).

    A text goes if at least `share` of the trigrams of an earlier one are among its own. Texts without a trigram stay
    once each.
    """
    lines = of.texts
    marks = trigrams(lines)
    sizes = np.asarray(marks.sum(1)).ravel()
    kept = np.zeros(len(lines), dtype=bool)
    seen: set[str] = set()
    for start in range(0, len(lines), ROUND):
        block = marks[start : start + ROUND]
        alike: Array = (
            marks @ block.T
        ).toarray()  # [i, j]: trigrams that text i and text j of the block have in common
        close = (alike >= share * sizes[:, None]) & (sizes[:, None] > 0)
        for column in range(block.shape[0]):
            row = start + column
            kept[row] = not close[kept, column].any() and (sizes[row] > 0 or lines[row] not in seen)
            seen.add(lines[row])
    rows = torch.from_numpy(np.flatnonzero(kept))
    run.note("texts", len(lines))
    run.note("distinct", len(rows))
    return of.take(rows, of.scores[rows])


def shuffled(*, of: Samples, run: Run) -> Samples:
    """Return all texts in a random order."""
    rows = torch.randperm(len(of), generator=run.generator)
    return of.take(rows, of.scores[rows])


def trigrams(lines: Sequence[str]) -> sparse.csr_array:
    """Return which word trigrams each text has, `[n, trigrams]` of 0 and 1."""
    number: dict[tuple[str, ...], int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for row, line in enumerate(lines):
        words = line.split()
        for mark in set(zip(words, words[1:], words[2:], strict=False)):
            rows.append(row)
            columns.append(number.setdefault(mark, len(number)))
    ones = np.ones(len(rows), dtype=np.int32)
    return sparse.csr_array((ones, (rows, columns)), shape=(len(lines), max(1, len(number))))
