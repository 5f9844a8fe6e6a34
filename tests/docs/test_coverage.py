"""The page of what is covered tells the truth about the standard library."""

from __future__ import annotations

import re

import pytest

from mialang.meaning.library import declared_in, standard_library

PAGE = standard_library().parent / "docs" / "coverage.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| method")
]
DECLARED = {name for path in standard_library().rglob("*.mia") for name in declared_in(path)}


def test_every_row_has_a_state_and_a_reason() -> None:
    assert len(ROWS) == 138
    for method, _, state, where in ROWS:
        assert state in ("done", "planned", "not planned"), method
        assert where, method


@pytest.mark.parametrize("row", [row for row in ROWS if row[2] == "done"], ids=lambda row: row[0])
def test_what_is_done_is_in_the_library(row: list[str]) -> None:
    named = re.findall(r"`(\w+)`", row[3])
    assert named, "a row that is done names what does it"
    assert set(named) <= DECLARED


def test_every_recipe_of_the_library_has_a_row() -> None:
    recipes = {name for path in (standard_library() / "attack").rglob("*.mia") for name in declared_in(path)}
    named = {name for row in ROWS if row[2] == "done" for name in re.findall(r"`(\w+)`", row[3])}
    assert recipes <= named
