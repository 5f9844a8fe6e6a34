"""The pages about findings: how one is read, and how it is held against what the program says.

A page holds, in this order: a title `# CODE: …`, prose, the files of a bad audit in fenced blocks, a `console` block with
one command and all that it says, and the way out: a `diff` block that mends the audit (`@@` between its places), or a sentence.
A fenced block is a file if its first line names one (```` ```json plan.json ````); a `mia` block without a name is `audit.mia`, and
a `bytes` block stands for what cannot be shown, with escapes as Python writes them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.command import Answer, mialang

FOLDER = Path(__file__).parents[2] / "docs" / "errors"
PAGES = sorted(FOLDER.glob("[EW]*.md"))
FENCED = re.compile(r"^```(?P<language>\w+)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPEC = "audit.mia"


@dataclass(frozen=True)
class Page:
    """One page, taken apart.

    Attributes:
        code: of the finding.
        title: in the reader's words.
        prose: everything outside the fenced blocks.
        files: the bad audit, by name.
        command: what is asked, without `$`.
        said: what the page claims the answer to be.
        changes: pairs of old and new text that mend the audit; none where the way out is a sentence.
    """

    path: Path
    code: str
    title: str
    prose: str
    files: Mapping[str, bytes]
    command: str
    said: str
    changes: tuple[tuple[str, str], ...]

    @property
    def mended(self) -> dict[str, bytes]:
        """The files after the changes."""
        files = dict(self.files)
        for old, new in ((before.encode(), after.encode()) for before, after in self.changes):
            holding = [name for name, text in files.items() if (b"\n" + text).count(b"\n" + old) == 1]
            assert len(holding) == 1, (
                f"a diff of {self.path.name} fits {len(holding)} places, and one is needed: {old!r}"
            )
            files[holding[0]] = (b"\n" + files[holding[0]]).replace(b"\n" + old, b"\n" + new)[1:]
        return files


def read(path: Path) -> Page:
    """Take a page apart."""
    text = path.read_text(encoding="utf-8")
    head = re.match(r"# (?P<code>[EW]\d{4}): (?P<title>.+)\n", text)
    assert head is not None, f"{path.name} begins with `# CODE: title`"
    files: dict[str, bytes] = {}
    command, said = "", ""
    changes: tuple[tuple[str, str], ...] = ()
    for block in FENCED.finditer(text):
        match block["language"]:
            case "console":
                assert not command, f"{path.name} holds one console block"
                first, _, said = block["text"].partition("\n")
                command = first.removeprefix("$ ")
            case "diff":
                changes = tuple(_change(part) for part in block["text"].split("@@\n"))
            case "mia":
                files[block["name"] or SPEC] = block["text"].encode()
            case "bytes":
                files[block["name"]] = block["text"].encode("latin-1").decode("unicode_escape").encode("latin-1")
            case _ if block["name"]:
                files[block["name"]] = block["text"].encode()
    return Page(path, head["code"], head["title"], FENCED.sub("", text), files, command, said, changes)


def _change(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if not line.startswith("+"))
    new = "".join(line[1:] for line in lines if not line.startswith("-"))
    return old, new


def answer(command: str, files: Mapping[str, bytes]) -> Answer:
    """Give a page's command in a folder that holds some files."""
    program, *arguments = shlex.split(command)
    assert program == "mialang", command
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_bytes(text)
        return mialang(*arguments, folder=Path(folder))


def on_screen(said: str) -> str:
    """What was said, as a page shows it: no blank lines at the end."""
    return said.rstrip("\n") + "\n"
