"""The spec as it was run, line by line; what was found when it was checked; and what it takes to run it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from mialang.plan.model import Plan
from mialang.report.drawing import draw
from mialang.report.phrases import matrix_words
from mialang.report.record import Record
from mialang.report.svg import tag
from mialang.syntax.grammar import lex

Json = Any
LOOKS = {
    "COMMENT": "comment", "DOC": "doc", "UNCLOSED_DOC": "doc", "STRING": "string", "UNCLOSED": "string",
    "INT": "number", "NUMBER": "number", "QUANTITY": "number",
    "IMPORT": "word", "PARAM": "word", "LET": "word", "NOT": "word", "TRUE": "word", "FALSE": "word", "VERB": "verb",
    "MIA": "word", "AT": "word", "CONFIDENCE": "word", "WHERE": "word", "BECAUSE": "word", "AS": "word", "AND": "word",
    "OR": "word", "IN": "word",
}  # fmt: skip


@dataclass(frozen=True)
class FindingView:
    """A finding of the check."""

    code: str
    severity: str
    title: str
    line: str
    notes: tuple[str, ...]
    helps: tuple[str, ...]


@dataclass(frozen=True)
class SpecificationView:
    """What the section says."""

    name: str
    lines: tuple[Markup, ...]
    facts: tuple[tuple[str, str], ...]
    versions: str
    findings: tuple[FindingView, ...]
    drawing: Markup


def view(record: Record) -> SpecificationView:
    """What the section says."""
    plan = record.plan
    return SpecificationView(
        name=PurePath(plan.spec_name).name,
        lines=tuple(coloured(plan.spec)),
        facts=tuple(_facts(record)),
        versions=", ".join(f"{name} {version}" for name, version in sorted(_versions(plan))),
        findings=tuple(_finding(each) for each in plan.findings if isinstance(each, Mapping)),
        drawing=draw(plan),
    )


def coloured(text: str) -> Iterable[Markup]:
    """The lines of a spec, each token in its colour."""
    line: list[Markup] = []
    heads: set[int] = set()
    tokens = list(lex(text, everything=True))
    for number, token in enumerate(tokens):
        if token.type == "NAME" and _begins_line(text, token.start_pos or 0):
            heads.add(number)
    for number, token in enumerate(tokens):
        look = (
            "block"
            if number in heads and text[token.start_pos or 0 :].split("\n", 1)[0].rstrip().endswith("{")
            else LOOKS.get(token.type, "")
        )
        for place, part in enumerate(str(token).split("\n")):
            if place:
                yield Markup("").join(line)
                line = []
            if part:
                line.append(tag("span", part, class_=look) if look else Markup("{}").format(part))
    if line:
        yield Markup("").join(line)


def _begins_line(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()


def _facts(record: Record) -> Iterable[tuple[str, str]]:
    plan = record.plan
    evidence = [action.evidence for action in record.actions.values()]
    threads = sorted({int(each["threads"]) for each in evidence if "threads" in each})
    devices = sorted({str(each["device"]) for each in evidence if "device" in each})
    yield "run", record.run.id
    yield "plan", plan.key
    yield "mialang", plan.mialang
    yield "root seed", f"{plan.seed}; every other seed derives from it, from what a step computes, and from the repeat"
    yield "matrix", matrix_words(plan)
    yield "nodes", f"{sum(not node.passes_on for node in plan.nodes.values()):,}"
    yield "device", ", ".join(devices) or "nothing was computed"
    yield (
        "threads",
        ", ".join(map(str, threads)) + " (equal bytes are promised at equal thread count)"
        if threads
        else "not recorded",
    )


def _versions(plan: Plan) -> set[tuple[str, int]]:
    return {(node.operator, node.version) for node in plan.nodes.values() if not node.passes_on}


def _finding(found: Mapping[str, Json]) -> FindingView:
    at = found.get("at") or {}
    return FindingView(
        code=str(found.get("code", "")),
        severity=str(found.get("severity", "warning")),
        title=str(found.get("title", "")),
        line=str(at.get("line", "")),
        notes=tuple(map(str, found.get("notes", ()))),
        helps=tuple(map(str, found.get("helps", ()))),
    )
