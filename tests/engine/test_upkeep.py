"""Looking after a store: damage is found, what a run needs stays, runs travel whole, the index is only a convenience."""

from __future__ import annotations

import json
import os
import sqlite3
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.archive import ArchiveError, pack_run, unpack_run
from mialang.engine.executors import Inline
from mialang.engine.index import NAME, operator_seconds, summaries
from mialang.engine.runs import Run, perform
from mialang.engine.schedule import known_nodes
from mialang.engine.stopping import StoppedError
from mialang.engine.store import Store, StoreError
from mialang.engine.upkeep import damages, entries, garbage, remove, sizes, summary
from mialang.engine.work import Settings
from mialang.plan.model import Plan
from tests.engine.toys import node, plan

SETTINGS = Settings(trusted=("tests",), threads=1)


def performed(store: Store, made: Plan) -> Run:
    run = Run.begin(store, made)
    perform(run, made, store, Inline(), SETTINGS)
    return run


def fresh(folder: Path) -> Store:
    store = Store(folder)
    store.prepare()
    return store


def chain(*numbers: int) -> Plan:
    """Nodes that each rest on the one before; chains that begin alike share their results."""
    return plan([
        node(f"n{place}", [f"n{place - 1}"] if place else [], number) for place, number in enumerate(numbers)
    ])  # fmt: skip


@settings(max_examples=12)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_what_is_removed_is_exactly_what_no_kept_run_needs(chains: list[list[int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder))
        runs = [performed(store, chain(*numbers)) for numbers in chains]
        given_up = tuple(run for run in runs if data.draw(st.booleans()))
        found = garbage(store, given_up)
        remove(store, found)
        kept = [run for run in runs if run not in given_up]
        assert [run.id for run in Run.every(store)] == [run.id for run in kept]
        for run in kept:
            assert len(known_nodes(run.plan(), store, Settings().look)[0]) == len(run.plan().nodes)
        assert list(damages(store)) == []
        assert garbage(store).files == ()
        needed = {made["key"] for run in kept for made in run.outcome()["nodes"].values()}
        assert sizes(store)["actions"][0] == len(needed) == found.kept


def test_what_an_interrupted_run_would_find_stays(tmp_path: Path) -> None:
    class Asks(Inline):
        def submit(self, job, tell):
            if job.node.id == "long":
                self.stop.request()
            return super().submit(job, tell)

    store = fresh(tmp_path)
    made = plan([node("a", plus=3), node("long", ["a"], plus=5, function="walk", seed=1), node("z", ["long"])])
    run = Run.begin(store, made)
    with pytest.raises(StoppedError):
        perform(run, made, store, Asks(), SETTINGS)
    other = performed(store, chain(9))
    found = garbage(store, (other,))
    assert {path.suffix for path in found.files} == {".json", ".safetensors"}
    assert len(found.files) == 2
    remove(store, found)
    assert known_nodes(made, store, Settings().look)[0] == {"a"}
    assert len(list(store.scratch.glob("*.checkpoint"))) == 1
    assert len(garbage(store, (run,)).files) == 3, "with the run goes its checkpoint"
    perform(Run.begin(store, made), made, store, Inline(), SETTINGS)
    assert list(store.scratch.glob("*.checkpoint")) == []


def test_nothing_is_removed_where_a_run_cannot_be_read(tmp_path: Path) -> None:
    store = fresh(tmp_path)
    run = performed(store, chain(1, 2))
    (run.folder / "plan.json").write_text("{")
    with pytest.raises(StoreError, match="nothing is removed"):
        garbage(store)
    assert garbage(store, (run,)).runs == (run,)


def test_a_store_in_use_is_not_cleaned_and_one_being_cleaned_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fresh(tmp_path)
    with store.used(), store.used(), pytest.raises(StoreError, match="a run is under way"), store.cleaned():
        pytest.fail("cleaned while in use")
    monkeypatch.setattr("mialang.engine.store.CLEANING", 0.1)
    with store.cleaned(), pytest.raises(StoreError, match="being cleaned"), store.used():
        pytest.fail("used while being cleaned")
    with store.cleaned():
        pass


@pytest.mark.parametrize("damage", ["blob", "record", "result", "plan", "none"])
def test_every_damage_is_named(damage: str, tmp_path: Path) -> None:
    store = fresh(tmp_path)
    run = performed(store, chain(1, 2))
    blob = min((tmp_path / "blobs").rglob("*.safetensors"))
    record = min((tmp_path / "actions").rglob("*.json"))
    match damage:
        case "blob":
            blob.write_bytes(blob.read_bytes()[:-1])
        case "record":
            record.write_text(record.read_text().replace('"seconds":', '"seconds":1'))
        case "result":
            blob.unlink()
        case "plan":
            (run.folder / "plan.json").write_text("{}")
    found = list(damages(store))
    expected = {"blob": blob.name, "record": record.name, "result": "is missing", "plan": run.id}
    assert len(found) == (damage != "none")
    assert all(expected[damage] in line for line in found)


# -- archives --------------------------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Store, Run, Path]:
    """A store, a run in it, and the file it was written into."""
    store = fresh(tmp_path / "here")
    performed(store, chain(8, 8))
    run = performed(store, plan([node("a", plus=1), node("b", ["a"]), node("bad", function="fail")]))
    assert pack_run(store, run, tmp_path / "run.tar") == 2
    return store, run, tmp_path / "run.tar"


def test_a_run_travels_whole(packed: tuple[Store, Run, Path], tmp_path: Path) -> None:
    store, run, file = packed
    there = fresh(tmp_path / "there")
    taken = unpack_run(there, file)
    assert (taken.run, taken.results, taken.known, taken.other) == (run.id, 2, 0, 0)
    again = Run.find(there, run.id)
    assert again.outcome() == run.outcome()
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == {
        path.name: path.read_bytes() for path in run.folder.iterdir()
    }
    assert known_nodes(again.plan(), there, Settings().look)[0] == {"a", "b"}
    assert list(damages(there)) == []
    assert garbage(there).files == ()
    assert unpack_run(there, file).known == 2
    assert pack_run(there, again, tmp_path / "again.tar") == 2
    assert (tmp_path / "again.tar").read_bytes() == file.read_bytes()
    assert unpack_run(store, file).known == 2


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}


