"""Kill -9 at a random moment of a real scheduler or worker process, resume, and compare with a run that nobody disturbed.

    python benchmarks/crash.py [--crashes 200] [--seed 0]

Every plan is random: chains and joins of nodes that compute, that walk in loops with checkpoints, and that ask a model
under a budget of exactly the questions they need. After every kill the store is searched for torn files. After the
resumed run, finished nodes that ran again are counted, and digests and questions are compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from mialang.engine.events import read_events
from mialang.engine.executors import Executor, Inline
from mialang.engine.runs import Run, perform
from mialang.engine.schedule import known_nodes
from mialang.engine.store import Store
from mialang.engine.upkeep import damages
from mialang.engine.work import Settings
from mialang.engine.workers import Processes
from mialang.plan.model import Node, Plan
from tests.engine.toys import handle_on, interrogation, node, plan

SETTINGS = Settings(threads=1, trusted=("tests",), checkpoint=0.05)
GRACE = 60.0  # seconds in which the workers of a dead scheduler have to end; one that is still starting takes a while
# The scheduler is a process of its own, forked from one that has torch loaded; its workers are spawned as always.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "mialang.operators.run", "tests.engine.toys"])


@dataclass(frozen=True)
class Crash:
    """What one kill did.

    Attributes:
        victim: the process that was killed.
        moment: seconds after the start.
        finished: how many nodes had finished.
        lost: how many of them ran again.
        torn: files of the store that were damaged.
        resumed: how many nodes went on from a checkpoint.
        equal: whether all digests, and the questions counted, are those of the undisturbed run.
    """

    number: int
    nodes: int
    on: str
    victim: str
    moment: float
    finished: int
    lost: int
    torn: tuple[str, ...]
    resumed: int
    equal: bool

    @property
    def sound(self) -> bool:
        """Whether all promises were kept."""
        return self.equal and not self.lost and not self.torn

    def __str__(self) -> str:
        """The line of the log."""
        return (
            f"{self.number:4}  {self.nodes:2} nodes on {self.on:9}  {self.victim:9} killed at {self.moment:5.2f} s  "
            f"{self.finished:2} finished, {self.lost} lost  {len(self.torn)} torn  {self.resumed} resumed  "
            f"{'equal' if self.equal else 'DIFFERENT'}"
        )


def random_plan(chance: random.Random) -> Plan:
    """A plan of 6 to 13 nodes that takes about half a second."""
    nodes: list[Node] = [node("victim", plus=chance.randint(1, 5), function="oracle"), handle_on("victim")]
    names: list[str] = []
    for place in range(chance.randint(4, 11)):
        name = f"n{place}"
        inputs = chance.sample(names, min(len(names), chance.randint(0, 2)))
        match chance.choice(["add", "walk", "walk", "ask"]):
            case "ask":
                nodes.append(interrogation(name, "handle_victim", chance.randint(20, 150), place))
            case "walk":
                nodes.append(node(name, inputs, chance.randint(20, 150), "walk", seed=place))
            case function:
                nodes.append(node(name, inputs, place, function, seed=place))
        names.append(name)
    return plan(nodes)


def audit(made: Plan, folder: Path, workers: int) -> None:
    """Run a plan; what the scheduler process does."""
    store = Store(folder)
    store.prepare()
    executor: Executor = Processes(workers, threads=1) if workers else Inline()
    perform(Run.begin(store, made), made, store, executor, SETTINGS)


def started(made: Plan, folder: Path, workers: int) -> Any:
    """A scheduler process at work."""
    process = FORKS.Process(target=audit, args=(made, folder, workers))
    process.start()
    return process


def finish(made: Plan, folder: Path, workers: int) -> list[dict[str, Any]]:
    """Run a plan to its end; return what happened."""
    process = started(made, folder, workers)
    process.join()
    assert process.exitcode == 0, f"a run ended with {process.exitcode}"
    return events_of(folder)[-1]


def events_of(folder: Path) -> list[list[dict[str, Any]]]:
    """The events of each run in a store, oldest first."""
    return [read_events(each / "events.jsonl") for each in sorted((folder / "runs").iterdir())]


def results(events: list[dict[str, Any]], folder: Path) -> dict[str, tuple[str, int | None]]:
    """What each node made and what it asked."""
    store = Store(folder)
    outcome = Run.find(store, "last").outcome()
    found = {}
    for name, made in outcome["nodes"].items():
        action, _ = store.find(made["key"])
        assert action is not None, f"{name} is not in the store"
        found[name] = (action.output, action.evidence.get("asked"))
    assert events[-1]["event"] == "run ended"
    return found


def workers_of(process: int) -> list[int]:
    """The worker processes of a scheduler."""
    with suppress(OSError):  # it has ended
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return []


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def names(events: list[dict[str, Any]], *kinds: str) -> set[str]:
    """The nodes to which something happened."""
    return {event["node"] for event in events if event["event"] in kinds}


def crash(number: int, chance: random.Random, workers: int, *, kill_worker: bool) -> Crash:
    """Disturb one run."""
    made = random_plan(chance)
    with tempfile.TemporaryDirectory() as one:
        events = finish(made, Path(one), 0)
        whole, window = results(events, Path(one)), events[-1]["seconds"]
    while True:
        with tempfile.TemporaryDirectory() as other:
            folder = Path(other)
            moment = chance.uniform(0.0, window)
            if not killed(made, folder, workers, chance if kill_worker else None, moment):
                window /= 2  # it ended before
                continue
            torn = tuple(damages(Store(folder)))
            before = [event for each in events_of_any(folder) for event in each]
            finished = names(before, "finished") | keys_kept(made, folder)
            after = finish(made, folder, workers if kill_worker else 0)
            everything = [event for each in events_of(folder) for event in each]
            twice = Counter(event["node"] for event in everything if event["event"] == "finished")
            lost = finished & names(after, "started") | {name for name, times in twice.items() if times > 1}
            resumed = [event["node"] for event in everything if event["event"] == "resumed"]
            return Crash(number, len(made.nodes), "processes" if workers else "inline", "worker" if kill_worker else "scheduler",
                         moment, len(finished), len(lost), torn, len(resumed), results(after, folder) == whole)  # fmt: skip


def killed(made: Plan, folder: Path, workers: int, among: random.Random | None, moment: float) -> bool:
    """Start a run and kill its scheduler, or a worker chosen by chance; false where it ended before."""
    process = started(made, folder, workers)
    while process.is_alive() and not list((folder / "actions").glob("*/*")):
        time.sleep(0.01)  # processes take a while to start, in which nothing can be lost
    time.sleep(moment)
    team = workers_of(process.pid)
    alive = process.is_alive()
    if among is not None and alive and team:
        with suppress(ProcessLookupError):
            os.kill(among.choice(team), signal.SIGKILL)
        process.join()  # the scheduler replaces its worker and goes on
        assert process.exitcode == 0, f"a run whose worker was killed ended with {process.exitcode}"
    else:
        process.kill()
        process.join()
        alive = alive and among is None
    end = time.monotonic() + GRACE
    while not all(map(gone, team)):
        assert time.monotonic() < end, "workers outlive their scheduler"
        time.sleep(0.01)
    return alive


def events_of_any(folder: Path) -> list[list[dict[str, Any]]]:
    """The events of each run, if there is any."""
    return events_of(folder) if (folder / "runs").is_dir() else []


def keys_kept(made: Plan, folder: Path) -> set[str]:
    """The nodes of a plan whose results are in a store, told by their scheduler or not."""
    return set(known_nodes(made, Store(folder), SETTINGS.look)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--crashes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    done = []
    for number in range(1, given.crashes + 1):
        chance = random.Random(given.seed * 1_000_003 + number)
        made = crash(number, chance, (0, 0, 2, 2)[number % 4], kill_worker=number % 4 == 3)
        print(made, flush=True)
        done.append(made)
    killed = {victim: sum(each.victim == victim for each in done) for victim in ("scheduler", "worker")}
    print(
        f"\n{len(done)} kills ({killed['scheduler']} of schedulers, {killed['worker']} of workers): "
        f"{sum(each.finished for each in done)} nodes had finished, {sum(each.lost for each in done)} lost, "
        f"{sum(len(each.torn) for each in done)} torn files, {sum(each.resumed for each in done)} nodes went on from "
        f"checkpoints, {sum(each.equal for each in done)} of {len(done)} runs equal to undisturbed ones"
    )
    sys.exit(0 if all(each.sound for each in done) else 1)


if __name__ == "__main__":
    main()
