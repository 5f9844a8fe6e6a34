"""Cells in words that a reader can place."""

from __future__ import annotations

import pytest

from mialang.report.phrases import EVERYWHERE, named


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"defense": "none()"}, "none()"),
        ({"epochs": "28"}, "epochs = 28"),
        ({"epochs": "28", "defense": "none()"}, "epochs = 28, defense = none()"),
        ({}, EVERYWHERE),
    ],
)
def test_an_axis_is_named_where_its_value_does_not_speak_for_itself(cell: dict[str, str], said: str) -> None:
    assert named(cell) == said
