"""Texts: when two are the same record, and how data are chosen from."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.errors import OperatorError
from mialang.operators.overlap import disjoint, minus
from mialang.operators.run import Run
from mialang.operators.text.texts import Texts, identity

texts = st.text(max_size=30)


@given(texts)
def test_identity_is_idempotent(text):
    assert identity(identity(text)) == identity(text)


@given(texts, st.sampled_from(["NFC", "NFD"]))
def test_unicode_form_makes_no_other_record(text, form):
    assert identity(unicodedata.normalize(form, text)) == identity(text)


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRASSE"), (" a  b\n", "a b"), ("Café", "café"), ("A B", "a b")]
)
def test_case_and_spaces_make_no_other_record(one, other):
    assert identity(one) == identity(other)
    assert Texts((one,)).fingerprints() == Texts((other,)).fingerprints()


def test_other_words_are_another_record():
    assert len(set(Texts(("a b", "ab", "a b.", "b a")).fingerprints())) == 4


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=12), st.booleans())
def test_texts_come_back_from_plain_arrays(lines, labelled):
    labels = np.arange(len(lines), dtype=np.int64) % 2 if labelled else None
    made = Texts(tuple(lines), labels, {0: "none"} if labelled else {}, {"from": "here"})
    back = Texts.restore(made.arrays(), made.facts())
    assert (back.lines, back.names, back.about) == (made.lines, made.names, made.about)
    assert back.classes == made.classes == (tuple(sorted({0, 1} & set(labels.tolist()))) if labelled else ())


def test_a_larger_limit_holds_a_smaller_ones_texts():
    made = Texts(tuple(f"text {n}" for n in range(50)))
    small, large = made.first(7), made.first(20)
    assert set(small.lines) < set(large.lines)
    assert [made.lines.index(line) for line in large.lines] == sorted(made.lines.index(line) for line in large.lines)
    assert len(made.first(99)) == 50


def test_texts_without_labels_have_none():
    with pytest.raises(OperatorError, match="no labels"):
        _ = Texts(("a",)).targets


def test_minus_removes_what_is_shared_and_counts_it():
    run = Run(seed=0)
    left = minus(of=Texts(("A cat", "a dog", "a fish")), without=Texts(("a  CAT", "a bird")), near=None, run=run)
    assert left.lines == ("a dog", "a fish")
    assert run.notes == {"records_removed": 1}
    assert disjoint(first=left, second=Texts(("a cat",)), by="record", near=None, run=Run(seed=0)).counts["shared"] == 0


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.lists(st.sampled_from("abcdef"), min_size=1))
def test_minus_makes_data_that_are_disjoint(one, other):
    if set(one) <= set(other):
        with pytest.raises(OperatorError, match="all"):
            minus(of=Texts(tuple(one)), without=Texts(tuple(other)), near=None, run=Run(seed=0))
        return
    run = Run(seed=0)
    left = minus(of=Texts(tuple(one)), without=Texts(tuple(other)), near=None, run=run)
    assert not set(left.lines) & set(other)
    assert len(left) + run.notes["records_removed"] == len(one)


def test_near_doubles_are_told_exactly():
    mine = ("the cat sat on the mat", "a dog ran after a ball", "hello there you")
    others = ("The cat sat on the red mat", "hello there you", "nothing like it at all")
    run = Run(seed=0)
    left = minus(of=Texts(mine), without=Texts(others), near=0.5, run=run)
    assert left.lines == ("a dog ran after a ball",)
    assert run.notes == {"records_removed": 1, "near_doubles_removed": 1}
    with pytest.raises(OperatorError, match="1 of 3 records of the secret have near doubles"):
        disjoint(first=Texts(mine[:2]), second=Texts(others), by="record", near=0.5, run=Run(seed=0))
    # The pairs of words that both have are 4, those that either has 7.
    assert Texts(mine[:1]).near(Texts(others), 4 / 7).all()
    assert not Texts(mine[:1]).near(Texts(others), 0.58).any()


def test_records_without_likeness_have_no_near_doubles():
    class Plain(Texts, kind="plain_texts"):
        near = None

    with pytest.raises(OperatorError, match="nothing says"):
        minus(of=Plain(("a", "b")), without=Plain(("c",)), near=0.5, run=Run(seed=0))
