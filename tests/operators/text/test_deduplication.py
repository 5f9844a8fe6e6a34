"""Deduplication: nothing stands twice any more, and what stood once is untouched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.run import Run
from mialang.operators.text.canaries import canaries, planted
from mialang.operators.text.deduplication import deduplicate_exact, deduplicate_near, without_repeats
from mialang.operators.text.texts import Texts, identity

LINES = st.lists(st.text(st.sampled_from("abc "), min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=6)
WORDS = st.lists(st.sampled_from(["king", "queen", "fool", "the", "of"]), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=150)
@given(LINES, st.integers(2, 8))
def test_no_stretch_stands_twice_and_first_copies_stay(lines, length):
    made, cut = without_repeats(tuple(lines), length)
    assert len(made) == len(lines)
    assert sum(map(len, lines)) - sum(map(len, made)) == cut
    # A character stays iff it lies in no stretch that stood there before.
    expected, known = [], set()
    for line in lines:
        gone = set()
        for at in range(len(line) - length + 1):
            if line[at : at + length] in known:
                gone |= set(range(at, at + length))
            known.add(line[at : at + length])
        expected.append("".join(letter for at, letter in enumerate(line) if at not in gone))
    assert list(made) == expected


def test_copies_of_canaries_go_and_their_first_ones_stay():
    drawn = canaries(template="the code is {} today", digits=4, insertions=[1, 4, 9], each=2, run=Run(0))
    text = planted(of=Texts(("one record", "another record")), canaries=drawn, run=Run(0))
    for clean in (
        deduplicate_exact(of=text, length=100, run=(run := Run(0))),
        deduplicate_near(of=text, similarity=0.8, words=5, run=run),
    ):
        assert sorted(clean.lines) == sorted({*text.lines})
        assert clean.about == text.about
    assert run.notes["records_removed"] == 22


@settings(max_examples=80, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8), st.sampled_from([0.5, 0.8, 1.0]), st.integers(1, 3))
def test_of_records_that_are_alike_the_first_stays(lines, similarity, words):
    kept = deduplicate_near(of=Texts(tuple(lines)), similarity=similarity, words=words, run=Run(0)).lines

    def marks(line):
        parts = identity(line).split(" ")
        width = min(words, len(parts))
        return {tuple(parts[at : at + width]) for at in range(len(parts) - width + 1)}

    expected = []
    for line in dict.fromkeys(lines):
        own = marks(line)
        if all(len(own & marks(other)) < similarity * len(own | marks(other)) for other in expected):
            expected.append(line)
    assert list(kept) == expected


@pytest.mark.parametrize("case", ["The  CODE", "the code"])
def test_records_that_differ_in_case_and_spaces_only_are_one(case):
    found = deduplicate_exact(of=Texts(("the code", case, "the door")), length=50, run=Run(0))
    assert found.lines == ("the code", "the door")
