"""A part of an audit, and two runs side by side, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mialang.engine.runs import Run
from mialang.engine.store import Store
from tests.command import Answer, mialang

TINY = Path(__file__).parent / "good" / "tiny.mia"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny audit, run in one cell first and then as a whole."""
    made = tmp_path_factory.mktemp("audit")
    (made / "audit.mia").write_text(TINY.read_text())
    part = mialang(
        "run", "audit.mia", "--threads", "1", "--select", "cell:defense=none", "--format", "json", folder=made
    )
    (made / "part.json").write_text(part.out)
    assert part.code == 3, part.screen
    whole = mialang("run", "audit.mia", "--threads", "1", folder=made)
    assert whole.code == 0, whole.screen
    return made


def runs(folder: Path) -> list[str]:
    return [each.id for each in Run.every(Store(folder / ".mialang"))]


def test_cells_that_are_not_selected_are_not_evaluated_and_never_pass(folder: Path) -> None:
    verdict = json.loads((folder / "part.json").read_text())
    assert verdict["status"] == "inconclusive"
    for row in verdict["measurements"]:
        for view in ("value", "blind", "baseline", "gain"):
            if row["cell"]["defense"] == "none()":
                assert row[view] is None or "point" in row[view]
            elif row[view] is not None:
                assert row[view] == {"status": "not evaluated", "reason": "it was not selected"}
    cells = [cell for gate in verdict["gates"] for rule in gate["rules"] for cell in rule["cells"]]
    assert {cell["status"] for cell in cells if cell["cell"]["defense"] != "none()"} == {"inconclusive"}


def test_a_run_of_a_part_leaves_the_rest_to_a_later_run(folder: Path) -> None:
    part, whole = (
        json.loads((folder / ".mialang" / "runs" / name / "outcome.json").read_text()) for name in runs(folder)[:2]
    )
    assert part["nodes"].keys() < whole["nodes"].keys()
    assert all(whole["nodes"][name]["cached"] for name in part["nodes"])
    assert all(whole["nodes"][name]["output"] == part["nodes"][name]["output"] for name in part["nodes"])


def test_what_is_selected_without_what_it_needs_is_said_and_is_no_pass(folder: Path) -> None:
    done = mialang("run", "audit.mia", "--store", "other", "--select", "utility", folder=folder)
    assert done.code == 3
    assert "they rest on" in done.out
    assert "Put a `+` in front of a name" in done.out
    planned = mialang("plan", "audit.mia", "--store", "other", "--select", "utility", folder=folder)
    assert "neither selected nor known" in planned.out
    whole = mialang("plan", "audit.mia", "--store", "other", "--select", "+utility", folder=folder)
    assert "neither selected nor known" not in whole.out


def test_a_saved_plan_keeps_its_selection(folder: Path) -> None:
    assert mialang("plan", "audit.mia", "--select", "+utility", "-o", "part.plan.json", folder=folder).code == 0
    done = mialang("run", "part.plan.json", "--threads", "1", "--format", "json", folder=folder)
    rows = json.loads(done.out)["measurements"]
    assert {row["measurement"] for row in rows if "point" in row["value"]} == {"utility"}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("wanted", "title", "help_"),
    [
        ("utlity", "nothing in this audit is called `utlity`", "did you mean `utility`?"),
        ("nope", "nothing in this audit is called `nope`", "there is `"),
        ("failed:tomorrow", "there is no run called `tomorrow`", "the newest run is `"),
    ],
)
def test_a_selection_of_nothing_is_refused(folder: Path, command: str, wanted: str, title: str, help_: str) -> None:
    last = runs(folder)[1]
    done = mialang(command, "audit.mia", "--select", wanted.replace("last", last), folder=folder)
    assert done.code == 2
    assert title.replace("last", last) in done.err
    assert help_ in done.err


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        ("changed:last", "nothing has changed since the run `last`"),
        ("failed:last", "nothing failed in the run `last`"),
    ],
)
def test_where_an_earlier_run_left_nothing_to_do_that_is_said_and_is_no_error(
    folder: Path, command: str, wanted: str, title: str
) -> None:
    name, before = runs(folder)[1], runs(folder)
    done = mialang(command, "audit.mia", "--select", wanted.replace("last", name), folder=folder)
    assert (done.code, done.out) == (0, "")
    assert title.replace("last", name) in done.err
    assert "error[" not in done.err
    assert runs(folder) == before


def test_a_node_that_is_in_no_run_is_answered_with_some_that_are(folder: Path) -> None:
    done = mialang("why", runs(folder)[0], "nope", folder=folder)
    assert done.code == 2
    assert "the run has no node `nope`" in done.err
    assert "nodes are `" in done.err


def compared(folder: Path, *more: str) -> Answer:
    return mialang("diff", *more, folder=folder)


def test_a_run_differs_from_itself_in_nothing(folder: Path) -> None:
    done = compared(folder, runs(folder)[1], runs(folder)[1])
    assert (done.code, "equal: spec" in done.out) == (0, True)
    assert json.loads(compared(folder, runs(folder)[1], runs(folder)[1], "--format", "json").out)["equal"] is True


def test_a_changed_audit_is_told_in_spec_plan_verdict_and_figures(folder: Path) -> None:
    (folder / "changed.mia").write_text(TINY.read_text().replace("gan_steps = 5", "gan_steps = 6"))
    before = runs(folder)[1]
    changed = mialang("plan", "changed.mia", "--select", f"changed:{before}", folder=folder)
    assert "wgan_gp (attack)" in changed.out
    assert mialang("run", "changed.mia", "--threads", "1", folder=folder).code == 0
    done = compared(folder, before, "last")
    assert done.code == 1
    assert "wgan_gp (attack) ×2: steps 5 → 6" in done.out
    assert "(within the intervals)" in done.out
    assert "results: the same" in done.out
    made = json.loads(compared(folder, before, "last", "--format", "json").out)
    assert made["plan"]["same"] + made["plan"]["only_what_they_rest_on"] > 0
    assert {figure["within_intervals"] for figure in made["figures"]} <= {True, False, None}
    why = mialang("why", "last", "wgan_gp", folder=folder)
    assert "steps 5 → 6" in why.out
    known = mialang("why", "last", "victim", folder=folder)
    assert "known already" in known.out
    assert "the store had its result" in known.out


def test_runs_that_do_not_exist_are_said(folder: Path) -> None:
    done = compared(folder, "last", "tomorrow")
    assert done.code == 2
    assert "there is no run called `tomorrow`" in done.err
