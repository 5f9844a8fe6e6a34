"""Batches: cut, joined, reordered, kept as plain arrays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators import batches, observables

lines = st.lists(st.text(max_size=12), min_size=1, max_size=9).map(tuple)
tensors = st.integers(1, 9).map(lambda n: torch.arange(n * 3.0).reshape(n, 3))
ragged = st.lists(st.integers(0, 5), min_size=1, max_size=6).map(lambda ns: tuple(torch.arange(float(n)) for n in ns))
every = st.one_of(lines, tensors, ragged)


def same(one, other):
    assert type(one) is type(other)
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


@given(every, st.integers(1, 4))
def test_parts_join_to_the_whole(batch, size):
    cut = list(batches.parts(batch, size))
    assert all(len(part) <= size for part in cut)
    same(batches.joined(cut), batch)


@given(every)
def test_a_batch_comes_back_from_plain_arrays(batch):
    same(batches.restored(batches.plain(batch, "x"), "x"), batch)


@given(every, st.randoms(use_true_random=False))
def test_rows_come_in_the_order_asked_for(batch, random):
    order = list(range(len(batch)))
    random.shuffle(order)
    moved = batches.rows(batch, torch.tensor(order))
    for place, row in enumerate(order):
        same([moved[place]], [batch[row]])


@given(every, st.integers(0, 99))
def test_a_decoy_leaves_no_answer_with_its_question(batch, seed):
    marks = batch if isinstance(batch, torch.Tensor) else tuple(str(place) for place in range(len(batch)))
    moved = observables.permuted(marks, generator=torch.Generator().manual_seed(seed))
    assert sorted(map(str, moved)) == sorted(map(str, marks))
    if len(marks) > 1:
        assert all(str(one) != str(other) for one, other in zip(moved, marks, strict=True))


def test_what_is_owned_shares_nothing():
    batch = torch.zeros(2)
    mine = batches.owned(batch)
    mine += 1
    assert batch.sum() == 0
    with torch.inference_mode():
        made = torch.ones(2)
    assert not batches.owned(made).is_inference()


@pytest.mark.parametrize("text", ["", "é", "日本", "a\nb", "\ud800"])
def test_any_string_is_kept(text):
    assert batches.unpacked(batches.packed([text, text])) == (text, text)
