"""Verbatim passages: found exactly, told apart where they only replay a canary; perplexity as by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.run import Run
from mialang.operators.text.canaries import CanaryForm, canaries, planted
from mialang.operators.text.enumeration import RankedSecrets
from mialang.operators.text.memorisation import perplexity, precision_at, verbatim
from mialang.operators.text.sampling import Samples
from mialang.operators.text.stream import BETWEEN, stream_of
from mialang.operators.text.texts import Texts
from mialang.operators.text.windows import NONE, passages

from .asked import handle
from .small_language_model import TEXT, model, tokenizer

LETTERS = st.text(st.sampled_from("ab \n"), max_size=25)


def ranking(*lines):
    return Samples.of(lines, torch.zeros(len(lines)))


@settings(max_examples=150)
@given(st.lists(LETTERS, min_size=1, max_size=5), st.integers(1, 9))
def test_stretches_have_equal_numbers_iff_they_are_equal(texts, length):
    found = passages(texts, length)
    seen = {}
    for row, text in enumerate(texts):
        own = found.of(row)
        assert len(own) == max(0, len(text) - length + 1)
        assert (own != NONE).all()
        for at, number in enumerate(own.tolist()):
            stretch = text[at : at + length]
            assert seen.setdefault(number, stretch) == stretch
    assert len(set(seen.values())) == len(seen)


@settings(max_examples=100)
@given(st.lists(LETTERS, min_size=1, max_size=4), st.lists(LETTERS, min_size=1, max_size=4), st.integers(1, 8))
def test_a_text_is_verbatim_iff_it_holds_a_stretch_of_the_secret(secret, texts, length):
    lines = tuple(line for line in secret if line.strip()) or ("a",)
    hits, plain = verbatim(texts, Texts(lines), length)
    whole = BETWEEN.join(lines)
    stretches = {whole[at : at + length] for at in range(len(whole) - length + 1)}
    expected = [any(text[at : at + length] in stretches for at in range(len(text) - length + 1)) for text in texts]
    assert hits.tolist() == expected
    assert plain.tolist() == expected


def test_replaying_a_canary_is_told_apart_from_remembering_the_text():
    drawn = canaries(template="the code of the door is {}.", digits=4, insertions=[3], each=2, run=Run(0))
    text = Texts(("the king went over the hill at dawn", "nobody saw where the queen had gone", "and so it ended"))
    secret = planted(of=text, canaries=drawn, run=Run(4))
    samples = [
        f"he said {drawn.lines[0]}",  # the whole canary
        "the code of the door is 0 0 0",  # its text, with another secret
        "then nobody saw where the queen fell",  # text
        "nothing of the kind was ever written",
        "the king went over the hill, the code of the door is 1",  # both
    ]
    hits, plain = verbatim(samples, secret, 20)
    assert hits.tolist() == [True, True, True, False, True]
    assert plain.tolist() == [False, False, True, False, True]
    measured = precision_at(of=ranking(*samples), secret=secret, k=[2, 5, 9], length=20, run=(run := Run(0)))
    assert measured.fields["at2"][0] == [1.0, 1.0]
    assert measured.fields["plain2"][0] == [0.0, 0.0]
    assert sum(measured.fields["at5"][0]) == 4
    assert sum(measured.fields["plain5"][0]) == 2
    assert "hands over 5 texts" in measured.reasons["at9"]
    assert run.notes["base_rate"] == pytest.approx(0.8)
    assert run.notes["base_rate_without_canaries"] == pytest.approx(0.4)


def test_a_stretch_that_reaches_from_a_canary_into_the_text_is_no_plain_find():
    form = CanaryForm("code {}", 2)
    secret = Texts(("aaaa bbbb", "code 42", "cccc dddd"), about={"canaries": form.facts()})
    joined = BETWEEN.join(secret.lines)
    hits, plain = verbatim([joined[5:16], joined[:9], joined[-9:], "42\n\ncccc"], secret, 8)
    assert hits.all()
    assert plain.tolist() == [False, True, True, False]


def test_what_ranks_no_texts_has_no_precision():
    ranked = RankedSecrets(CanaryForm("{}", 2), torch.zeros(100))
    measured = precision_at(of=ranked, secret=Texts(TEXT), k=[1], length=5, run=Run(0))
    assert set(measured.reasons) == {"at1", "plain1"}


def test_perplexity_is_the_exponential_of_the_mean_loss_whatever_the_windows():
    target = model(sharp=2.0)
    texts = Texts(TEXT * 3)
    measured = perplexity(of=handle(target), on=texts, run=Run(0))
    windows = stream_of(texts.lines, tokenizer(), 48).windows()
    logs = target.answer("next_token_logprobs", windows)
    losses = -logs[:, :-1].gather(-1, windows[:, 1:, None]).squeeze(-1)
    assert measured.fields["per_token"][0] == pytest.approx([math.exp(float(losses.mean()))], rel=1e-4)
    sizes = [len(text.encode()) for text in tokenizer().decode(windows[:, 1:].tolist())]
    expected = [float(row.sum()) / math.log(2) / size for row, size in zip(losses, sizes, strict=True)]
    assert measured.fields["bits_per_byte"][0] == pytest.approx(expected, rel=1e-4)
