"""Jobs on a Ray cluster of this machine: the same results, deaths survived, results shared without a common folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'mialang[ray]'")

from mialang.engine.cluster import RayCluster
from mialang.engine.executors import Inline
from mialang.engine.mirror import Mirror
from mialang.engine.stopping import StoppedError
from mialang.engine.store import Action, Store, StoreError, value_digest
from tests.engine.test_workers import calls, run
from tests.engine.toys import node, plan


@pytest.fixture(scope="module")
def ray() -> Any:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_a_cluster_makes_what_one_process_makes_and_survives_deaths(ray: Any, tmp_path: Path) -> None:
    sound = [
        node("a", plus=1),
        node("b", ["a"], plus=200, function="walk", seed=1),
        node("c", ["a"], plus=20, function="walk", seed=2),
        node("bad", function="fail"),
        node("after", ["bad", "b"]),
    ]
    once = [node("once", ["b"], plus=1, function="die"), node("last", ["b", "c", "once"], plus=2)]
    for name in ("many", "one"):
        (tmp_path / name).mkdir()
    outcome, events = run(plan([*sound, *once]), tmp_path / "many", RayCluster(workers=2, threads=1))
    alone, _ = run(plan(sound), tmp_path / "one", Inline(), threads=1)
    assert {name: outcome.outputs[name] for name in alone.outputs} == alone.outputs
    assert set(outcome.actions) == {"a", "b", "c", "once", "last"}
    assert all(action.evidence["threads"] == 1 for action in outcome.actions.values())
    assert outcome.failures == alone.failures
    assert outcome.skipped == {"after": "bad"}
    assert [facts["node"] for event, facts in events if event == "retried"] == ["once"]
    assert calls(tmp_path / "many").count("once") == 2
    assert "b" in {facts["node"] for event, facts in events if event == "progress"}


def test_machines_without_a_common_folder_share_through_a_url(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = f"file://{tmp_path}/share"
    made = plan([node("a", plus=7), node("b", ["a"], plus=5, function="walk", seed=1), node("c", ["a", "b"])])
    outcome, _ = run(made, tmp_path, RayCluster(workers=1, threads=1, share=share))
    store = Store(tmp_path / "store")
    assert {name: store.find(action.key) for name, action in outcome.actions.items()} == {
        name: (action, "") for name, action in outcome.actions.items()
    }
    names = {path.name for path in (tmp_path / "share").rglob("*") if path.is_file()}
    assert names == {path.name for part in ("blobs", "actions") for path in (store.root / part).rglob("*.*")}
    (tmp_path / "one").mkdir()
    assert run(made, tmp_path / "one", Inline(), threads=1)[0].outputs == outcome.outputs


def test_asked_to_stop_jobs_keep_their_place(ray: Any, tmp_path: Path) -> None:
    class StopsSoon(RayCluster):
        def wait(self, live):
            found = super().wait(live)
            if calls(tmp_path):
                self.stop.request()
            return found

    made = plan([node("long", plus=20_000, function="walk", seed=1)])
    with pytest.raises(StoppedError):
        run(made, tmp_path, StopsSoon(workers=1, threads=1))
    assert len(list((tmp_path / "store" / "scratch").glob("*.checkpoint"))) == 1


def test_the_record_says_what_a_run_ran_on(ray: Any) -> None:
    about = RayCluster(threads=1).about
    assert about == {"on": "ray", "workers": 2, "threads": 1, "address": "local"}


def test_a_shared_place_takes_and_gives_whole_results_only(tmp_path: Path) -> None:
    mirror = Mirror(f"file://{tmp_path}/share")
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    for store in (here, there):
        store.prepare()
    blob = Action("ab" * 32, here.put(b"bytes"), "toy")
    small = Action("cd" * 32, value_digest([1]), "measurement", [1])
    for action in (blob, small):
        mirror.publish(here, action)
        mirror.fetch(there, action)
        assert there.find(action.key) == (action, "")
    there.blob_path(blob.output).unlink()
    (tmp_path / "share" / here.blob_path(blob.output).relative_to(here.root)).write_bytes(b"byte")
    with pytest.raises(StoreError, match="damaged"):
        mirror.fetch(there, blob)
    with pytest.raises(StoreError, match="lacks"):
        mirror.fetch(there, Action("ef" * 32, "0" * 64, "toy"))
