"""A run as a SARIF 2.1.0 log, for code hosts: each rule that does not hold, at its line of the spec. Nothing private."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import mialang
from mialang.plan.model import digest
from mialang.report.record import Record
from mialang.report.sections.judgement import RuleView, rule_view
from mialang.report.verdict import GateVerdict, RuleVerdict

Json = Any
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    "require": "a requirement of a gate",
    "control": "a positive control of a gate: where it does not hold, the gate proves nothing",
    "warn": "a warning of a gate: it never fails the gate",
    "step": "a step of the run",
}


def as_sarif(record: Record) -> dict[str, Json]:
    """The log of a run.

    A rule that holds leaves no result. A failed requirement, and one that could not be judged, are errors; a control
    that does not hold, a requirement without a clear answer and a warning are warnings. Steps that failed are
    notifications of the invocation, and the findings of the spec stand among the results under their own codes.
    """
    results = [*_verdicts(record), *map(_finding, _findings(record))]
    known = {name: RULES[name] for name in ("require", "control", "warn")}
    known.update({str(each["code"]): str(each["title"]) for each in _findings(record)})
    driver = {
        "name": "mialang",
        "version": mialang.__version__,
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in known.items()],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": f"mialang/{PurePath(record.plan.spec_name).name}/{record.run.id}"},
                "invocations": [_invocation(record)],
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _invocation(record: Record) -> dict[str, Json]:
    failures = record.outcome.get("failures", {})
    return {
        "executionSuccessful": bool(record.outcome) and not failures,
        "toolExecutionNotifications": [
            {
                "level": "error",
                "message": {"text": _lines(failure["title"], *_tail([failure["note"]], [failure["help"]]))},
                "descriptor": {"id": "step"},
                "properties": {"node": name},
                **({"locations": [_location(*_parsed(place))]} if (place := record.plan.nodes[name].place) else {}),
            }
            for name, failure in failures.items()
        ],
    }


def _verdicts(record: Record) -> Iterator[dict[str, Json]]:
    for gate in record.verdict.gates:
        for rule in gate.rules:
            if rule.status != "pass":
                yield _result(gate, rule, rule_view(rule, record), record)


def _result(gate: GateVerdict, rule: RuleVerdict, view: RuleView, record: Record) -> dict[str, Json]:
    severe = rule.status == "error" or (rule.status == "fail" and rule.rule.verb == "require")
    level = f" {view.confidence}" if view.confidence else ""
    says = f"{gate.title}: {view.mark.word}: {rule.rule.verb} {view.text}{level}"
    cells = [cell.words for cell in view.cells if cell.mark.word != "pass"]
    own = {"gate": gate.title, "rule": rule.rule.text, "verb": rule.rule.verb}
    return {
        "ruleId": rule.rule.verb,
        "level": "error" if severe else "warning",
        "message": {"text": _lines(says, *cells or [view.sentence])},
        "locations": [_location(*_parsed(rule.rule.place))],
        "partialFingerprints": {"mialangRule/v1": digest(own)},
        "properties": {"gate": gate.title, "status": view.mark.word, "run": record.run.id},
    }


def _findings(record: Record) -> list[Mapping[str, Json]]:
    return [each for each in record.plan.findings if isinstance(each, Mapping)]


def _finding(finding: Mapping[str, Json]) -> dict[str, Json]:
    made: dict[str, Json] = {
        "ruleId": finding["code"],
        "level": finding["severity"],
        "message": {"text": _lines(finding["title"], *_tail(finding["notes"], finding["helps"]))},
    }
    if place := finding.get("at"):
        made["locations"] = [_location(place["file"], place["line"], place["column"])]
    return made


def _tail(notes: list[str], helps: list[str]) -> list[str]:
    return [f"note: {note}" for note in notes if note] + [f"help: {help_}" for help_ in helps if help_]


def _lines(*lines: str) -> str:
    return "\n".join(lines)


def _parsed(place: str) -> tuple[str, int, int]:
    """File, line and column of `name:line:column`."""
    name, line, column = place.rsplit(":", 2)
    return name, int(line), int(column)


def _location(name: str, line: int, column: int) -> dict[str, Json]:
    region = {"startLine": line, "startColumn": column}
    return {"physicalLocation": {"artifactLocation": {"uri": address(name)}, "region": region}}


def address(name: str) -> str:
    """A file's name as a URI: relative to the working directory where it lies below it, as code hosts want it."""
    path = Path(name)
    if path.is_absolute():
        if not path.is_relative_to(Path.cwd()):
            return path.as_uri()
        path = path.relative_to(Path.cwd())
    return quote(path.as_posix())
