"""Pairs of nodes are numbered row by row, and numbers lead back to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.errors import OperatorError
from mialang.operators.graph import pairs
from mialang.operators.graph.pairs import affordable, blocks, ends_of, numbers_of, pair_count, upper


@given(st.integers(2, 40))
def test_numbers_and_ends_are_inverse_and_follow_the_upper_triangle(n):
    u, v = np.triu_indices(n, 1)
    numbers = np.arange(pair_count(n))
    assert np.array_equal(numbers_of(u, v, n), numbers)
    assert np.array_equal(numbers_of(v, u, n), numbers)
    found = ends_of(numbers, n)
    assert np.array_equal(found[0], u)
    assert np.array_equal(found[1], v)


def test_blocks_of_rows_cover_the_upper_triangle_in_order(monkeypatch):
    monkeypatch.setattr(pairs, "BLOCK", 50)
    n = 17
    rows = list(blocks(n))
    assert len(rows) > 1
    grid = np.arange(n * n).reshape(n, n)
    found = np.concatenate([grid[part][upper(part, n)] for part in rows])
    assert np.array_equal(found, grid[np.triu_indices(n, 1)])


def test_more_pairs_than_memory_holds_are_words():
    affordable(2708, 44, "a search")
    with pytest.raises(OperatorError, match="GiB") as caught:
        affordable(100_000, 44, "a search")
    assert "4,999,950,000 pairs" in caught.value.note
    assert caught.value.help
