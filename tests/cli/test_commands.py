"""Every command of the design: it exists, its help is worth reading, and it does what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from mialang.meaning.catalogue import library_recipes
from mialang.meaning.modules import Modules
from mialang.plan.emit import read_plan
from tests.command import mialang
from tests.specs import PARTS, spec

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "good" / "tiny.mia"
COMMANDS = ("check", "fmt", "plan", "compile", "run", "report", "attacks", "explain", "why", "schema", "init")
CROOKED = "mia 1\ndata   a:image.Digits{}\n"
STRAIGHT = "mia 1\ndata a : image.Digits {}\n"
LINE = re.compile(r"^ {2}(?P<name>\S.*?)(?: {2,}(?P<words>\S.*))?$", re.MULTILINE)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with a small sound spec."""
    (tmp_path / "tiny.mia").write_text(TINY.read_text())
    return tmp_path


# -- help ------------------------------------------------------------------------------------------------------------


def test_the_commands_are_those_of_the_design(tmp_path: Path) -> None:
    said = mialang("--help", folder=tmp_path)
    assert said.code == 0
    assert said.out == mialang(folder=tmp_path).out
    listed = re.findall(r"^ {2}(\w+) {2,}\S", said.out, re.MULTILINE)
    assert set(listed) >= set(COMMANDS)
    assert "Exit: 0 pass, 1 a gate failed, 2 the spec is wrong, 3 inconclusive, 4" in " ".join(said.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_what_each_option_is_for(command: str, tmp_path: Path) -> None:
    said = mialang(command, "--help", folder=tmp_path)
    assert said.code == 0
    usage, _, rest = said.out.partition("\n")
    assert usage.startswith(f"Usage: mialang {command}")
    summary = rest.strip().partition("\n\n")[0]
    assert summary.endswith(".")
    assert len(summary.split()) >= 6
    options = rest.partition("Options:\n")[2]
    for found in LINE.finditer(options):
        assert found["words"] or "\n" + " " * 10 in options, found["name"]
    assert mialang(command, "-h", folder=tmp_path).out == said.out


def test_the_version_is_told(tmp_path: Path) -> None:
    assert re.fullmatch(r"mialang \d+\.\d+\.\d+\n", mialang("--version", folder=tmp_path).out)


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_reports_every_file_and_ends_with_2_where_one_is_wrong(tiny: Path) -> None:
    assert mialang("check", "tiny.mia", folder=tiny).code == 0
    (tiny / "wrong.mia").write_text(TINY.read_text().replace("= other_digits", "= othr_digits"))
    (tiny / "broken.mia").write_text("mia 1\ndata {\n")
    said = mialang("check", "wrong.mia", "tiny.mia", "broken.mia", "gone.mia", folder=tiny)
    assert said.code == 2
    for text in (
        "did you mean `other_digits`?",
        "wrong.mia: ",
        "tiny.mia: ",
        "broken.mia: 1 error",
        "no file `gone.mia`",
    ):
        assert text in said.out, text


def test_check_for_machines_says_nothing_else_on_standard_output(tiny: Path) -> None:
    (tiny / "wrong.mia").write_text(TINY.read_text().replace("= other_digits", "= othr_digits"))
    said = mialang("check", "wrong.mia", "tiny.mia", "--format", "json", folder=tiny)
    assert said.code == 2
    found = json.loads(said.out)
    assert {each["severity"] for each in found} == {"error", "warning"}
    assert {"code", "severity", "title", "at", "also", "notes", "helps"} == set(found[0])


def test_a_parameter_is_set_from_the_command_line(tiny: Path) -> None:
    assert "2 warnings" in mialang("check", "tiny.mia", folder=tiny).out
    assert "1 warning" in mialang("check", "tiny.mia", "--set", "repeats=5", folder=tiny).out
    assert mialang("check", "tiny.mia", "--set", "repeats=0", folder=tiny).code == 2


# -- fmt -------------------------------------------------------------------------------------------------------------


def test_fmt_lays_out_once_and_check_changes_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "a.mia"
    spec.write_text(CROOKED)
    said = mialang("fmt", "--check", "a.mia", folder=tmp_path)
    assert (said.code, said.out, spec.read_text()) == (1, "a.mia: would change\n", CROOKED)
    assert mialang("fmt", "a.mia", folder=tmp_path).code == 0
    assert spec.read_text() == STRAIGHT
    said = mialang("fmt", "--check", "a.mia", folder=tmp_path)
    assert (said.code, said.out) == (0, "")


def test_fmt_leaves_alone_what_cannot_be_read(tmp_path: Path) -> None:
    spec = tmp_path / "a.mia"
    spec.write_text("mia 1\ndata   a {\n")
    said = mialang("fmt", "a.mia", folder=tmp_path)
    assert said.code == 2
    assert spec.read_text() == "mia 1\ndata   a {\n"
    assert "error[" in said.err


# -- plan, compile, schema ---------------------------------------------------------------------------------------------


def test_plan_says_what_will_run_and_writes_what_run_takes(tiny: Path) -> None:
    said = mialang("plan", "tiny.mia", "-o", "plan.json", folder=tiny)
    assert said.code == 0, said.err
    for text in ("threat insider", "attack inside: GMI", "needs input gradients", "× descend (attack)", "2 defense × 2 repeats",
                 "0 known already", "run it with: mialang run plan.json"):  # fmt: skip
        assert text in said.out, text
    made, findings = read_plan((tiny / "plan.json").read_text(), "plan.json")
    assert findings == []
    assert made is not None
    assert made.repeats == 2
    assert [found["code"] for found in made.findings] == ["W0308", "W0604"]


def test_a_plan_beyond_its_budget_is_refused(tiny: Path) -> None:
    text = TINY.read_text().replace("budget { time = 5 min }", "budget { queries = 10 queries }")
    (tiny / "tiny.mia").write_text(text)
    said = mialang("plan", "tiny.mia", folder=tiny)
    assert said.code == 2
    assert "error[E0701]" in said.err


def test_a_run_beyond_its_budget_of_questions_is_refused_as_its_plan_is(tmp_path: Path) -> None:
    """Baselines ask as well, which only the plan knows."""
    (tmp_path / "audit.mia").write_text(
        spec(
            threat=PARTS["threat"].replace("white_box()", "label_only(queries = 5_000 queries)"),
            attack="attack inside { against = insider  use = [BREPMI(gan_steps = 5, at_most = 50)] }",
            budget="budget { queries = 2_500 queries }",
        )
    )
    assert mialang("check", "audit.mia", folder=tmp_path).code == 0
    for command in ("plan", "run"):
        said = mialang(command, "audit.mia", folder=tmp_path)
        assert said.code == 2
        assert "error[E0701]: the attacks may ask up to " in said.err


@pytest.mark.parametrize(
    ("form", "beginning"), [("plan", "{"), ("python", '"""'), ("mermaid", "flowchart"), ("dot", "digraph")]
)
def test_compile_writes_every_form(form: str, beginning: str, tiny: Path) -> None:
    said = mialang("compile", "tiny.mia", "--to", form, folder=tiny)
    assert said.code == 0, said.err
    assert said.out.lstrip().startswith(beginning)
    assert mialang("compile", "tiny.mia", "--to", form, "-o", "out", folder=tiny).out == "wrote out\n"
    assert (tiny / "out").read_text().rstrip("\n") == said.out.rstrip("\n")


def test_the_root_seed_reaches_the_plan(tiny: Path) -> None:
    def plan_of(seed: str) -> str:
        return mialang("compile", "tiny.mia", "--seed", seed, folder=tiny).out

    assert plan_of("1") == plan_of("1")
    assert plan_of("1") != plan_of("2")


def test_the_schema_is_json_about_plans_and_the_language(tmp_path: Path) -> None:
    found = json.loads(mialang("schema", folder=tmp_path).out)
    assert set(found) == {"plan", "language"}
    assert "nodes" in found["plan"]["properties"]


# -- attacks ---------------------------------------------------------------------------------------------------------


def test_attacks_lists_the_whole_library(tmp_path: Path) -> None:
    said = mialang("attacks", folder=tmp_path)
    recipes = library_recipes(Modules().registry)
    assert len(recipes) >= 5
    for name in recipes:
        assert re.search(rf"^  {name} +\w+ +\w+ +\S", said.out, re.MULTILINE), name


def test_attacks_against_a_threat_tells_what_fits_and_what_the_others_lack(tiny: Path) -> None:
    assert "lacks: needs 60,000 queries, 5,000 are granted" in (
        mialang("attacks", "--against", "tiny.mia#customer", folder=tiny).out
    )
    (tiny / "tiny.mia").write_text(TINY.read_text().replace("= 5_000 queries", "= 500_000 queries"))
    said = mialang("attacks", "--against", "tiny.mia#customer", folder=tiny)
    assert said.code == 0, said.err
    first, fit, *rest = said.out.splitlines()
    assert first == "customer, no defense:"
    assert "BREPMI" in fit
    assert "GMI" not in fit.replace("BREPMI", "")
    assert any(re.match(r"  GMI +lacks: .*input gradients", line) for line in rest)
    inside = mialang("attacks", "--against", "tiny.mia#insider", folder=tiny).out
    assert "GMI" in inside.splitlines()[1]
    said = mialang("attacks", "--against", "tiny.mia#custmer", folder=tiny)
    assert said.code == 2
    assert "did you mean `customer`?" in said.err
    assert mialang("attacks", "--against", "tiny.mia", folder=tiny).code == 2


# -- init ------------------------------------------------------------------------------------------------------------


def test_init_writes_a_sound_spec_and_keeps_the_store_out_of_git(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"*.pyc\nna\xefve")
    said = mialang("init", folder=tmp_path)
    assert (said.code, said.out) == (0, "wrote audit.mia; next: mialang check audit.mia && mialang run audit.mia\n")
    assert (tmp_path / ".gitignore").read_bytes() == b"*.pyc\nna\xefve\n.mialang/\n"
    assert mialang("check", "audit.mia", folder=tmp_path).code == 0
    assert mialang("init", "other.mia", folder=tmp_path).code == 0
    assert (tmp_path / ".gitignore").read_bytes().count(b".mialang/") == 1
    said = mialang("init", folder=tmp_path)
    assert said.code == 2
    assert "`audit.mia` exists already" in said.err


def test_init_gives_a_name_its_ending_and_takes_no_folder_for_a_name(tmp_path: Path) -> None:
    said = mialang("init", "first", folder=tmp_path)
    assert (said.code, said.out) == (0, "wrote first.mia; next: mialang check first.mia && mialang run first.mia\n")
    assert "`first.mia` exists already" in mialang("init", "first", folder=tmp_path).err
    (tmp_path / "specs").mkdir()
    said = mialang("init", "specs", folder=tmp_path)
    assert said.code == 2
    assert "`specs` is a folder" in said.err
    assert "mialang init specs/audit.mia" in said.err


def test_init_elsewhere_guards_the_folder_where_the_store_will_be(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    assert mialang("init", "specs/audit.mia", folder=tmp_path).code == 0
    assert (tmp_path / ".gitignore").read_text() == ".mialang/\n"


# -- report, why -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("report",), ("report", "2030"), ("why", "last", "victim")])
def test_a_run_that_is_not_there_is_a_finding(arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = mialang(*arguments, folder=tmp_path)
    assert said.code == 2
    assert said.err.startswith("error[E0811]: ")
    assert "= help: " in said.err
    assert said.out == ""


def test_none_of_this_brought_torch_by_itself(tmp_path: Path) -> None:
    """What only reads and writes text never waits for torch."""
    import subprocess

    program = (
        "import sys; from mialang.cli.main import entry\n"
        "for arguments in (['init'], ['check', 'audit.mia'], ['fmt', 'audit.mia'], ['attacks'], ['schema'], ['explain']):\n"
        "    sys.argv = ['mialang', *arguments]\n"
        "    try: entry()\n"
        "    except SystemExit as end: assert not end.code, arguments\n"
        "    assert 'torch' not in sys.modules, arguments\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
