"""`mialang store …`: what it says, how it ends, and that it removes nothing unasked."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from mialang.cli.keeping import in_units
from mialang.engine.runs import Run
from mialang.engine.store import Store
from tests.command import mialang
from tests.engine.test_upkeep import chain, performed


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two runs that share a result."""
    made = Store(tmp_path / ".mialang")
    made.prepare()
    performed(made, chain(1, 2))
    performed(made, chain(1, 3))
    return made


def names(store: Store) -> list[str]:
    return [run.id for run in Run.every(store)]


def test_ls_lists_runs_and_room(store: Store, tmp_path: Path) -> None:
    said = mialang("store", "ls", folder=tmp_path)
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == names(store)
    assert "2 nodes" in lines[0]
    assert lines[-1].startswith("3 blobs (")
    assert ", 3 actions (" in lines[-1]
    assert ", 2 runs (" in lines[-1]
    made = json.loads(mialang("store", "ls", "--format", "json", folder=tmp_path).out)
    assert [run["run"] for run in made["runs"]] == names(store)
    assert made["sizes"]["actions"]["count"] == 3


def test_verify_ends_with_4_where_something_is_damaged(store: Store, tmp_path: Path) -> None:
    said = mialang("store", "verify", folder=tmp_path)
    assert (said.code, said.out) == (0, "3 results, 3 records and 2 runs are whole\n")
    path = min((store.root / "blobs").rglob("*.safetensors"))
    path.write_bytes(b"damaged")
    said = mialang("store", "verify", folder=tmp_path)
    assert said.code == 4
    assert f"damaged: {path.relative_to(store.root)}: " in said.out
    assert "computed again by itself" in said.out


def test_gc_removes_only_what_was_given_up_and_only_when_told(store: Store, tmp_path: Path) -> None:
    before = {path for path in store.root.rglob("*") if path.is_file()}
    said = mialang("store", "gc", folder=tmp_path)
    assert said.out.startswith("0 runs and 0 files (0 bytes) would be removed; 3 results are needed by 2 runs and stay")
    said = mialang("store", "gc", "--keep", "1", folder=tmp_path)
    assert said.out.startswith(f"run {names(store)[0]}\n1 runs and 2 files (")
    assert "add `--delete`" in said.out
    assert {path for path in store.root.rglob("*") if path.is_file()} >= before
    kept = names(store)[1]
    said = mialang("store", "gc", "--drop", names(store)[0], "--delete", folder=tmp_path)
    assert "removed; 2 results are needed by 1 runs and stay" in said.out
    assert names(store) == [kept]
    assert mialang("store", "verify", folder=tmp_path).out == "2 results, 2 records and 1 runs are whole\n"
    said = mialang("store", "gc", "--drop", "nosuch", folder=tmp_path)
    assert said.code == 2
    assert "error[E0811]" in said.err


def test_gc_waits_for_no_run(store: Store, tmp_path: Path) -> None:
    with store.used():
        said = mialang("store", "gc", folder=tmp_path)
    assert said.code == 4
    assert "a run is under way in the store" in said.err


def test_a_run_goes_out_and_in(store: Store, tmp_path: Path) -> None:
    said = mialang("store", "export", "last", "run.tar", folder=tmp_path)
    assert (said.code, said.out.startswith(f"wrote run.tar: run {names(store)[1]} with 2 results, ")) == (0, True)
    said = mialang("store", "import", "run.tar", "--store", "other", folder=tmp_path)
    assert (said.code, said.out) == (0, f"run {names(store)[1]}: 2 results taken in, 0 were known\n")
    assert names(Store(tmp_path / "other")) == names(store)[1:]
    (tmp_path / "run.tar").write_bytes(b"what?")
    said = mialang("store", "import", "run.tar", folder=tmp_path)
    assert said.code == 2
    assert "`run.tar` is no archive of a run" in said.err
    said = mialang("store", "import", "none.tar", folder=tmp_path)
    assert said.code == 2
    assert "there is no file `none.tar`" in said.err
    said = mialang("store", "export", "last", "no/such/place.tar", folder=tmp_path)
    assert said.code == 4
    assert "cannot be written" in said.err


def test_a_beginning_that_several_runs_share_lists_them(store: Store, tmp_path: Path) -> None:
    said = mialang("report", names(store)[0][:4], folder=tmp_path)
    assert said.code == 2
    assert f"2 runs begin with `{names(store)[0][:4]}`: `{names(store)[0]}`, `{names(store)[1]}`" in said.err
    assert "write more of the name" in said.err


def test_a_node_that_is_not_there_is_answered_with_those_that_are(store: Store, tmp_path: Path) -> None:
    said = mialang("why", "last", "nope", folder=tmp_path)
    assert said.code == 2
    assert "the run has no node `nope`" in said.err
    assert "`n0`" in said.err


@pytest.mark.parametrize("command", [("report", "last"), ("store", "ls"), ("run", "x.mia")])
def test_a_store_without_a_name_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    said = mialang(*command, "--store", "", folder=tmp_path)
    assert said.code == 2
    assert "`--store`: the name of a folder is empty" in said.err


def test_a_report_is_shown_where_the_store_may_only_be_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, data: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("mialang.engine.files.write_whole", refuses)
    said = mialang("report", "last", folder=tmp_path)
    assert said.code == 0, said.screen
    assert "nodes computed" in said.out
    assert "report: not written, for the store cannot be written (Read-only file system)" in said.out
    assert mialang("report", "last", "--html", "page.html", folder=tmp_path).code == 4


@pytest.mark.parametrize("command", ["ls", "verify", "gc"])
def test_where_no_store_is_that_is_said(command: str, tmp_path: Path) -> None:
    said = mialang("store", command, folder=tmp_path)
    assert said.code == 2
    assert "there is no store `.mialang`" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_version_is_refused_in_words(store: Store, tmp_path: Path) -> None:
    (store.root / "format").write_text("99\n")
    (tmp_path / "tiny.mia").write_text((Path(__file__).parents[1] / "good" / "tiny.mia").read_text())
    for arguments in (
        ("run", "tiny.mia"),
        ("plan", "tiny.mia"),
        ("plan", "tiny.mia", "--select", "failed:last"),
        ("why", "last", "n0"),
        ("diff", "last", "last"),
        ("store", "ls"),
        ("store", "verify"),
        ("store", "gc"),
        ("report", "last"),
        ("store", "export", "last", "x.tar"),
    ):
        said = mialang(*arguments, folder=tmp_path)
        assert said.code in (2, 4)
        assert "is of format 99, and this mialang knows up to 1" in said.err
        assert "error[E0810]" in said.err
        assert "use the mialang that made it" in said.err
        assert "the newest run" not in said.err


def test_sizes_are_read_by_people() -> None:
    assert [in_units(size) for size in (0, 1023, 1024, 1536, 5 * 1024**3)] == [
        "0 bytes", "1,023 bytes", "1.0 KiB", "1.5 KiB", "5.0 GiB",
    ]  # fmt: skip
