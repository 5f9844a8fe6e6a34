"""The failure of an operator that a user can act on."""

from __future__ import annotations


class OperatorError(Exception):
    """An operator could not do its work, for a reason the user can remove.

    Args:
        title: what happened, in the reader's words, one line.
        note: why it matters, or the likely cause.
        help: one concrete next step.
    """

    def __init__(self, title: str, *, note: str = "", help: str = "") -> None:  # noqa: A002 - the word readers see
        super().__init__(title)
        self.title = title
        self.note = note
        self.help = help

    def __str__(self) -> str:
        """Return title, note and help as one paragraph each, for logs."""
        tail = [f"note: {self.note}"] if self.note else []
        tail += [f"help: {self.help}"] if self.help else []
        return "\n".join([self.title, *tail])