def written(file: Path, contents: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in contents.items():
            about = tarfile.TarInfo(name)
            about.size, about.type, about.linkname = len(data) if kind == tarfile.REGTYPE else 0, kind, "/etc/passwd"
            archive.addfile(about, BytesIO(data) if kind == tarfile.REGTYPE else None)
    return file


def test_an_archive_that_was_changed_is_refused_and_leaves_no_run(
    packed: tuple[Store, Run, Path], tmp_path: Path
) -> None:
    _, run, file = packed
    good = members(file)
    blob = next(name for name in good if name.startswith("blobs/"))
    record = next(name for name in good if name.startswith("actions/"))
    bad = {
        "blob": good | {blob: good[blob] + b"x"},
        "record": good | {record: good[record].replace(b'"seconds":', b'"seconds":1')},
        "no result": {name: data for name, data in good.items() if not name.startswith("blobs/")},
        "no run": {name: data for name, data in good.items() if not name.startswith("runs/")},
        "outside": good | {"../outside.json": b"{}"},
        "absolute": good | {"/tmp/outside.json": b"{}"},
        "elsewhere": good | {f"runs/{run.id}/../../format": b"99"},
        "other file": good | {f"runs/{run.id}/code.py": b"print()"},
        "two runs": good | {"runs/20200101-000000-abcdef/plan.json": b"{}"},
    }
    for name, contents in bad.items():
        there = fresh(tmp_path / f"there {name}")
        with pytest.raises(ArchiveError):
            unpack_run(there, written(tmp_path / "bad.tar", contents))
        assert Run.every(there) == []
        assert list(damages(there)) == []
        assert not (tmp_path / "outside.json").exists()
    there = fresh(tmp_path / "there")
    with pytest.raises(ArchiveError, match="no file of a run"):
        unpack_run(there, written(tmp_path / "link.tar", {record: b""}, tarfile.SYMTYPE))
    (tmp_path / "text.tar").write_bytes(b"no archive at all")
    with pytest.raises(ArchiveError, match="no archive"):
        unpack_run(there, tmp_path / "text.tar")
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])
    with pytest.raises(ArchiveError):
        unpack_run(there, file)


