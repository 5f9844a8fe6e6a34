"""Worker processes: the same results, no hang and no loss when a worker or the scheduler dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mialang.engine import workers
from mialang.engine.codec import pack
from mialang.engine.events import silent
from mialang.engine.executors import Executor, Inline
from mialang.engine.schedule import Outcome, Schedule
from mialang.engine.stopping import Stop, StoppedError
from mialang.engine.store import Store
from mialang.engine.work import Job, Settings
from mialang.engine.workers import Processes, _cause, cores
from mialang.operators.text.texts import Texts
from mialang.plan.model import Plan
from tests.engine.toys import node, plan

ROOT = Path(__file__).parents[2]
Events = list[tuple[str, dict[str, Any]]]


def run(made: Plan, folder: Path, executor: Executor, **settings: Any) -> tuple[Outcome, Events]:
    store = Store(folder / "store")
    store.prepare()
    events: Events = []

    def tell(event: str, /, **facts: Any) -> None:
        events.append((event, facts))

    work = Settings(trusted=("tests",), data=str(folder), **settings)
    return Schedule(made, store, executor, tell, work).run(), events


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().split() if path.exists() else []


def test_workers_make_what_one_process_makes_and_survive_deaths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "AGAIN", 1)
    nodes = [
        node("a", plus=1),
        node("b", ["a"], plus=20, function="walk", seed=1),
        node("c", ["a"], plus=20, function="walk", seed=2),
        node("bad", function="fail"),
        node("broken", function="break_down"),
        node("after", ["bad", "b"]),
        node("once", ["b"], plus=1, function="die"),
        node("always", ["a"], plus=9, function="die"),
        node("last", ["b", "c", "once"], plus=2),
    ]
    (tmp_path / "many").mkdir()
    (tmp_path / "one").mkdir()
    outcome, events = run(plan(nodes), tmp_path / "many", Processes(2, threads=1))
    sound = [each for each in nodes if each.id not in ("once", "always", "last")]
    alone, _ = run(plan(sound), tmp_path / "one", Inline(), threads=1)
    assert {name: outcome.outputs[name] for name in alone.outputs} == alone.outputs
    assert set(outcome.actions) == {"a", "b", "c", "once", "last"}
    assert all(action.evidence["threads"] == 1 for action in outcome.actions.values())
    assert outcome.failures["bad"] == alone.failures["bad"]
    assert "ZeroDivisionError" in outcome.failures["broken"].detail
    assert outcome.skipped["after"] == "bad"
    retried = [(facts["node"], facts["reason"]) for event, facts in events if event == "retried"]
    assert retried.count(("once", "it was killed by signal 9 (SIGKILL)")) == 1
    assert retried.count(("always", "it was killed by signal 9 (SIGKILL)")) == 1
    assert outcome.failures["always"].title == "`always` lost its worker 2 times: it was killed by signal 9 (SIGKILL)"
    assert "memory" in outcome.failures["always"].note
    assert calls(tmp_path / "many").count("once") == 2
    assert {facts["node"] for event, facts in events if event == "progress"} >= {"b", "c"}
    left = [path.suffix for path in (tmp_path / "many" / "store" / "scratch").iterdir()]
    assert set(left) <= {".lock"}, "the locks of the dead are swept later"


def test_the_end_of_a_worker_is_told_in_words() -> None:
    assert _cause(-11) == "it was killed by signal 11 (SIGSEGV)"
    assert _cause(-99) == "it was killed by signal 99"
    assert _cause(3) == "it ended with code 3"


def test_the_cores_are_divided_among_the_workers() -> None:
    assert Processes(1).threads == cores()
    assert Processes(cores()).threads == 1
    assert Processes(10 * cores()).threads == 1
    assert Processes(2, threads=5).threads == 5
    assert Processes(2, threads=5).about == {"on": "processes", "workers": 2, "threads": 5}


def test_workers_are_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[str] = []

    class Fake:
        def __init__(self, threads: int, number: int) -> None:
            self.number = number

        def send(self, job: Job) -> None:
            sent.append(job.settings.device)

    monkeypatch.setattr(workers, "_Worker", Fake)
    for device, expected in (
        ("cuda", ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", ["cuda:1"] * 3),
        ("cpu", ["cpu"] * 3),
    ):
        executor = Processes(3, threads=1, gpus=2)
        sent.clear()
        for _ in range(3):
            executor.submit(Job(node("a"), "0" * 64, {}, {}, {}, tmp_path, Settings(device=device)), silent)
        assert sent == expected
    executor._busy.pop(1)
    executor.submit(Job(node("a"), "0" * 64, {}, {}, {}, tmp_path), silent)
    assert [worker.number for worker in executor._busy] == [0, 2, 1]


class StopsSoon(Processes):
    """Asks to stop once something is under way and kept."""

    def wait(self, live):
        found = super().wait(live)
        if any(path.suffix == ".checkpoint" for path in self.scratch.iterdir()):
            self.stop.request()
        return found


def test_asked_to_stop_workers_keep_their_place_and_the_next_run_goes_on(tmp_path: Path) -> None:
    nodes = [node("long", plus=1500, function="walk", seed=1), node("after", ["long"])]
    executor = StopsSoon(1, threads=1)
    executor.scratch = tmp_path / "store" / "scratch"
    with pytest.raises(StoppedError):
        run(plan(nodes), tmp_path, executor, checkpoint=0.2)
    assert len(list(executor.scratch.iterdir())) == 1
    outcome, events = run(plan(nodes), tmp_path, Inline(), checkpoint=0.2, threads=1)
    assert [facts["node"] for event, facts in events if event == "resumed"] == ["long"]
    assert outcome.actions["long"].evidence["resumed"][0]["threads"] == 1
    (tmp_path / "other").mkdir()
    whole, _ = run(plan(nodes), tmp_path / "other", Inline(), threads=1)
    assert outcome.outputs == whole.outputs
    assert list(executor.scratch.iterdir()) == []


def test_one_process_stops_at_a_checkpoint_too(tmp_path: Path) -> None:
    stop = Stop()
    stop.request()
    made = plan([node("long", plus=5, function="walk", seed=1)])
    with pytest.raises(StoppedError):
        run(made, tmp_path, Inline(stop))
    assert calls(tmp_path) == [], "nothing begins after the request"
    stop = Stop()

    class Asks(Inline):
        def submit(self, job, tell):
            self.stop.request()
            return super().submit(job, tell)

    with pytest.raises(StoppedError):
        run(made, tmp_path, Asks(stop))
    assert len(list((tmp_path / "store" / "scratch").iterdir())) == 1
    outcome, _ = run(made, tmp_path, Inline())
    assert set(outcome.actions) == {"long"}


def test_workers_end_when_their_scheduler_is_killed(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from mialang.engine.workers import Processes
from tests.engine.test_workers import run
from tests.engine.toys import node, plan
class Tells(Processes):
    def wait(self, live):
        found = super().wait(live)
        print(self._busy[0].process.pid, flush=True)
        return found
if __name__ == "__main__":
    run(plan([node("long", plus=60_000, function="walk", seed=1)]), Path(sys.argv[1]), Tells(1))
"""
    (tmp_path / "main.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, tmp_path / "main.py", tmp_path], stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    worker = int(child.stdout.readline())
    wait_for(lambda: calls(tmp_path) == ["long"])
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wait_for(lambda: not alive(worker))


def wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_what_a_run_tells_is_plain_json(tmp_path: Path) -> None:
    _, events = run(plan([node("long", plus=300, function="walk", seed=1)]), tmp_path, Inline(), checkpoint=0.05)
    json.dumps(events, allow_nan=False)
    assert {event for event, _ in events} == {"started", "progress", "checkpoint", "finished"}
    lefts = [facts["left"] for event, facts in events if event == "progress"]
    assert lefts[0] is None
    assert all(left >= 0 for left in lefts[1:])


def test_a_new_process_reads_what_a_function_made_that_knows_nothing_of_its_kind(tmp_path: Path) -> None:
    """`minus` hands on records of any sort; a worker that begins with its result has to find out how to read it."""
    made = pack("texts", Texts(("one", "two")).arrays(), Texts(("one", "two")).facts())
    store = Store(tmp_path)
    store.prepare()
    program = (
        "import sys; from pathlib import Path; from mialang.engine.work import load_artefact\n"
        "print(load_artefact(Path(sys.argv[1]), sys.argv[2], 'mialang.operators.overlap:minus').lines)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), store.put(made)]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout == "('one', 'two')\n"
