"""A source is a named text; a span is a stretch of it. Everything a finding points at is a span."""

from __future__ import annotations

import errno
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

LARGEST = 1_000_000  # bytes; a spec is a page of text, so a larger file is something else
LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, eq=False)
class Source:
    """One `.mia` text and the name people know it by (a path, or `<stdin>`)."""

    name: str
    text: str = field(repr=False)

    @classmethod
    def read(cls, path: Path, name: str | None = None, most: int = LARGEST) -> Source:
        """Read a file of at most so many bytes. A lone carriage return ends a line, as it did on old machines.

        Raises:
            OSError: the file cannot be read, or is larger.
            UnicodeDecodeError: the file is not UTF-8 text.
        """
        with path.open("rb") as file:
            return cls.take(file, name if name is not None else str(path), most)

    @classmethod
    def take(cls, file: BinaryIO, name: str, most: int = LARGEST) -> Source:
        """Take at most so many bytes from an open file.

        Raises:
            OSError: it holds more.
            UnicodeDecodeError: it is not UTF-8 text.
        """
        data = file.read(most + 1)
        if len(data) > most:
            raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes")
        return cls(name, LONE_RETURN.sub("\n", data.decode("utf-8-sig")))

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets at which lines begin; the first is always 0."""
        starts = [0]
        starts.extend(i + 1 for i, character in enumerate(self.text) if character == "\n")
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset) - 1
        return line + 1, offset - self.line_starts[line] + 1

    def line(self, number: int) -> str:
        """Return the text of a line (counted from 1) without its line break."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open stretch `[start, end)` of a source, in characters."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters spanned."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of another in the same source."""
        return Span(self.source, self.start, other.end)

    def place(self) -> str:
        """Return `name:line:column` of the start."""
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"
