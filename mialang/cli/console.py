"""What commands share: exit codes, findings on the screen, reading specs, the place of the store."""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import typer

from mialang.cli.usage import UnusableError
from mialang.diagnostics import Diagnostic, closest, error
from mialang.diagnostics.render import as_json, as_text
from mialang.source import LARGEST, Source

if TYPE_CHECKING:
    from mialang.meaning.audit import Audit


class Exit(IntEnum):
    """What the exit code says."""

    PASS = 0
    GATE_FAILED = 1
    SPEC_WRONG = 2
    INCONCLUSIVE = 3
    BROKEN = 4


class Format(StrEnum):
    """For whom output is written."""

    TEXT = "text"
    JSON = "json"


STATUS = {"pass": Exit.PASS, "fail": Exit.GATE_FAILED, "inconclusive": Exit.INCONCLUSIVE, "error": Exit.BROKEN}
GIVE_A_SPEC = "give the path of a `.mia` file; data files are named inside a spec, by a `data` block"
PIPED = Path("-")  # stands for standard input
ASKS_NOTHING = "E0702"
MOST_FILES = 5  # that are named where one is not found
COLOURS = {"error": "31", "warning": "33", "pass": "32", "fail": "31", "inconclusive": "33"}


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """A text in colour, on a screen that shows colours and whose owner wants them."""
    if not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[1;{COLOURS.get(colour, '0')}m{text}\x1b[0m"


def say(text: str = "", stream: TextIO | None = None) -> None:
    """Write a line for people; characters that the screen cannot show are replaced."""
    stream = stream or sys.stdout
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def show_findings(findings: Iterable[Diagnostic], stream: TextIO | None = None) -> None:
    """Draw findings, with a blank line after each."""
    stream = stream or sys.stdout
    for finding in findings:
        head, _, rest = as_text(finding).partition("\n")
        word, bracket, tail = head.partition("[")
        say(coloured(word, finding.severity, stream) + bracket + tail, stream)
        if rest:
            say(rest, stream)
        say("", stream)


def count_words(findings: Sequence[Diagnostic]) -> str:
    """How many errors and warnings there are."""
    errors = sum(finding.is_error for finding in findings)
    warnings = len(findings) - errors
    parts = []
    if errors:
        parts.append(f"{errors} error{'s' if errors != 1 else ''}")
    if warnings:
        parts.append(f"{warnings} warning{'s' if warnings != 1 else ''}")
    return " and ".join(parts) or "no findings"


def findings_json(findings: Iterable[Diagnostic]) -> str:
    """Findings for machines."""
    return json.dumps([as_json(finding) for finding in findings], indent=1)


def read_source(path: Path, most: int = LARGEST) -> tuple[Source | None, Diagnostic | None]:
    """Read a spec of at most so many bytes, from standard input if it is `-`; what is wrong with it is a finding."""
    try:
        if path == PIPED:
            return Source.take(sys.stdin.buffer, "<stdin>", most), None
        return Source.read(path, most=most), None
    except FileNotFoundError:
        return None, error("E0801", f"there is no file `{path}`").help(_which_file(path))
    except IsADirectoryError:
        inside = sorted(each.name for each in path.glob("*.mia") if each.is_file())
        shown = ", ".join(f"`{path / name}`" for name in inside[:MOST_FILES])
        help_ = f"give a file in it: {shown}" if inside else "give the path of a `.mia` file"
        return None, error("E0801", f"`{path}` is a folder").help(help_)
    except UnicodeDecodeError as problem:
        if problem.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return None, error("E0105", f"`{path}` is UTF-16 text, and specs are UTF-8").help("save it as UTF-8")
        if b"\0" in problem.object:
            return None, error("E0105", f"`{path}` is not text").help(GIVE_A_SPEC)
        line = problem.object[: problem.start].count(b"\n") + 1
        finding = error("E0105", f"`{path}` is not UTF-8 text: line {line} cannot be read")
        is_spec = path.suffix == ".mia"
        return None, finding.help(
            "save it as UTF-8, the default of most editors" if is_spec else "give the path of a `.mia` file"
        )
    except OSError as problem:
        if problem.errno == errno.EFBIG:
            finding = error("E0105", f"`{path}` is too large for a spec: {problem.strerror}")
            return None, finding.help(GIVE_A_SPEC)
        return None, error("E0801", f"`{path}` cannot be read: {problem.strerror}").help(
            "give a file that you may read"
        )


def _which_file(path: Path) -> str:
    """What a file that is not there may have been: one beside it with a like name, or one of the few there are."""
    suffix = path.suffix or ".mia"
    beside = (
        sorted(each.name for each in path.parent.glob(f"*{suffix}") if each.is_file()) if path.parent.is_dir() else []
    )
    if near := closest(path.stem, [Path(name).stem for name in beside]):
        return f"did you mean `{path.with_name(near[0] + suffix)}`?"
    if not path.parent.is_dir():
        return f"there is no folder `{path.parent}` either"
    if suffix != ".mia":
        return "give the path of a file that exists"
    shown = ", ".join(f"`{name}`" for name in beside[:MOST_FILES]) + (", …" if len(beside) > MOST_FILES else "")
    return f"here are {shown}" if beside else "`mialang init` writes a first spec"


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` pairs of `--set`.

    Raises:
        UnusableError: one is no pair, or a name is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name.isidentifier():
            raise UnusableError(f"`--set {pair}` is not NAME=VALUE", "write for example `--set epochs=20`")
        if name in found:
            raise UnusableError(f"`--set` gives `{name}` twice", "keep one of them")
        found[name] = value
    return found


def checked(path: Path, pairs: Sequence[str], stream: TextIO, *, whole: bool = True) -> tuple[Audit, list[Diagnostic]]:
    """Read and check a spec; show what is found, and end where there is an error. What is left is warnings.

    Args:
        path: of the spec.
        pairs: settings of its parameters.
        stream: where findings are shown.
        whole: whether it must ask something; otherwise a threat alone will do.
    """
    from mialang.meaning.check import check  # noqa: PLC0415 - `--help` and `--version` wait for nothing

    source, problem = read_source(path)
    if source is None:
        assert problem is not None
        show_findings([problem], stream)
        raise typer.Exit(Exit.SPEC_WRONG)
    audit, findings = check(source, path, settings_of(pairs))
    if not whole:
        findings = [finding for finding in findings if finding.code != ASKS_NOTHING]
    show_findings(findings, stream)
    if audit is None or any(finding.is_error for finding in findings):
        say(f"{path}: {count_words(findings)}", stream)
        raise typer.Exit(Exit.SPEC_WRONG)
    return audit, findings


def write_text(path: Path, text: str) -> None:
    """Write a file that was asked for; end where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        refuse(
            f"`{path}` cannot be written: {problem.strerror}",
            "choose a file in a folder that exists and that you may write to",
            Exit.BROKEN,
        )


def refuse(title: str, help_: str = "", code: Exit = Exit.SPEC_WRONG, number: str = "E0801") -> NoReturn:
    """Say what is wrong with a request, and end."""
    show_findings([error(number, title).help(help_)], sys.stderr)
    raise typer.Exit(code)


def store_folder(given: Path | None) -> Path:
    """Where the store lies: `--store`, else MIALANG_STORE, else `.mialang/` in the working directory."""
    if given is not None:
        return given
    return Path(os.environ.get("MIALANG_STORE") or ".mialang")
