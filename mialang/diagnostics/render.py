"""Findings as text for people, as JSON for machines, and as SARIF for code hosts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from mialang.diagnostics.finding import Diagnostic, Label
from mialang.diagnostics.secrets import VEIL, veiled
from mialang.source import Source, Span

TAB_WIDTH = 4
WIDEST = 160  # columns of a line that are shown; longer lines are cut around what is pointed at
LONGEST = 120  # characters of a quoted word or text that are shown
QUOTED = re.compile(r"""([`"])((?:(?!\1).)*)\1""", re.DOTALL)


def as_text(finding: Diagnostic) -> str:
    """Draw a finding: header, the lines concerned with their labels, notes and helps."""
    return drawn(finding, f"{finding.severity}[{finding.code}]: {_clipped(finding.title)}")


def drawn(finding: Diagnostic, head: str) -> str:
    """Draw a finding under a header of one's own."""
    if finding.primary is None:
        return "\n".join([head, *(f"  = {_clipped(line)}" for line in _tail(finding))])
    by_source: dict[Source, list[tuple[Label, bool]]] = {finding.primary.span.source: [(finding.primary, True)]}
    for label in finding.others:
        by_source.setdefault(label.span.source, []).append((label, False))
    width = max(
        len(str(source.position(label.span.end)[0])) for source, marks in by_source.items() for label, _ in marks
    )
    gutter = " " * width
    lines = [head]
    for number, (source, marks) in enumerate(by_source.items()):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{gutter} {arrow} {marks[0][0].span.place()}")
        lines.append(f"{gutter} |")
        lines.extend(_excerpt(source, marks, width, finding.hidden))
    tail = _tail(finding)
    if tail:
        lines.append(f"{gutter} |")
        lines.extend(f"{gutter} = {_clipped(line)}" for line in tail)
    return "\n".join(lines)


def _clipped(text: str) -> str:
    """A line of words that shows no secret, nothing that has no sign, and no quoted piece longer than anyone reads."""
    return _shown(QUOTED.sub(lambda found: f"{found[1]}{_short(found[2])}{found[1]}", veiled(text)))


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else word[: LONGEST - 1] + "…"


def _tail(finding: Diagnostic) -> list[str]:
    return [f"note: {text}" for text in finding.notes] + [f"help: {text}" for text in finding.helps]


def _excerpt(source: Source, marks: list[tuple[Label, bool]], width: int, hidden: tuple[Span, ...]) -> Iterable[str]:
    gutter = " " * width
    by_line: dict[int, list[tuple[int, int, Label, bool]]] = {}
    for label, primary in marks:
        line, column = source.position(label.span.start)
        last, end_column = source.position(max(label.span.end, label.span.start))
        length = (end_column - column) if last == line else len(source.line(line)) - column + 1
        by_line.setdefault(line, []).append((column - 1, max(1, length), label, primary))
    previous: int | None = None
    for line in sorted(by_line):
        if previous is not None and line > previous + 1:
            yield "..."
        text = _covered(source, line, hidden)
        marked = sorted(by_line[line], key=lambda mark: (mark[0], not mark[3]))
        first = _first_column(text, marked)
        cut = text[first : first + WIDEST]
        left, right = "…" * (first > 0), "…" * (len(text) > first + WIDEST)
        yield f"{line:>{width}} | {left}{_printable(cut)}{right}".rstrip()
        for column, length, label, primary in marked:
            if not first <= column <= first + WIDEST:
                continue
            start = len(left) + _columns(text[first:column])
            end = min(column + length, first + WIDEST)
            stop = max(start + 1, len(left) + _columns(text[first:end]))
            underline = ("^" if primary else "-") * (stop - start)
            yield f"{gutter} | {' ' * start}{underline} {label.text}".rstrip()
        previous = line


def _covered(source: Source, line: int, hidden: tuple[Span, ...]) -> str:
    """A line in which secrets are covered; every other character keeps its column."""
    text, start = source.line(line), source.line_starts[line - 1]
    for span in hidden:
        first, last = max(0, span.start - start), min(len(text), span.end - start)
        if span.source is source and first < last:
            text = text[:first] + re.sub(r"[^\s\"]", VEIL, text[first:last]) + text[last:]
    return veiled(text)


def _first_column(text: str, marked: list[tuple[int, int, Label, bool]]) -> int:
    """Where a line that is too long to be shown whole begins on the screen: so that what is pointed at is in sight."""
    if len(text) <= WIDEST:
        return 0
    column, length = next(((mark[0], mark[1]) for mark in marked if mark[3]), marked[0][:2])
    if column + length <= WIDEST:
        return 0
    return max(0, column - (WIDEST - min(length, WIDEST // 2)) // 2)


def _columns(text: str) -> int:
    """How many columns of a screen a text takes: ideographs take two, marks on the letter before them none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in _printable(text)
    )


def _printable(text: str) -> str:
    return _shown(text.expandtabs(TAB_WIDTH))


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def as_json(finding: Diagnostic) -> dict[str, Any]:
    """Return a finding as plain data."""

    def place(label: Label) -> dict[str, Any]:
        line, column = label.span.source.position(label.span.start)
        end_line, end_column = label.span.source.position(label.span.end)
        return {
            "file": label.span.source.name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "text": _clipped(label.text),
        }

    return {
        "code": finding.code,
        "severity": finding.severity,
        "title": _clipped(finding.title),
        "at": place(finding.primary) if finding.primary else None,
        "also": [place(label) for label in finding.others],
        "notes": [_clipped(text) for text in finding.notes],
        "helps": [_clipped(text) for text in finding.helps],
    }


def as_sarif(findings: Iterable[Diagnostic], version: str) -> dict[str, Any]:
    """Return findings as a SARIF 2.1.0 log with one run."""
    results = []
    codes: dict[str, str] = {}
    for finding in findings:
        codes.setdefault(finding.code, _clipped(finding.title))
        result: dict[str, Any] = {
            "ruleId": finding.code,
            "level": finding.severity,
            "message": {"text": "\n".join(map(_clipped, [finding.title, *_tail(finding)]))},
        }
        labels = ([finding.primary] if finding.primary else []) + list(finding.others)
        locations = []
        for label in labels:
            line, column = label.span.source.position(label.span.start)
            end_line, end_column = label.span.source.position(label.span.end)
            region = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
            location: dict[str, Any] = {
                "physicalLocation": {"artifactLocation": {"uri": label.span.source.name}, "region": region}
            }
            if label.text:
                location["message"] = {"text": _clipped(label.text)}
            locations.append(location)
        if locations:
            result["locations"] = locations[:1]
        if locations[1:]:
            result["relatedLocations"] = locations[1:]
        results.append(result)
    rules = [{"id": code, "shortDescription": {"text": title}} for code, title in sorted(codes.items())]
    driver = {"name": "mialang", "version": version, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
