"""The report as one self-contained page."""

from __future__ import annotations

from mialang.report.record import Record


def as_page(record: Record, *, reveal: bool = False) -> str:
    """The page of a run."""
    del reveal
    return f"<pre>{record.run.id}</pre>"
