"""Baselines against a store of embeddings: what public texts give away without any inverter."""

from __future__ import annotations

import torch
from torch.nn import functional

from mialang.operators.asking import Pairs
from mialang.operators.candidates import Candidates
from mialang.operators.leaks import Embeddings, same_encoder, same_width
from mialang.operators.run import Run
from mialang.operators.text.texts import Texts
from mialang.operators.text.words import word_counts, words_of


@torch.inference_mode()
def frequent_words(*, of: Embeddings, about: Texts, words: int | None, run: Run) -> Candidates:
    """Guess the same most frequent words of public texts for every record; nothing of the embeddings is used.

    Args:
        of: the embeddings; only their number counts.
        about: public texts.
        words: how many words; None = the number that gives the largest micro F1 on the public texts themselves.
        run: takes notes.
    """
    counts = word_counts(about.lines)
    if words is None:
        # With the k likeliest words for everyone, ΣTP is the sum of their document frequencies.
        hits = torch.tensor(list(counts.values()), dtype=torch.float64).cumsum(0)
        there = sum(len(set(words_of(text))) for text in about.lines)
        guessed = torch.arange(1, len(hits) + 1, dtype=torch.float64) * len(about)
        words = int((2 * hits / (guessed + there)).argmax()) + 1
    run.note("words", words)
    guess = " ".join(list(counts)[:words])
    units = torch.arange(len(of))
    return Candidates((guess,) * len(of), units, torch.zeros(len(of)), units, of.units)


@torch.inference_mode()
def nearest_text(*, on: Pairs, of: Embeddings, run: Run) -> Candidates:
    """Guess, for each record, the public text whose embedding has the largest cosine.

    Args:
        on: public texts with what the encoder answered about them.
        of: the embeddings of the records.
        run: takes notes.

    Raises:
        OperatorError: the embeddings come from another encoder than the one that was asked.
    """
    assert isinstance(on.answers, torch.Tensor)
    public = functional.normalize(on.answers, dim=1)
    same_width(public.shape[1], of.vectors.shape[1], "the encoder that was asked")
    same_encoder(on.identity, of.identity, "the search for the nearest text")
    found = (functional.normalize(of.vectors, dim=1) @ public.T).max(dim=1)
    run.note("texts", len(on))
    units = torch.arange(len(of))
    return Candidates(
        tuple(on.inputs[place] for place in found.indices.tolist()), units, found.values.clone(), units, of.units
    )
