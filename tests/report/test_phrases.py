"""Cells in words that a reader can place."""

from __future__ import annotations

import pytest

from mialang.report import phrases


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"defense": "none()"}, "none()"),
        ({"epochs": "28"}, "epochs = 28"),
        ({"epochs": "28", "defense": "none()"}, "epochs = 28, defense = none()"),
        ({}, phrases.EVERYWHERE),
    ],
)
def test_an_axis_is_named_where_its_value_does_not_speak_for_itself(
    words: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phrases, "cell_words", lambda record, cell: words)
    assert phrases.place(None, {}) == said  # type: ignore[arg-type] # what stands for the record is not read
