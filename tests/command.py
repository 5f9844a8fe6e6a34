"""The command line, in process: what it says, and how it ends."""

from __future__ import annotations

import io
import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from mialang.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        code: its exit code.
        out: standard output.
        err: standard error.
        screen: both, in the order in which a terminal shows them.
    """

    code: int
    out: str
    err: str
    screen: str


class _Stream(io.StringIO):
    def __init__(self, screen: io.StringIO) -> None:
        super().__init__()
        self.screen = screen

    def write(self, text: str) -> int:
        self.screen.write(text)
        return super().write(text)


def mialang(*arguments: str | Path, folder: Path) -> Answer:
    """Give a command in a folder; nothing of the caller's environment is seen by it."""
    screen = io.StringIO()
    out, err = _Stream(screen), _Stream(screen)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIALANG_")}
    code: object = 0
    with (
        patch.dict(os.environ, {**own, "COLUMNS": "120"}, clear=True),
        patch.object(sys, "argv", ["mialang", *map(str, arguments)]),
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert code is None or isinstance(code, int), code
    return Answer(int(code or 0), out.getvalue(), err.getvalue(), screen.getvalue())
