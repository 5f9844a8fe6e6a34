"""Which numbers are read as they stand, and which are told."""

from __future__ import annotations

import pytest

from mialang.syntax.numbers import misread


@pytest.mark.parametrize("text", ["0", "0.0", "10_000", "1_500.25", "2e-4", "1e05", "0.02", "0e-999", "9" * 18])
def test_a_number_is_a_number(text: str) -> None:
    assert misread(text) is None


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("1_", "`1`"), ("1__000", "`1_000`"), ("1_.5", "`1.5`"), ("01", "`1`"), ("00", "`0`"), ("0_010", "`10`"),
        ("00.5", "`0.5`"), ("1e-999", "1e-300"), ("1e999", "1e300"), ("9" * 19, "18 digits"),
    ],
)  # fmt: skip
def test_what_misleads_is_told_with_a_way_out(text: str, way: str) -> None:
    problem = misread(text)
    assert problem is not None
    assert way in problem[1]
