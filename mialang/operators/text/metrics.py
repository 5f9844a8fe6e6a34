"""What came back of texts: words, passages, exact records, meaning; record by record, one without output is a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.measurement import Measurement
from mialang.operators.run import Run
from mialang.operators.text.texts import Texts, identity
from mialang.operators.text.words import words_of

ONLY = ""  # the name of a metric's only field
SETS = ("f1", "precision", "recall", "micro", "multiset")


@dataclass(frozen=True)
class Compared:
    """Outputs beside the records that they claim to be.

    Attributes:
        written: what the attack handed over; empty for a record without output.
        truth: the records.
        items: what each pair is called.
    """

    written: tuple[str, ...]
    truth: tuple[str, ...]
    items: tuple[str, ...]


def compared(of: Candidates, secret: Texts, run: Run) -> Compared:
    """Return every output beside its record; a record without output counts with as many failures as others have outputs."""
    counts = Counter(of.group.tolist())
    expected = max(counts.values(), default=1)
    missing = [unit for unit in of.attempted for _ in range(expected - counts[unit])]
    units = [*of.group.tolist(), *missing]
    run.note("outputs", len(of))
    run.note("units_attempted", len(of.attempted))
    run.note("units_without_output", [f"record {unit}" for unit in sorted(set(missing))])
    return Compared(
        (*of.values, *([""] * len(missing))),
        tuple(secret.lines[unit] for unit in units),
        tuple(f"record {unit}" for unit in units),
    )


def token_f1(*, of: Candidates, secret: Texts, run: Run) -> Measurement:
    """Measure how many words of each record came back, in any order; punctuation and tokens of models are no words.

    P are the words written, R those of the record, as sets: precision |P∩R|/|P|, recall |P∩R|/|R|, F1 2|P∩R|/(|P|+|R|).
    An output without words has precision 0.

    Returns:
        Per record `f1`, `precision`, `recall`, and `multiset`, F1 with repeated words counted. `micro` has 2|P∩R| over
        the mean of |P|+|R| per record, so that its mean is the micro F1 2ΣTP/(2ΣTP + ΣFP + ΣFN). Records without words
        are left out and noted.
    """
    pairs = compared(of, secret, run)
    every = [(words_of(written), words_of(truth), item) for written, truth, item in zip(*_fields(pairs), strict=True)]
    kept = [each for each in every if each[1]]
    run.note("records_without_words", len(every) - len(kept))
    if not kept:
        return Measurement.unavailable("no record holds a word", *SETS)
    items = [item for _, _, item in kept]
    found, there, both = (torch.tensor(each, dtype=torch.float64) for each in zip(*map(_overlap, kept), strict=True))
    total = found + there
    repeated = torch.tensor([_multiset_f1(written, truth) for written, truth, _ in kept])
    values = {
        "f1": 2 * both / total,
        "precision": both / found.clamp_min(1),
        "recall": both / there,
        "micro": 2 * both / total.mean(),
        "multiset": repeated,
    }
    measured = Measurement()
    for name, value in values.items():
        measured = measured.with_field(name, value, items)
    return measured


def _fields(pairs: Compared) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    return pairs.written, pairs.truth, pairs.items


def _overlap(pair: tuple[list[str], list[str], str]) -> tuple[int, int, int]:
    written, truth = set(pair[0]), set(pair[1])
    return len(written), len(truth), len(written & truth)


def _multiset_f1(written: Sequence[str], truth: Sequence[str]) -> float:
    shared = (Counter(written) & Counter(truth)).total()
    return 2 * shared / (len(written) + len(truth))


def bleu(*, of: Candidates, secret: Texts, run: Run) -> Measurement:
    """Measure BLEU-4 by sacrebleu, 0 to 100 (Papineni et al., ACL 2002; Post, WMT 2018); notes its signature.

    Returns:
        `sentence`: per record, corpus BLEU of the single pair (exponential smoothing, effective order off), as Vec2Text
        reports it. `corpus`: one figure over all pairs, which only repeats can bound.
    """
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 - only this metric needs it

    pairs = compared(of, secret, run)
    scorer = BLEU(tokenize="13a", smooth_method="exp", effective_order=False, force=True)
    each = [scorer.corpus_score([written], [[truth]]).score for written, truth, _ in zip(*_fields(pairs), strict=True)]
    whole = scorer.corpus_score(list(pairs.written), [list(pairs.truth)]).score
    run.note("signature", str(scorer.get_signature()))
    measured = Measurement().with_field("sentence", torch.tensor(each), pairs.items)
    return measured.with_field("corpus", torch.tensor([whole]), ["all records"])


def exact_match(*, of: Candidates, secret: Texts, run: Run) -> Measurement:
    """Measure the share of outputs that are the record: equal after NFC, case folding and collapsing spaces."""
    pairs = compared(of, secret, run)
    hits = [identity(written) == identity(truth) for written, truth, _ in zip(*_fields(pairs), strict=True)]
    return Measurement().with_field(ONLY, torch.tensor(hits).float(), pairs.items)


@torch.inference_mode()
def text_similarity(*, of: Candidates, secret: Texts, judge: Handle, run: Run) -> Measurement:
    """Measure the cosine between output and record under an independent encoder; a record without output has 0."""
    return _cosine(compared(of, secret, run), judge, run)


@torch.inference_mode()
def similarity_under_target(*, of: Candidates, secret: Texts, encoder: Handle, run: Run) -> Measurement:
    """Measure the cosine between output and record under the target's own encoder, which the attack itself looks at."""
    return _cosine(compared(of, secret, run), encoder, run)


def _cosine(pairs: Compared, judge: Handle, run: Run) -> Measurement:
    one, other = judge.ask("embedding", pairs.written), judge.ask("embedding", pairs.truth)
    values = functional.cosine_similarity(one, other, dim=1)
    blank = torch.tensor([not written.strip() for written in pairs.written])
    run.note("judge", judge.identity)
    return Measurement().with_field(ONLY, torch.where(blank, 0.0, values), pairs.items)


@torch.inference_mode()
def retrieval(*, of: Handle, on: Texts, run: Run) -> Measurement:
    """Measure how often a store finds a record by every other word of it: 1 where the record's vector comes first.

    Questions go through the encoder as questions do, records through the store: a defense may act on either.
    """
    queries = tuple(" ".join(text.split()[::2]) for text in on.lines)
    stored = functional.normalize(of.ask("stored_embeddings", on.inputs), dim=1)
    asked = functional.normalize(of.ask("embedding", queries), dim=1)
    first = (asked @ stored.T).argmax(dim=1)
    run.note("records", len(on))
    hits = (first == torch.arange(len(on))).float()
    return Measurement().with_field(ONLY, hits, [f"record {row}" for row in range(len(on))])
