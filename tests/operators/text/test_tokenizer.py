"""Tokenizers: bytes in, the same bytes out; numbers cut into digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.errors import OperatorError
from mialang.operators.text.tokenizer import trained_tokenizer

from .small_language_model import TEXT, tokenizer


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=5))
def test_decoding_undoes_encoding(texts):
    cutter = tokenizer()
    kept = [text for text in texts if "<|endoftext|>" not in text]
    assert list(cutter.decode(cutter.encode(kept))) == kept


@given(st.integers(0, 9_999_999))
def test_every_digit_is_a_token_of_its_own(number):
    [row] = tokenizer().encode([f"code {number:07d}"])
    [start] = tokenizer().encode(["code "])
    assert len(row) == len(start) + 7
    assert len(set(tokenizer().decode([[token] for token in row[-7:]])) - set("0123456789")) == 0


def test_the_same_text_gives_the_same_tokenizer_and_another_text_another():
    assert trained_tokenizer(TEXT, size=300).identity == tokenizer().identity
    assert trained_tokenizer(TEXT[:2], size=300).identity != tokenizer().identity
    assert len(tokenizer()) == 300


def test_a_vocabulary_too_small_for_bytes_is_refused():
    with pytest.raises(OperatorError, match="no room for all bytes"):
        trained_tokenizer(TEXT, size=256)


def test_batches_begin_with_the_end_token_and_are_cut_at_the_longest():
    cutter = tokenizer()
    rows, lengths = cutter.batch(["the code", "the code of the vault is 12345", ""], longest=8)
    assert rows.shape == (3, 8)
    assert (rows[:, 0] == cutter.end).all()
    assert lengths.tolist() == [len(cutter.encode(["the code"])[0]), 7, 0]
    assert rows[0, 1 : 1 + lengths[0]].tolist() == cutter.encode(["the code"])[0]
    assert (rows[0, 1 + lengths[0] :] == cutter.end).all()
