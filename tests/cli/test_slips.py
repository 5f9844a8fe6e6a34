"""The command line under the hands of a newcomer: every slip is answered in words, with a next step and exit code 2 or 4."""

from __future__ import annotations

import errno
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from mialang.source import LARGEST
from tests.command import Answer, mialang

GOOD = Path(__file__).parents[1] / "good"
AUDIT = """mia 1

import std.image
import std.access { white_box }
import std.attack { MIFace }
import std.metric { attack_accuracy }

param epochs : int(1..) = 1

data secret : image.Digits { split = "train"  classes = 0..2  limit = 30 }

target victim : image.Classifier { model = image.mlp(hidden = 8)  trained = secret  epochs = epochs }
judge expert : image.Classifier { model = image.mlp(hidden = 8)  trained = image.Digits(limit = 60)  epochs = 1 }

threat insider {
  target = victim
  access = white_box()
  extent = prototype(per = class)
}

attack inside { against = insider  use = [MIFace(steps = 2)] }
evaluate { leak = attack_accuracy(inside, judge = expert) }
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an audit, and with what is none."""
    (tmp_path / "audit.mia").write_text(AUDIT)
    (tmp_path / "binary.mia").write_bytes(b"GIF89a\x00\x01")
    (tmp_path / "latin.mia").write_bytes('let x = "M\xfcller"\n'.encode("latin-1"))
    (tmp_path / "wide.mia").write_bytes("mia 1\n".encode("utf-16"))
    (tmp_path / "huge.mia").write_bytes(b"# filler\n" * (LARGEST // 8))
    (tmp_path / "empty.mia").write_text("")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "first.mia").write_text(AUDIT)
    (tmp_path / "results").write_text("in the way")
    (tmp_path / "half.json").write_text("{")
    return tmp_path


def checked(answer: Answer, code: int = 2) -> str:
    """What every answer to a slip has in common; returns what was said of the error."""
    assert answer.code == code, answer.screen
    assert "Traceback" not in answer.screen
    assert not re.search(r"\b[Ii]nvalid\b", answer.screen)
    found = re.search(r"^error\[E\d{4}\]: .*?(?=\n\n|\Z)", answer.screen, re.MULTILINE | re.DOTALL)
    assert found is not None, answer.screen
    assert "= help: " in found[0]
    return found[0]


SLIPS = [
    # -- commands and options
    ("chek audit.mia", "E0802", "there is no command `chek`", "did you mean `check`?"),
    ("lint audit.mia", "E0802", "there is no command `lint`", "did you mean"),
    ("xyzzy", "E0802", "there is no command `xyzzy`", "`mialang --help` lists them"),
    ("audit.mia", "E0802", "`audit.mia` is a spec and no command", "`mialang run audit.mia`"),
    ("--versoin", "E0802", "has no option `--versoin`", "did you mean `--version`?"),
    ("check", "E0802", "`mialang check` lacks its `SPEC`", "write `mialang check SPEC`"),
    ("why last", "E0802", "lacks its `NODE`", "write `mialang why RUN NODE`"),
    ("check audit.mia --fromat json", "E0802", "`mialang check` has no option `--fromat`", "did you mean `--format`?"),
    ("check audit.mia --format yaml", "E0802", "`--format`: `yaml` is none of `text`, `json`", "write one of"),
    ("compile audit.mia --to pyton", "E0802", "`pyton` is none of", "did you mean `python`?"),
    ("run audit.mia --threads 0", "E0802", "`--threads`: `0` is no whole number of at least 1", "write for example"),
    ("run audit.mia --threads many", "E0802", "`many` is no whole number", "write for example"),
    ("run audit.mia --seed -1", "E0802", "`-1` is no whole number of at least 0", "write for example"),
    ("run audit.mia other.mia", "E0802", "`other.mia` is left over", "leave it out"),
    ("check audit.mia --set", "E0802", "`--set` needs a value after it", "write `--set VALUE`"),
    ("schema --whole", "E0802", "`mialang schema` has no option `--whole`", "`mialang schema --help` says what it takes"),
    ("explain wrong", "E0802", "there is no finding `wrong`", "`mialang explain` lists all findings"),
    ("explain E301", "E0802", "there is no finding `E301`", "did you mean `E0301`?"),
    # -- settings
    ("check audit.mia --set epocs=3", "E0203", "the spec has no parameter `epocs`", "did you mean `epochs`?"),
    ("check audit.mia --set epochs=0", "E0211", "`0` is out of range", "give at least 1"),
    ("check audit.mia --set epochs=many", "E0201", "nothing here is called `many`", "a whole number"),
    ("check audit.mia --set epochs=1.5", "E0210", "`1.5` stands where a whole number belongs", "write `1` or `2`"),
    ("check audit.mia --set 'epochs=\"3\"'", "E0210", "the text", "write `3` without quotes"),
    ("check audit.mia --set 'epochs=(3'", "E0210", "`(3` is no value for `epochs`", "write a number"),
    ("check audit.mia --set epochs=", "E0210", "`epochs` is given no value", "write a number"),
    ("check audit.mia --set epochs", "E0802", "`--set epochs` is not NAME=VALUE", "`--set epochs=20`"),
    ("check audit.mia --set epochs=1 --set epochs=2", "E0802", "`--set` gives `epochs` twice", "keep one of them"),
    # -- files
    ("check adit.mia", "E0801", "there is no file `adit.mia`", "did you mean `audit.mia`?"),
    ("run gone/audit.mia", "E0801", "there is no file `gone/audit.mia`", "there is no folder `gone` either"),
    ("check zzz.mia", "E0801", "there is no file `zzz.mia`", "here are `audit.mia`"),
    ("check specs", "E0801", "`specs` is a folder", "give a file in it: `specs/first.mia`"),
    ("fmt .", "E0801", "`.` is a folder", "give a file in it"),
    ("check binary.mia", "E0105", "this file is not text", "data files are named inside a spec"),
    ("check latin.mia", "E0105", "`latin.mia` is not UTF-8 text: line 1", "save it as UTF-8"),
    ("check wide.mia", "E0105", "is UTF-16 text", "save it as UTF-8"),
    ("check huge.mia", "E0105", "is too large for a spec", "give the path of a `.mia` file"),
    ("check empty.mia", "E0108", "this file says nothing", "`mialang init`"),
    ("fmt binary.mia", "E0105", "this file is not text", "give the path of a `.mia` file"),
    ("init audit.mia", "E0801", "`audit.mia` exists already", "choose another name"),
    ("run audit.mia --data nowhere", "E0801", "there is no folder `nowhere`", "give the folder"),
    ("run hal.json", "E0801", "there is no file `hal.json`", "did you mean `half.json`?"),
    ("run plan.json", "E0801", "there is no file `plan.json`", "give the path of a file that exists"),
    ("run half.json", "E0710", "`half.json` is not a plan: line 1 is not JSON", "`mialang plan SPEC -o plan.json`"),
    ("run half.json --set epochs=3", "E0801", "a saved plan has no parameters left to set", "give the spec"),
    # -- runs and threats
    ("report", "E0811", "no run is kept in `.mialang`", "`mialang run SPEC` makes one"),
    ("report 2026", "E0811", "no run is kept in `.mialang`", "`--store DIR` looks elsewhere"),
    ("why last victim", "E0811", "no run is kept", "`mialang run SPEC` makes one"),
    ("diff last 2026", "E0811", "no run is kept", "`mialang run SPEC` makes one"),
    ("attacks --against audit.mia#insidr", "E0802", "`audit.mia` has no threat `insidr`", "did you mean `insider`?"),
    ("attacks --against insider", "E0802", "`--against insider` names no spec", "`--against audit.mia#insider`"),
    ("fmt -", "E0801", "`fmt` lays out files", "give the path of a `.mia` file"),
    ("attacks --against gone.mia#insider", "E0801", "there is no file `gone.mia`", "here are"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "title", "help_"), SLIPS, ids=[line for line, *_ in SLIPS])
def test_a_slip_is_answered(line: str, code: str, title: str, help_: str, here: Path) -> None:
    import shlex

    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    said = checked(mialang(*shlex.split(line), folder=here))
    assert said.startswith(f"error[{code}]: ")
    assert title in said
    assert help_ in said
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before, "nothing is left behind"


def test_check_reads_standard_input(here: Path) -> None:
    for text, code in ((AUDIT, 0), ("let x = ", 2)):
        with patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()))):
            answer = mialang("check", "-", folder=here)
        assert answer.code == code, answer.screen
        assert answer.out.endswith("-: 1 error\n") == bool(code)
        assert ("--> <stdin>:1:7" in answer.out) == bool(code)


