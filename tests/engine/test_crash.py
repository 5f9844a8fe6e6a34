"""Twenty kills at random moments: nothing finished is lost, nothing is torn, and the resumed run equals an undisturbed one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.crash import FORKS, crash
from mialang.engine.executors import Inline
from mialang.engine.runs import Run, perform
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.plan.model import Plan
from tests.engine.toys import handle_on, interrogation, node, plan

WORKERS_KILLED = (7, 14)
WITH_WORKERS = (*WORKERS_KILLED, 20)


@pytest.mark.parametrize("number", range(1, 21))
def test_a_kill_at_a_random_moment_loses_nothing(number: int) -> None:
    chance = random.Random(77_000 + number)
    made = crash(number, chance, 1 if number in WITH_WORKERS else 0, kill_worker=number in WORKERS_KILLED)
    assert made.sound, f"{made}\n{made.torn}"


def audit(made: Plan, folder: Path) -> None:
    store = Store(folder / "store")
    store.prepare()
    perform(Run.begin(store, made), made, store, Inline(), Settings(threads=1, trusted=("tests",), data=str(folder)))


def test_two_runs_of_one_store_share_the_work_and_charge_once(tmp_path: Path) -> None:
    names = [f"walk{place}" for place in range(3)]
    made = plan([
        node("victim", plus=2, function="oracle"), handle_on("victim"), interrogation("asks", "handle_victim", 200, 1),
        *[node(name, [], 200, "walk", seed=place) for place, name in enumerate(names)], node("sum", [*names, "asks"]),
    ])  # fmt: skip
    runs = [FORKS.Process(target=audit, args=(made, tmp_path)) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert [each.exitcode for each in runs] == [0, 0]
    calls = Counter((tmp_path / "calls").read_text().split())
    assert calls == {"asks": 1, **dict.fromkeys(names, 1)}, "each node is computed by one of them"
    store = Store(tmp_path / "store")
    outcomes = [run.outcome()["nodes"] for run in Run.every(store)]
    assert [{name: made["output"] for name, made in nodes.items()} for nodes in outcomes[:1]] == [
        {name: made["output"] for name, made in nodes.items()} for nodes in outcomes[1:]
    ]
    action, _ = store.find(outcomes[0]["asks"]["key"])
    assert action is not None
    assert action.evidence["asked"] == 400
    assert list(store.scratch.iterdir()) == []
