"""Samples: as many as asked, one question each; what says the same again is left out."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.handles import Meter
from mialang.operators.run import Run
from mialang.operators.text.decoding import likeliest_token, random_token
from mialang.operators.text.sampling import Samples, distinct, sample, shuffled
from mialang.operators.text.texts import Texts

from .asked import handle
from .small_language_model import TEXT, model

FREE = random_token(top_k=40, top_p=1.0, temperature=1.0)


def texts(*lines):
    return Samples.of(lines, torch.zeros(len(lines)))


def test_as_many_texts_as_asked_and_one_question_each():
    meter = Meter(cap=7)
    found = sample(of=handle(model(), meter=meter), count=7, tokens=5, by=FREE, prompts=None, words=5, run=Run(3))
    assert len(found) == meter.asked == 7
    assert found.attempted == ()
    again = sample(of=handle(model()), count=7, tokens=5, by=FREE, prompts=None, words=5, run=Run(3))
    assert found.values == again.values
    assert len(set(found.values)) > 1


def test_prompts_are_given_and_are_no_part_of_what_comes_back():
    given_texts = Texts(TEXT)
    found = sample(
        of=handle(model(sharp=3.0)), count=5, tokens=6, by=likeliest_token(), prompts=given_texts, words=2, run=Run(0)
    )
    starts = {" ".join(line.split()[:2]) for line in TEXT}
    known = model(sharp=3.0).answer("sampled_text", sorted(starts), decoding=likeliest_token(), tokens=6, seed=0)
    assert set(found.values) <= set(known)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


@settings(max_examples=80)
@given(st.lists(WORDS, max_size=8), st.sampled_from([0.3, 0.5, 1.0]))
def test_the_first_of_texts_with_shared_trigrams_stays(lines, share):
    kept = list(distinct(of=texts(*lines), share=share, run=Run(0)).values)

    def marks(line):
        words = line.split()
        return set(zip(words, words[1:], words[2:], strict=False))

    expected = []
    for line in lines:
        clash = any((own := marks(earlier)) and len(own & marks(line)) >= share * len(own) for earlier in expected) or (
            not marks(line) and line in expected
        )
        if not clash:
            expected.append(line)
    assert kept == expected


def test_a_random_order_keeps_every_text_and_its_score_and_no_order() -> None:
    lines = [f"text {number}" for number in range(200)]
    given = Samples.of(lines, torch.arange(200))
    made = shuffled(of=given, run=Run(3))
    assert sorted(made.texts) == sorted(lines)
    assert [f"text {int(score)}" for score in made.scores] == list(made.texts)
    places = torch.tensor([lines.index(text) for text in made.texts], dtype=torch.float64)
    assert abs(float(torch.corrcoef(torch.stack([places, torch.arange(200.0, dtype=torch.float64)]))[0, 1])) < 0.25
    assert shuffled(of=given, run=Run(3)).texts == made.texts != shuffled(of=given, run=Run(4)).texts
