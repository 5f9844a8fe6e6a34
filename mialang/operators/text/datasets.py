"""Text data that a spec can name: lines, JSONL and CSV files, PersonaChat, tinyshakespeare.

Nothing is dropped in silence: blank lines, lines that are no UTF-8 and repeated records are counted as evidence.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mialang.operators.artefacts import Array
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.texts import Texts, identity

PERSONA = "my persona: "  # stands before each line of a persona


def lines(*, path: str, unique: bool, limit: int | None, run: Run) -> Texts:
    """Load a plain file, gzipped or not: one text a line."""
    return _kept(_decoded(_raw(run.find(path)), run), None, unique=unique, limit=limit, run=run, source=f"`{path}`")


def jsonl(*, path: str, field: str, label: str | None, unique: bool, limit: int | None, run: Run) -> Texts:
    """Load a file with one JSON object a line, gzipped or not; `field` holds the text."""
    texts: list[str] = []
    labels: list[Any] = []
    for number, line in enumerate(_decoded(_raw(run.find(path)), run), start=1):
        if not line.strip():
            texts.append("")
            labels.append(None)
            continue
        try:
            row = json.loads(line)
            texts.append(_text(row[field], field, f"line {number:,}"))
            labels.append(None if label is None else row[label])
        except (ValueError, KeyError, TypeError) as problem:
            raise OperatorError(
                f"line {number:,} of `{path}` is no JSON object with `{field}`" + (f" and `{label}`" if label else ""),
                note=str(problem),
                help="name the field that holds the text: `field = …`",
            ) from problem
    return _kept(texts, labels if label else None, unique=unique, limit=limit, run=run, source=f"`{path}`")


def table(
    *, path: str, column: str, label: str | None, separator: str, unique: bool, limit: int | None, run: Run
) -> Texts:
    """Load a CSV file with a header, gzipped or not; `column` holds the text."""
    whole = "\n".join(_decoded(_raw(run.find(path)), run))
    reader = csv.DictReader(io.StringIO(whole), delimiter=separator)
    known = reader.fieldnames or ()
    for name in (column, label):
        if name is not None and name not in known:
            raise OperatorError(
                f"`{path}` has no column `{name}`",
                note=f"its header names {', '.join(known)}",
                help="name the column that holds the text: `column = …`, and its `separator`",
            )
    rows = list(reader)
    texts = [row[column] or "" for row in rows]
    return _kept(
        texts, [row[label] for row in rows] if label else None, unique=unique, limit=limit, run=run, source=f"`{path}`"
    )


def personachat(*, split: str, part: str, limit: int | None, path: str | None, run: Run) -> Texts:
    """Load PersonaChat: JSON with `your_persona`, `partner_persona` and `conv` per dialogue; each record once."""
    halves = {"dev": ["dev"], "test": ["test"], "all": ["dev", "test"]}[split]
    found: list[str] = []
    for half in halves:
        name = f"personachat_{half}.json"
        guesses = [path] if path else [f"text/{name}.gz", f"{name}.gz", f"text/{name}", name]
        file = run.find(*guesses)
        try:
            dialogues = json.loads(_raw(file).decode())
            for dialogue in dialogues:
                if part in ("personas", "all"):
                    persona = (*dialogue["your_persona"], *dialogue["partner_persona"])
                    found += [each.removeprefix(PERSONA) for each in persona]
                if part in ("utterances", "all"):
                    found += dialogue["conv"]
        except (ValueError, KeyError, TypeError) as problem:
            raise OperatorError(
                f"`{file.name}` is not PersonaChat as GEIA released it", note=str(problem), help="fetch the file again"
            ) from problem
    return _kept(found, None, unique=True, limit=limit, run=run, source="PersonaChat")


def tinyshakespeare(*, quarters: Iterable[int] | None, by: str, limit: int | None, path: str | None, run: Run) -> Texts:
    """Load tinyshakespeare (1,115,394 bytes): its speeches, or its lines, of all or some quarters of its bytes."""
    guesses = (
        [path] if path else [f"{folder}tinyshakespeare.txt{end}" for folder in ("text/", "") for end in (".gz", "")]
    )
    whole = _raw(run.find(*guesses)).decode()
    speeches = [speech.strip() for speech in whole.split("\n\n") if speech.strip()]
    sizes = np.array([len(speech) + 2 for speech in speeches])
    quarter = 1 + (4 * (np.cumsum(sizes) - sizes)) // sizes.sum()
    wanted = {1, 2, 3, 4} if quarters is None else set(quarters)
    if not wanted <= {1, 2, 3, 4}:
        raise OperatorError(f"there is no quarter {min(wanted - {1, 2, 3, 4})}", help="quarters are 1 to 4")
    chosen = [speech for speech, part in zip(speeches, quarter.tolist(), strict=True) if part in wanted]
    if by == "line":
        chosen = [line for speech in chosen for line in speech.split("\n")]
    return _kept(chosen, None, unique=False, limit=limit, run=run, source="tinyshakespeare")


def _raw(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as problem:
        raise OperatorError(
            f"`{path.name}` cannot be read", note=str(problem), help="fetch the file again"
        ) from problem


def _decoded(data: bytes, run: Run) -> list[str]:
    """Return the lines that are UTF-8; count the others."""
    good: list[str] = []
    bad = 0
    for raw in data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n"):
        try:
            good.append(raw.decode())
        except UnicodeDecodeError:
            bad += 1
    run.note("lines_not_utf8", bad)
    return good


def _text(value: Any, field: str, where: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{field}` of {where} is {type(value).__name__}, not text")
    return value


def _kept(
    texts: Iterable[str], labels: list[Any] | None, *, unique: bool, limit: int | None, run: Run, source: str
) -> Texts:
    """Return the texts that are not blank, each record once where that is asked; note what was left out."""
    every = list(texts)
    full = [place for place, text in enumerate(every) if text.strip()]
    kept = full
    if unique:
        first = {identity(every[place]): place for place in reversed(full)}
        kept = sorted(first.values())
    run.note("lines_blank", len(every) - len(full))
    run.note("records_repeated", len(full) - len(kept))
    if not kept:
        raise OperatorError(f"{source} holds no text", note=f"{len(every):,} lines, all of them blank or unreadable")
    ids, names = _ids([labels[place] for place in kept]) if labels is not None else (None, {})
    made = Texts(tuple(every[place] for place in kept), ids, names)
    made = made if limit is None else made.first(limit)
    run.note("records", len(made))
    return made


def _ids(labels: list[Any]) -> tuple[Array, dict[int, str]]:
    """Return class ids: whole numbers as they are, words numbered in alphabetical order from 0."""
    words = [str(label) for label in labels]
    if all(word.lstrip("-").isdigit() for word in words):
        return np.array([int(word) for word in words], dtype=np.int64), {}
    names = sorted(set(words))
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[word] for word in words], dtype=np.int64), dict(enumerate(names))
