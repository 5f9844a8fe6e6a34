"""Bad specs and what `mialang check` says of each, word for word. Read them as prose: every message has a reader."""

from __future__ import annotations

from pathlib import Path

from tests.command import Answer, mialang

FOLDER = Path(__file__).parent / "bad"
SPECS = sorted(FOLDER.glob("*.mia"))


def shown(spec: Path) -> Answer:
    """What is said of a spec, asked where it lies."""
    return mialang("check", spec.name, folder=FOLDER)


def snapshot(spec: Path) -> Path:
    """Where the expected words lie."""
    return spec.with_suffix(".txt")
