"""What came back of a training text: verbatim passages among ranked samples, continuations, canaries, and the model's use."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.measurement import Measurement
from mialang.operators.run import Run
from mialang.operators.text.canaries import Canaries, are_canaries
from mialang.operators.text.enumeration import RankedSecrets
from mialang.operators.text.prefixes import Prefixes
from mialang.operators.text.sampling import Samples
from mialang.operators.text.stream import BETWEEN, stream_of
from mialang.operators.text.texts import Texts
from mialang.operators.text.token_scores import in_parts, own_logprobs
from mialang.operators.text.tokenizer import Tokenizer
from mialang.operators.text.windows import passages


def precision_at(*, of: Artefact, secret: Texts, k: Sequence[int], length: int, run: Run) -> Measurement:
    """Measure the share of verbatim training text among the first k texts of a ranking.

    A text is verbatim if it holds a stretch of at least `length` characters of the training text (records in a row, blank
    lines between them). Stretches that touch a planted canary are told apart: what only replays a canary is no find.

    Returns:
        Fields `at{k}` with canaries counted, and `plain{k}` where texts whose stretches all touch a canary count as misses:
        0 or 1 per text, items `text {rank}`. Not available for what is no ranking of at least k texts.
    """
    names = [f"at{each}" for each in k], [f"plain{each}" for each in k]
    if not isinstance(of, Samples):
        return Measurement.unavailable("the attack hands over no ranking of texts", *names[0], *names[1])
    hits, plain = verbatim(of.texts, secret, length)
    measured = Measurement()
    for each, at, without in zip(k, *names, strict=True):
        if len(of) < each:
            reason = f"the attack hands over {len(of):,} texts"
            measured = measured.without_field(at, reason).without_field(without, reason)
            continue
        items = [f"text {rank}" for rank in range(1, each + 1)]
        measured = measured.with_field(at, torch.from_numpy(hits[:each]), items)
        measured = measured.with_field(without, torch.from_numpy(plain[:each]), items)
    run.note("texts", len(of))
    run.note("verbatim", int(hits.sum()))
    run.note("verbatim_without_canaries", int(plain.sum()))
    run.note("base_rate", float(hits.mean()) if len(of) else None)
    run.note("base_rate_without_canaries", float(plain.mean()) if len(of) else None)
    return measured


def verbatim(texts: Sequence[str], secret: Texts, length: int) -> tuple[Array, Array]:
    """Return which texts hold a stretch of `length` characters of a secret, `[n]`, and which one that touches no canary."""
    whole = BETWEEN.join(secret.lines)
    found = passages([whole, *texts], length)
    own = found.of(0)
    touched = np.concatenate([[0], np.cumsum(_canary_characters(secret, len(whole)))])
    clean = touched[length : length + len(own)] == touched[: len(own)]
    rows = np.arange(1, len(texts) + 1)
    # A stretch that stands in the text both inside and outside canaries is found outside.
    return found.texts_with(own, rows), found.texts_with(own[clean] if len(own) else own, rows)


def _canary_characters(secret: Texts, total: int) -> Array:
    """Return which characters of the records in a row belong to a canary, `[total]`."""
    sizes = np.array([len(line) + len(BETWEEN) for line in secret.lines])
    own = np.repeat(are_canaries(secret), sizes)
    inside = np.arange(len(own)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: Array = (own & (inside < np.repeat(sizes - len(BETWEEN), sizes)))[:total]
    return found


def extraction_rate(*, of: Artefact, secret: Texts, prefixes: Prefixes, run: Run) -> Measurement:
    """Measure the share of passages whose continuation came back: some output is exactly how the passage goes on.

    Returns:
        0 or 1 per passage, items `passage {n}`; a passage without output is a failure. Not available for attacks that
        continue other passages, or none.
    """
    if not isinstance(of, Candidates) or isinstance(of, Samples) or isinstance(of.values, torch.Tensor):
        return Measurement.unavailable("the attack continues no passages")
    if not set(of.attempted) <= set(prefixes.units):
        return Measurement.unavailable("the attack continues other passages than these")
    suffixes = prefixes.suffixes(secret)
    hits = dict.fromkeys(of.attempted, 0.0)
    for value, unit in zip(of.values, of.group.tolist(), strict=True):
        if value and suffixes[unit].startswith(str(value)):
            hits[unit] = 1.0
    run.note("passages", len(hits))
    run.note("outputs", len(of))
    return Measurement().with_field("", torch.tensor(list(hits.values())), [f"passage {unit}" for unit in hits])


def exposure(*, of: Artefact, canaries: Canaries, insertions: Sequence[int], run: Run) -> Measurement:
    """Measure log₂|R| − log₂ rank of every canary among all secrets of its space, by how often it was planted.

    The rank counts every secret that scores at least as well: between equals, a canary comes last. So a model that says
    nothing gives 0 bits, and log₂|R| means that the secret would be tried first. Never planted canaries rank evenly, and
    have 1/ln 2 = 1.44 bits on average.

    Returns:
        Field `m{n}` per number of insertions: bits, items `canary {n}`. Not available where no canary was planted so often.
    """
    names = [f"m{each}" for each in insertions]
    if not isinstance(of, RankedSecrets):
        return Measurement.unavailable("the attack ranks no secrets", *names)
    if of.form != canaries.form:
        return Measurement.unavailable("the attack ranks secrets of another form than the canaries'", *names)
    bits = exposures(of.scores, torch.from_numpy(canaries.secrets))
    measured = Measurement()
    for each, name in zip(insertions, names, strict=True):
        rows = np.flatnonzero(canaries.copies == each)
        if not len(rows):
            measured = measured.without_field(name, f"no canary was planted {each} times")
            continue
        measured = measured.with_field(name, bits[torch.from_numpy(rows)], [f"canary {row}" for row in rows.tolist()])
    run.note("most_bits", math.log2(len(of)))
    run.note("found_first", int((bits == math.log2(len(of))).sum()))
    return measured


def exposures(scores: torch.Tensor, secrets: torch.Tensor) -> torch.Tensor:
    """Return the exposure in bits of some secrets `[n]`, in their order, for scores of all members of a space `[|R|]`."""
    ascending = scores.double().sort().values
    below = torch.searchsorted(ascending, scores.double()[secrets], side="left")
    rank = len(scores) - below
    return math.log2(len(scores)) - rank.double().log2()


def perplexity(*, of: Handle, on: Texts, run: Run) -> Measurement:
    """Measure how well a language model predicts texts that it never saw.

    Returns:
        Field `per_token`: exp of the mean −log p of a token, one value; it depends on the model's tokens. Field
        `bits_per_byte`: the same loss spread over bytes, per window, which compares across tokenizers.
    """
    tokenizer: Tokenizer = of.know("vocabulary")
    windows = stream_of(on.lines, tokenizer, of.shape[0]).windows()
    losses = torch.empty(len(windows), windows.shape[1] - 1)
    with torch.inference_mode():
        for at, part in in_parts(windows, len(of.classes)):
            losses[at : at + len(part)] = -own_logprobs(of.ask("next_token_logprobs", part), part)[0]
    sizes = torch.tensor([len(text.encode()) for text in tokenizer.decode(windows[:, 1:].tolist())], dtype=torch.float)
    run.note("tokens", losses.numel())
    measured = Measurement().with_field("per_token", losses.mean().exp().reshape(1), ["all texts"])
    rows = [f"window {row}" for row in range(len(windows))]
    return measured.with_field("bits_per_byte", losses.sum(1) / math.log(2) / sizes.clamp_min(1), rows)
