"""Which words a text holds, read off its embedding: one linear classifier per word (multi-label classification)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.asking import Pairs
from mialang.operators.batches import packed, unpacked
from mialang.operators.candidates import Candidates
from mialang.operators.errors import OperatorError
from mialang.operators.leaks import Embeddings, same_encoder, same_width
from mialang.operators.run import Json, Run
from mialang.operators.text.words import word_counts, words_of
from mialang.operators.training import diverged

VALIDATION = 0.1  # share of the pairs that choose the threshold and are not fitted to
THRESHOLDS = torch.arange(0.05, 0.96, 0.025)


@dataclass(frozen=True, eq=False)
class BagOfWords(Artefact, kind="bag_of_words"):
    """A linear map from embeddings to the words that a text holds.

    Attributes:
        words: the words that it knows, most frequent first.
        weight: `[words, width]`.
        bias: `[words]`.
        threshold: probability from which a word counts as held.
        identity: of the encoder that it was fitted to.
    """

    words: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor
    threshold: float
    identity: str

    def probabilities(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the probability of each word `[n, words]` for embeddings `[n, width]`."""
        return functional.linear(vectors, self.weight, self.bias).sigmoid()

    def arrays(self) -> dict[str, Array]:
        """Return the map and the words."""
        return {"weight": array(self.weight), "bias": array(self.bias), **packed(self.words, "words.")}

    def facts(self) -> dict[str, Json]:
        """Return threshold and identity."""
        return {"threshold": self.threshold, "identity": self.identity}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        weight, bias = tensor(arrays["weight"]), tensor(arrays["bias"])
        return cls(unpacked(arrays, "words."), weight, bias, facts["threshold"], facts["identity"])


def fit_bag_of_words(*, on: Pairs, words: int, epochs: int, lr: float, batch: int, run: Run) -> BagOfWords:
    """Fit one logistic regression per word, all at once: binary cross-entropy summed over words, AdamW.

    A tenth of the pairs is held out; on it the threshold is chosen that has the largest micro F1. Notes `threshold` and
    `validation_f1`.

    Args:
        on: texts with their embeddings.
        words: how many of the most frequent words to know.
        epochs: passes over the pairs.
        lr: peak learning rate, decayed to 0 by a cosine.
        batch: pairs per step.
        run: gives seeds and takes notes.

    Raises:
        OperatorError: there are too few pairs, or the loss is no longer a number.
    """
    if len(on) < 10:
        raise OperatorError(f"{len(on)} pairs are too few to fit and to choose a threshold", help="give at least ten")
    order = torch.randperm(len(on), generator=run.generator)
    held = max(1, round(VALIDATION * len(on)))
    known = tuple(list(word_counts([on.inputs[place] for place in order[held:].tolist()]))[:words])
    if not known:
        raise OperatorError("the texts hold no words", help="give texts with letters or digits")
    truth = held_words(on.inputs, known)
    scale = math.sqrt(on.answers.shape[1])  # numbers of a unit vector are small: this makes their spread about 1
    vectors = on.answers * scale
    with run.seeded():
        layer = nn.Linear(vectors.shape[1], len(known))
    # The words are rare: a start at their frequency spares the first epochs.
    frequency = truth[order[held:]].float().mean(0).clamp(1e-4, 1 - 1e-4)
    layer.bias.data = (frequency / (1 - frequency)).log()
    layer.weight.data.zero_()
    layer.to(run.device).train()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=lr, weight_decay=0.01)
    batch = min(batch, len(on) - held)
    per_epoch = (len(on) - held) // batch
    total = epochs * per_epoch
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / total)))
    for epoch in run.loop("words", epochs, layer=layer, optimiser=optimiser, decay=decay):
        rows = order[held:][torch.randperm(len(on) - held, generator=run.generator)]
        figure = 0.0
        for step in range(per_epoch):
            part = rows[step * batch : (step + 1) * batch]
            logits = layer(vectors[part].to(run.device))
            loss = functional.binary_cross_entropy_with_logits(logits, truth[part].float(), reduction="sum") / len(part)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            decay.step()
            figure = float(loss.detach())
        if not math.isfinite(figure):
            raise diverged("the classifier of words", (epoch + 1) * per_epoch, total, f"lr = {lr:g}")
        run.progress(epoch + 1, epochs, loss=figure)
    layer.to("cpu")
    made = BagOfWords(known, layer.weight.detach() * scale, layer.bias.detach(), 0.5, on.identity)
    validation = order[:held]
    threshold, f1 = best_threshold(
        made.probabilities(on.answers[validation]), [on.inputs[p] for p in validation.tolist()], known
    )
    run.note("words", len(known))
    run.note("threshold", threshold)
    run.note("validation_f1", f1)
    return BagOfWords(known, made.weight, made.bias, threshold, on.identity)


def held_words(texts: Sequence[str], known: Sequence[str]) -> torch.Tensor:
    """Return which text holds which word, bool `[n, words]`."""
    place = {word: column for column, word in enumerate(known)}
    truth = torch.zeros(len(texts), len(known), dtype=torch.bool)
    for row, text in enumerate(texts):
        columns = [place[word] for word in set(words_of(text)) if word in place]
        truth[row, columns] = True
    return truth


def best_threshold(scores: torch.Tensor, texts: Sequence[str], known: Sequence[str]) -> tuple[float, float]:
    """Return the threshold with the largest micro F1 over some texts, and that F1; words not known count as missed.

    Micro F1 is 2ΣTP / (2ΣTP + ΣFP + ΣFN), which is 2ΣTP over the words found plus the words there are.
    """
    truth = held_words(texts, known)
    there = sum(len(set(words_of(text))) for text in texts)
    f1 = torch.stack([2 * (found & truth).sum() / (found.sum() + there) for found in (scores >= t for t in THRESHOLDS)])
    best = int(f1.argmax())
    return round(float(THRESHOLDS[best]), 4), float(f1[best])


@torch.inference_mode()
def read_words(*, by: BagOfWords, of: Embeddings, run: Run) -> Candidates:
    """Read the words of each record off its embedding, likeliest first; a record without any has the likeliest one.

    Raises:
        OperatorError: the embeddings come from another encoder.
    """
    same_width(by.weight.shape[1], of.vectors.shape[1], "the classifier of words")
    same_encoder(by.identity, of.identity, "the classifier of words")
    scores = by.probabilities(of.vectors)
    order = scores.argsort(dim=1, descending=True, stable=True)
    counts = (scores >= by.threshold).sum(1).clamp_min(1)
    found = [
        " ".join(by.words[word] for word in row[:many])
        for row, many in zip(order.tolist(), counts.tolist(), strict=True)
    ]
    run.progress(len(of), len(of))
    units = torch.arange(len(of))
    return Candidates(tuple(found), units, scores.amax(1).clone(), units, of.units)