def test_results_that_differ_are_counted_and_the_own_stay(packed: tuple[Store, Run, Path], tmp_path: Path) -> None:
    store, run, file = packed
    there = fresh(tmp_path / "there")
    performed(there, plan([node("a", plus=1)]))
    key = run.outcome()["nodes"]["a"]["key"]
    action, _ = there.find(key)
    assert action is not None
    from dataclasses import replace

    there.record(replace(action, output=there.put(b"another result")))
    assert unpack_run(there, file).other == 1
    assert there.find(key)[0].output != store.find(key)[0].output


def test_a_run_of_that_name_that_is_another_is_not_overwritten(packed: tuple[Store, Run, Path], tmp_path: Path) -> None:
    _, run, file = packed
    there = fresh(tmp_path / "there")
    (there.root / "runs" / run.id).mkdir()
    (there.root / "runs" / run.id / "plan.json").write_text("{}")
    with pytest.raises(ArchiveError, match="another run"):
        unpack_run(there, file)


# -- the index -------------------------------------------------------------------------------------------------------


def test_the_index_says_what_the_runs_say_and_reads_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fresh(tmp_path)
    runs = [performed(store, chain(1)), performed(store, chain(1, 2))]
    lines = summaries(store)
    assert lines == [summary(run, run.plan()) for run in runs]
    assert [line["nodes"] for line in lines] == [1, 2]
    reads: list[str] = []
    plan_of = Run.plan
    monkeypatch.setattr(Run, "plan", lambda run: reads.append(run.id) or plan_of(run))
    assert summaries(store) == lines
    assert reads == []
    (runs[0].folder / "verdict.json").write_text(json.dumps({"status": "pass"}))
    assert [line["status"] for line in summaries(store)] == ["pass", None]
    assert reads == [runs[0].id]
    remove(store, garbage(store, (runs[0],)))
    assert [line["run"] for line in summaries(store)] == [runs[1].id]


def test_what_operators_took_is_the_mean_over_all_runs_and_what_was_known_counts_once(tmp_path: Path) -> None:
    store = fresh(tmp_path)
    spec = chain(1).spec_name
    assert operator_seconds(store, spec) == {}
    for made in (chain(1), chain(1, 2), chain(1, 2, 3)):
        performed(store, made)
    took = [store.read(key)[0].evidence["seconds"] for key, _ in entries(store, "actions")]  # type: ignore[union-attr]
    assert len(took) == 3
    assert operator_seconds(store, spec) == {"add": pytest.approx(sum(took) / 3)}
    assert operator_seconds(store, "another.mia") == {}, "what one operator takes elsewhere says little"


@pytest.mark.parametrize("damage", ["bytes", "empty", "version", "table", "row", "list", "folder"])
def test_a_damaged_index_is_made_again(damage: str, tmp_path: Path) -> None:
    store = fresh(tmp_path)
    performed(store, chain(1))
    lines = summaries(store)
    index = tmp_path / NAME
    match damage:
        case "bytes":
            index.write_bytes(os.urandom(5000))
        case "empty":
            index.write_bytes(b"")
        case "folder":
            index.unlink()
            index.mkdir()
        case _:
            orders = {
                "version": "PRAGMA user_version = 99",
                "table": "ALTER TABLE runs RENAME COLUMN stamp TO x",
                "row": "UPDATE runs SET summary = '{'",
                "list": "UPDATE runs SET took = '[]'",
            }
            with sqlite3.connect(index) as made:
                made.execute(orders[damage])
            made.close()
    assert summaries(store) == lines
    assert summaries(store) == lines


@pytest.mark.parametrize("text", ["{", "[]", '{"nodes": 3}', '{"nodes": {"x": 3}}'])
def test_a_run_that_cannot_be_read_is_listed_as_damaged(text: str, tmp_path: Path) -> None:
    store = fresh(tmp_path)
    run = performed(store, chain(1))
    (run.folder / "outcome.json").write_text(text)
    assert [(line["run"], line["status"]) for line in summaries(store)] == [(run.id, "damaged")]


def test_a_run_whose_spec_is_gone_hides_no_other(tmp_path: Path) -> None:
    store = fresh(tmp_path)
    one, other = performed(store, chain(1)), performed(store, chain(2))
    (one.folder / "spec.mia").unlink()
    assert {line["run"] for line in summaries(store)} == {one.id, other.id}
