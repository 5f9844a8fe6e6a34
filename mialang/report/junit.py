"""A run as JUnit XML, for build servers: a suite a gate, a case a rule and cell. Nothing private."""

from __future__ import annotations

import re
from pathlib import PurePath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mialang.report.record import Record
from mialang.report.sections.judgement import CellLine, RuleView, rule_view
from mialang.report.verdict import GateVerdict

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def as_junit(record: Record) -> str:
    """The page of a run.

    A requirement that fails is a failure. What has no clear answer is an error and no skipped case, because build
    servers count skipped cases as fine; so is a control that does not hold, since its gate then proves nothing. A
    warning never fails: its words stand in the output of its case. Steps that failed are a suite of their own.
    """
    name = PurePath(record.plan.spec_name).name
    suites = [_gate(gate, record, name) for gate in record.verdict.gates]
    if record.outcome.get("failures"):
        suites.append(_steps(record, name))
    root = Element("testsuites", name=_text(f"mialang {name}"), time=_seconds(record))
    root.extend(suites)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _gate(gate: GateVerdict, record: Record, name: str) -> Element:
    suite = Element("testsuite", name=_text(gate.title))
    properties = SubElement(suite, "properties")
    for key, value in (("run", record.run.id), ("seed", record.plan.seed), ("repeats", record.plan.repeats)):
        SubElement(properties, "property", name=key, value=str(value))
    for rule in gate.rules:
        view = rule_view(rule, record)
        level = f" {view.confidence}" if view.confidence else ""
        title = f"{rule.rule.verb} {view.text}{level}"
        for cell in view.cells:
            case = SubElement(
                suite, "testcase", classname=_text(f"{name}.{gate.title}"), name=_text(f"{title} [{cell.where}]")
            )
            _say(case, rule.rule.verb, view, cell)
        if not view.cells:
            case = SubElement(suite, "testcase", classname=_text(f"{name}.{gate.title}"), name=_text(title))
            _problem(case, "error", view.mark.word, view.sentence)
    return _counted(suite)


def _say(case: Element, verb: str, view: RuleView, cell: CellLine) -> None:
    word = cell.mark.word
    if word == "pass":
        return
    if verb == "warn":
        SubElement(case, "system-out").text = _text(f"warning, {word}: {cell.words}")
    elif word == "fail" and verb == "require":
        _problem(case, "failure", word, cell.words, view.because)
    else:
        _problem(case, "error", f"{verb}: {word}", cell.words, view.because)


def _steps(record: Record, name: str) -> Element:
    suite = Element("testsuite", name="steps of the run")
    for node, failure in record.outcome["failures"].items():
        case = SubElement(suite, "testcase", classname=_text(f"{name}.steps"), name=_text(node))
        _problem(
            case, "error", "failed", failure["title"], failure["note"], failure["help"], record.plan.nodes[node].place
        )
    return _counted(suite)


def _problem(case: Element, tag: str, kind: str, message: str, *more: str) -> None:
    problem = SubElement(case, tag, type=_text(kind), message=_text(message))
    problem.text = _text("\n".join(line for line in more if line))


def _counted(suite: Element) -> Element:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    return suite


def _seconds(record: Record) -> str:
    return f"{float(record.outcome.get('seconds', 0)):.3f}"


def _text(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