@pytest.mark.parametrize("key", ["sk-0123456789abcdef", "my secret words", "0123456789abcdef0123456789abcdef"])
def test_a_key_in_a_spec_is_refused_and_shown_nowhere(key: str, here: Path) -> None:
    service = f'let api = http(url = "https://example.org", prise = 1 usd, key = "{key}")\n'
    (here / "audit.mia").write_text(AUDIT.replace("param", "import std.service { http }\n\n" + service + "\nparam", 1))
    before = sorted(here.rglob("*"))
    for line in ("check", "check --format json", "plan", "run", "compile --to python"):
        command, *options = line.split()
        answer = mialang(command, "audit.mia", *options, folder=here)
        assert answer.code == 2
        assert "E0217" in answer.screen
        assert key not in answer.screen
    assert sorted(here.rglob("*")) == before


def test_texts_in_messages_are_short(here: Path) -> None:
    (here / "long.mia").write_text(f'let a = "{"x" * 200_000}" + 1\n')
    for form in ("text", "json"):
        assert len(mialang("check", "long.mia", "--format", form, folder=here).out) < 2_000


BROKEN = [
    ("compile audit.mia --to python -o gone/audit.py", "E0801", "`gone/audit.py` cannot be written: No such file or directory"),
    ("plan audit.mia -o specs", "E0801", "`specs` cannot be written: Is a directory"),
    ("init results/audit.mia", "E0801", "`results/audit.mia` cannot be written: Not a directory"),
    ("run audit.mia --store results", "E0810", "the store `results` cannot be written: a file stands where a folder belongs"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "title"), BROKEN, ids=[line for line, *_ in BROKEN])
