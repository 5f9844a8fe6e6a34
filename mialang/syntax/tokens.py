"""Tokens: pieces of text that know what they are and where they stand."""

from __future__ import annotations

from typing import Self


class Token(str):
    """A piece of a source.

    Attributes:
        type: name of its terminal in the grammar; `$END` after the last.
        start_pos: where it starts in the source.
        end_pos: where it ends.
    """

    __slots__ = ("end_pos", "start_pos", "type")

    type: str
    start_pos: int
    end_pos: int

    def __new__(cls, type_: str, value: str, start_pos: int, end_pos: int) -> Self:
        """Make a token from its text."""
        token = super().__new__(cls, value)
        token.type = type_
        token.start_pos = start_pos
        token.end_pos = end_pos
        return token

    def read_as(self, type_: str, value: str | None = None) -> Token:
        """Return the token as one of another terminal, or of another text, in the same place."""
        return Token(type_, str(self) if value is None else value, self.start_pos, self.end_pos)
