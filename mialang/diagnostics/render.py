"""Findings as text for people, as JSON for machines, and as SARIF for code hosts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mialang.diagnostics.finding import Diagnostic, Label
from mialang.source import Source

TAB_WIDTH = 4


def as_text(finding: Diagnostic) -> str:
    """Draw a finding: header, the lines concerned with their labels, notes and helps."""
    head = f"{finding.severity}[{finding.code}]: {finding.title}"
    if finding.primary is None:
        return "\n".join([head, *(f"  = {line}" for line in _tail(finding))])
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
        lines.extend(_excerpt(source, marks, width))
    tail = _tail(finding)
    if tail:
        lines.append(f"{gutter} |")
        lines.extend(f"{gutter} = {line}" for line in tail)
    return "\n".join(lines)


def _tail(finding: Diagnostic) -> list[str]:
    return [f"note: {text}" for text in finding.notes] + [f"help: {text}" for text in finding.helps]


def _excerpt(source: Source, marks: list[tuple[Label, bool]], width: int) -> Iterable[str]:
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
        text = source.line(line)
        yield f"{line:>{width}} | {_printable(text)}".rstrip()
        for column, length, label, primary in sorted(by_line[line], key=lambda mark: (mark[0], not mark[3])):
            start = len(_printable(text[:column]))
            stop = max(start + 1, len(_printable(text[: column + length])))
            underline = ("^" if primary else "-") * (stop - start)
            yield f"{gutter} | {' ' * start}{underline} {label.text}".rstrip()
        previous = line


def _printable(text: str) -> str:
    expanded = text.expandtabs(TAB_WIDTH)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in expanded)


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
            "text": label.text,
        }

    return {
        "code": finding.code,
        "severity": finding.severity,
        "title": finding.title,
        "at": place(finding.primary) if finding.primary else None,
        "also": [place(label) for label in finding.others],
        "notes": list(finding.notes),
        "helps": list(finding.helps),
    }


def as_sarif(findings: Iterable[Diagnostic], version: str) -> dict[str, Any]:
    """Return findings as a SARIF 2.1.0 log with one run."""
    results = []
    codes: dict[str, str] = {}
    for finding in findings:
        codes.setdefault(finding.code, finding.title)
        result: dict[str, Any] = {
            "ruleId": finding.code,
            "level": finding.severity,
            "message": {"text": "\n".join([finding.title, *_tail(finding)])},
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
                location["message"] = {"text": label.text}
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