def test_a_place_that_cannot_be_written_is_the_machines_doing(line: str, code: str, title: str, here: Path) -> None:
    said = checked(mialang(*line.split(), folder=here), code=4)
    assert said.startswith(f"error[{code}]: ")
    assert title in said


@pytest.mark.parametrize("problem", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("command", ["check", "fmt", "plan", "run"])
def test_a_file_that_may_not_be_read_is_told(command: str, problem: int, here: Path) -> None:
    """Whoever runs the tests may read everything, so the refusal is played."""

    def refused(self: Path, *_: object, **__: object) -> Any:
        raise OSError(problem, __import__("os").strerror(problem), str(self))

    with patch.object(Path, "open", refused), patch("os.access", return_value=False):
        answer = mialang(command, "audit.mia", folder=here)
    said = checked(answer)
    assert "`audit.mia` cannot be read: " in said
    assert "give a file that you may read" in said


def test_a_full_disk_is_told(here: Path) -> None:
    def full(self: Path, *_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with patch.object(Path, "write_text", full):
        said = checked(mialang("init", "new.mia", folder=here), code=4)
    assert "`new.mia` cannot be written: No space left on device" in said


def test_a_setting_points_at_what_was_typed_and_at_the_parameter(here: Path) -> None:
    said = checked(mialang("check", "audit.mia", "--set", "epochs=0", folder=here))
    assert "--> --set:1:8\n" in said
    assert "\n1 | epochs=0\n  |        ^\n" in said
    assert "8 | param epochs : int(1..) = 1\n" in said
    assert "declared here" in said


def test_findings_for_machines_are_json_whatever_happens(here: Path) -> None:
    for name in ("audit.mia", "binary.mia", "latin.mia", "gone.mia", "specs"):
        answer = mialang("check", name, "--format", "json", folder=here)
        assert [finding["code"] for finding in json.loads(answer.out)] == {
            "audit.mia": [], "binary.mia": ["E0105"], "latin.mia": ["E0105"], "gone.mia": ["E0801"], "specs": ["E0801"],
        }[name]  # fmt: skip
        assert answer.err == ""


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the audit was run once."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "audit.mia").write_text(AUDIT)
    assert mialang("run", "audit.mia", "--threads", "1", folder=folder).code == 0
    return folder


def newest(folder: Path) -> Path:
    return max((folder / ".mialang" / "runs").iterdir())


def test_a_run_or_a_node_that_is_none_is_answered_with_one_that_is(ran: Path) -> None:
    name = newest(ran).name
    said = checked(mialang("report", name[:-1] + "!", folder=ran))
    assert f"did you mean `{name}`?" in said
    said = checked(mialang("report", "yesterday", folder=ran))
    assert f"the newest run is `{name}`" in said
    said = checked(mialang("why", "last", "victm", folder=ran))
    assert said.startswith("error[E0811]: ")
    assert "did you mean `victim`?" in said


def test_a_run_that_never_ended_is_told(ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    (newest(tmp_path) / "outcome.json").unlink()
    said = checked(mialang("report", "last", folder=tmp_path), code=4)
    assert "never ended" in said
    assert "run its spec again" in said


@pytest.mark.parametrize("part", ["plan.json", "outcome.json"])
@pytest.mark.parametrize("held", ["{", "[]", '{"nodes": 3}'])
def test_a_damaged_run_is_told(part: str, held: str, ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    (newest(tmp_path) / part).write_text(held)
    answers = [
        mialang(*command, folder=tmp_path)
        for command in (("report", "last"), ("why", "last", "victim"), ("diff", "last", "last"))
    ]
    for answer in answers:
        said = checked(answer, code=4)
        assert said.startswith("error[E0811]: ")
        assert "damaged" in said


def test_results_that_are_gone_are_told(ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    for blob in (tmp_path / ".mialang" / "blobs").rglob("*.safetensors"):
        blob.unlink()
    answer = mialang("report", "last", folder=tmp_path)
    assert "Traceback" not in answer.screen
    assert answer.code in (0, 4)


def test_a_plan_changed_by_hand_must_hang_together(ran: Path, tmp_path: Path) -> None:
    mialang("plan", "audit.mia", "-o", "plan.json", folder=ran)
    plan = json.loads((ran / "plan.json").read_text())
    first = next(iter(plan["nodes"]))
    last = list(plan["nodes"])[-1]
    changes: dict[str, dict[str, Any]] = {
        "it lacks `spec`": {name: value for name, value in plan.items() if name != "spec"},
        "`colour` is unknown": {**plan, "colour": "red"},
        "`seed` holds something else": {**plan, "seed": "red"},
        f"rests on `{first}`, which is missing": {
            **plan,
            "nodes": {k: v for k, v in plan["nodes"].items() if k != first},
        },
        "stands before": {**plan, "nodes": dict(reversed(plan["nodes"].items()))},
        "calls itself": {**plan, "nodes": {**plan["nodes"], last: {**plan["nodes"][last], "id": "other"}}},
        "needs the node `gone`, which is missing": {**plan, "secrets": {"insider": "gone"}},
        "which is no axis of the plan": {**plan, "measurements": [{**plan["measurements"][0], "axes": ["width"]}]},
        "a plan of format 99": {**plan, "format": 99},
    }
    for words, changed in changes.items():
        (tmp_path / "plan.json").write_text(json.dumps(changed))
        said = checked(mialang("run", "plan.json", folder=tmp_path))
        assert said.startswith("error[E0710]: ")
        assert words in said
    (tmp_path / "plan.json").write_text("[" * 100_000)
    assert "nested too deeply" in checked(mialang("run", "plan.json", folder=tmp_path))


def test_an_audit_that_asks_nothing_is_sound_and_cannot_be_run(tmp_path: Path) -> None:
    shutil.copytree(GOOD / "shared", tmp_path, dirs_exist_ok=True)
    assert mialang("check", "digits.mia", folder=tmp_path).code == 0
    for command in ("plan", "run", "compile"):
        assert "error[E0702]: this spec holds no threat" in checked(mialang(command, "digits.mia", folder=tmp_path))


def test_without_a_command_the_commands_are_listed(tmp_path: Path) -> None:
    answer = mialang(folder=tmp_path)
    assert answer.code == 0
    assert "Commands:" in answer.out
