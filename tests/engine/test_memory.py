"""Artefacts at hand: what the nodes of a run use over and over stays in memory, whatever passes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mialang.engine import work


class Thing:
    """Anything with arrays is an artefact."""

    def arrays(self) -> dict[str, Any]:
        return {}


def test_what_went_unused_longest_makes_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(work, "_recent", {})
    target, first = Thing(), Thing()
    work.remember("target", target)
    work.remember("first", first)
    for number in range(3 * work.RECENT):
        # It is in no store: from memory, or not at all.
        assert work.load_artefact(tmp_path, "target", "nobody:nothing") is target
        work.remember(str(number), Thing())
    assert "first" not in work._recent
    assert len(work._recent) == work.RECENT


def test_a_number_is_no_artefact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_recent", {})
    work.remember("number", 3.0)
    assert not work._recent
