"""Where data files are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_folders(data: Path | str | None) -> list[Path]:
    """The folders in which data files are looked for, in order: the given one, `MIALANG_DATA`, the working directory."""
    return [*(Path(root) for root in (data, os.environ.get("MIALANG_DATA")) if root), Path()]


def first_found(data: Path | str | None, *names: str) -> Path | None:
    """The first of several files or folders that exists.

    Args:
        data: a folder that is searched before the others; None = only those.
        names: paths, absolute or relative to one of the folders.
    """
    places = (folder / name for name in names for folder in data_folders(data))
    return next((place for place in places if place.exists()), None)
