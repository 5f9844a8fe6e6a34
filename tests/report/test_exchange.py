"""SARIF and JUnit: what a code host and a build server read of a run, and nothing private in either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from mialang.report.junit import as_junit
from mialang.report.sarif import address, as_sarif
from tests.report.audits import Audit, audit, limit

HOSTILE = 'a "gate" <x> & \x00 \x1b[31m ✓'
FINDING = {
    "code": "W0307", "severity": "warning", "title": "a defense is bypassed", "notes": ["why"], "helps": ["what to do"],
    "at": {"file": "audit.mia", "line": 7, "column": 3, "end_line": 7, "end_column": 9, "text": "here"}, "also": [],
}  # fmt: skip

# What SARIF 2.1.0 says of the objects that a log of ours holds: keys that must be there, and all keys that may be.
OBJECTS: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"results", "invocations", "automationDetails", "columnKind"}),
    "driver": ({"name"}, {"version", "rules"}),
    "rule": ({"id"}, {"shortDescription"}),
    "invocation": ({"executionSuccessful"}, {"toolExecutionNotifications"}),
    "notification": ({"message"}, {"level", "descriptor", "properties"}),
    "result": ({"message"}, {"ruleId", "level", "locations", "partialFingerprints", "properties"}),
    "region": ({"startLine"}, {"startColumn"}),
}


def holds(kind: str, value: dict[str, Any]) -> None:
    needed, allowed = OBJECTS[kind]
    assert needed <= value.keys() <= needed | allowed, (kind, value.keys())


def is_valid(log: dict[str, Any]) -> None:
    """The log obeys the rules of SARIF that concern what it holds."""
    holds("log", log)
    assert log["version"] == "2.1.0"
    for run in log["runs"]:
        holds("run", run)
        holds("driver", run["tool"]["driver"])
        ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(ids) == len(set(ids))
        for rule in run["tool"]["driver"]["rules"]:
            holds("rule", rule)
        for invocation in run["invocations"]:
            holds("invocation", invocation)
            for note in invocation["toolExecutionNotifications"]:
                holds("notification", note)
                assert note["message"]["text"]
        for result in run["results"]:
            holds("result", result)
            assert result["ruleId"] in ids
            assert result["level"] in ("none", "note", "warning", "error")
            assert result["message"]["text"]
            assert all(isinstance(value, str) for value in result.get("partialFingerprints", {}).values())
            for location in result.get("locations", []):
                region = location["physicalLocation"]["region"]
                holds("region", region)
                assert region["startLine"] >= 1
                assert region["startColumn"] >= 1
                assert " " not in location["physicalLocation"]["artifactLocation"]["uri"]


@pytest.fixture
def made(tmp_path: Path) -> Audit:
    return audit(tmp_path)


def results(made: Audit) -> list[dict[str, Any]]:
    log = json.loads(json.dumps(as_sarif(made.record())))
    is_valid(log)
    found: list[dict[str, Any]] = log["runs"][0]["results"]
    return found


def test_sarif_holds_each_rule_that_does_not_hold_at_its_line(made: Audit) -> None:
    found = results(made)
    assert [(each["ruleId"], each["level"], each["properties"]["status"]) for each in found] == [
        ("require", "error", "fail"),
        ("require", "warning", "inconclusive"),
        ("require", "error", "error"),
    ]
    says = "leaks: fail: require leak.gain <= 10 %\nnone(): 66.7 %, limit ≤ 10.0 %"
    assert found[0]["message"]["text"] == says
    assert found[0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 8, "startColumn": 3}


def test_a_warning_and_a_control_are_no_errors(made: Audit) -> None:
    made.gates = []
    made.gate("warned", limit("<=", 0.1, verb="warn"), limit(">=", 0.9, verb="control"))
    assert {(each["ruleId"], each["level"]) for each in results(made)} == {("warn", "warning"), ("control", "warning")}


def test_a_rule_keeps_its_fingerprint_from_run_to_run(made: Audit) -> None:
    before = [each["partialFingerprints"] for each in results(made)]
    made.changes = {"seed": 99}
    assert [each["partialFingerprints"] for each in results(made)] == before
    assert len({str(each) for each in before}) == len(before)


def test_findings_of_the_spec_and_failed_steps_are_told(made: Audit) -> None:
    made.findings = (FINDING,)
    found = [each for each in results(made) if each["ruleId"] == "W0307"]
    assert found[0]["message"]["text"] == "a defense is bypassed\nnote: why\nhelp: what to do"
    assert found[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "audit.mia"
    invocation = as_sarif(made.record())["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert "the metric broke" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    made.outcome["failures"] = {}
    assert as_sarif(made.record())["runs"][0]["invocations"][0]["executionSuccessful"] is True


def test_a_file_has_an_address_that_a_code_host_can_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address("specs/my audit.mia") == "specs/my%20audit.mia"
    assert address(str(tmp_path / "specs" / "audit.mia")) == "specs/audit.mia"
    assert address("/somewhere/else/a b.mia") == "file:///somewhere/else/a%20b.mia"


# -- JUnit -----------------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_a_gate_and_a_case_a_rule_and_cell(made: Audit) -> None:
    root = ET.fromstring(as_junit(made.record()))
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["holds", "leaks", "unclear", "broken", "steps of the run"]
    counts = {name: (each.get("tests"), each.get("failures"), each.get("errors")) for name, each in suites.items()}
    assert counts["holds"] == ("2", "0", "0")
    assert counts["leaks"] == ("1", "1", "0")
    assert counts["unclear"] == ("3", "0", "3")
    assert counts["broken"] == ("1", "0", "1")
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("8", "1", "5")
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert "66.7 %" in str(failure.get("message"))
    assert "the metric broke" in str(suites["steps of the run"][0][0].get("message"))


def test_what_is_not_decided_is_never_a_skipped_case(made: Audit) -> None:
    root = ET.fromstring(as_junit(made.record()))
    assert not root.findall(".//skipped")
    kinds = {problem.get("type") for problem in root.findall("testsuite[@name='unclear']/testcase/error")}
    assert kinds == {"require: inconclusive", "require: not evaluated"}


def test_a_warning_passes_and_says_so(made: Audit) -> None:
    made.gates = []
    made.gate("warned", limit("<=", 0.1, verb="warn"))
    suite = ET.fromstring(as_junit(made.record()))[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert str(suite.findtext("testcase/system-out")).startswith("warning, fail: none(): 66.7 %")


def test_a_rule_without_a_cell_is_no_pass(made: Audit) -> None:
    made.gates = []
    made.gate("empty", limit("<=", 0.9, cells=()))
    suite = ET.fromstring(as_junit(made.record()))[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert [each["level"] for each in results(made)] == ["warning"]


# -- both ------------------------------------------------------------------------------------------------------------


def test_hostile_names_stay_text(made: Audit) -> None:
    made.gates = []
    made.gate(HOSTILE, limit("<=", 0.1))
    made.fail("victim", HOSTILE, HOSTILE, HOSTILE)
    root = ET.fromstring(as_junit(made.record()))
    assert root[0].get("name") == HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    assert results(made)[0]["properties"]["gate"] == HOSTILE


def test_neither_holds_anything_private(made: Audit) -> None:
    """Names of classes are those of people here, and the pixels are known."""
    written = json.dumps(as_sarif(made.record())) + as_junit(made.record())
    assert "Person" not in written
    assert "base64" not in written
    assert "/somewhere/private/audit.mia" not in as_junit(made.record())
