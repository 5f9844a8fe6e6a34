"""Bad specs: every kind of mistake is answered with its cause in words, the lines concerned, and one next step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import mialang
from tests.snapshots import FOLDER, SPECS, shown, snapshot

FINDING = re.compile(r"^(?=(?:error|warning)\[[EW]\d{4}\]: )", re.MULTILINE)
QUOTED = re.compile(r"^ *\d+ \| .*$", re.MULTILINE)  # lines of the spec itself
UNFRIENDLY = re.compile(r"\b(invalid|illegal|malformed|traceback|exception|nonetype|object at 0x)\b", re.IGNORECASE)
REFRESH = "read it as a reader would, then run `python -m tests.docs.refresh`"
WRONG = [spec for spec in SPECS if "error[" in snapshot(spec).read_text(encoding="utf-8")]


def test_there_are_dozens_and_nothing_stands_beside_them() -> None:
    assert len(SPECS) >= 100
    assert {path.name for path in FOLDER.iterdir()} == {path.name for spec in SPECS for path in (spec, snapshot(spec))}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_bad_spec_is_answered_word_for_word(spec: Path) -> None:
    answer = shown(spec)
    assert answer.screen == snapshot(spec).read_text(encoding="utf-8"), REFRESH
    assert answer.code == (2 if spec in WRONG else 0)
    before, *findings = FINDING.split(answer.out)
    assert not before
    assert findings
    for finding in findings:
        assert finding.count("\n   = help: ") + finding.count("\n  = help: ") + finding.count("\n = help: ") == 1
        assert spec.name in finding or "-->" in finding, "a finding has a place, or names the file"
        assert not UNFRIENDLY.search(QUOTED.sub("", finding)), finding


@pytest.mark.parametrize("spec", WRONG[::10], ids=lambda spec: spec.stem)
def test_a_bad_spec_is_not_run_and_leaves_nothing_behind(spec: Path, tmp_path: Path) -> None:
    for command in (("plan",), ("run",), ("compile", "--to", "python")):
        answer = mialang(*command, spec, folder=tmp_path)
        assert answer.code == 2
        assert FINDING.search(answer.err)
        assert list(tmp_path.iterdir()) == []


def test_several_files_are_checked_in_one_go() -> None:
    answer = mialang("check", "key_unknown.mia", "file_empty.mia", "../good/tiny.mia", folder=FOLDER)
    assert answer.code == 2
    assert [line for line in answer.out.splitlines() if re.match(r"\S+\.mia: ", line)] == [
        "key_unknown.mia: 1 error", "file_empty.mia: 1 error", "../good/tiny.mia: 2 warnings",
    ]  # fmt: skip
