"""Runs: a folder each, with everything that a later look needs: spec, plan, events, outcome."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mialang.diagnostics import listed
from mialang.engine.events import EventLog, Listener, fan_out
from mialang.engine.executors import Executor
from mialang.engine.files import sync_folder
from mialang.engine.schedule import Outcome, Schedule
from mialang.engine.stopping import StoppedError
from mialang.engine.store import Store, StoreError
from mialang.engine.work import Settings
from mialang.plan.model import Plan, canonical

Json = Any
STAMP = 15  # characters of a run's name that say when it began


@dataclass(frozen=True)
class Run:
    """A run and where it is kept.

    Attributes:
        id: its name: when it began, and the first digits of its plan's key.
    """

    id: str
    folder: Path

    @classmethod
    def begin(cls, store: Store, plan: Plan, clock: float | None = None) -> Run:
        """Make the folder of a new run and put spec and plan into it."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock))
        base = f"{stamp}-{plan.key[:6]}"
        for number in range(1000):
            name = base if not number else f"{base}.{number}"
            folder = store.root / "runs" / name
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            except OSError as problem:
                raise StoreError(f"no run can be kept in `{store.root}`: {problem.strerror}") from problem
            sync_folder(folder.parent)
            store.write(folder / "spec.mia", plan.spec.encode())
            # Nodes keep their order, inputs before what uses them, so the keys are not sorted.
            store.write(folder / "plan.json", json.dumps(plan.model_dump(mode="json")).encode())
            return cls(name, folder)
        raise StoreError(f"there are too many runs called `{base}`")

    @classmethod
    def every(cls, store: Store) -> list[Run]:
        """All runs of a store, in the order in which they began, also within one second."""
        found = [each for each in (store.root / "runs").glob("*") if (each / "plan.json").exists()]
        found.sort(key=lambda each: (each.name[:STAMP], _began(each), each.name))
        return [cls(each.name, each) for each in found]

    @classmethod
    def find(cls, store: Store, name: str) -> Run:
        """A run by its name, the beginning of it, or `last`.

        Raises:
            StoreError: there is no such run, or more than one.
        """
        runs = [each.folder for each in cls.every(store)]
        if name == "last":
            runs = runs[-1:]
        else:
            exact = [each for each in runs if each.name == name]
            runs = exact or [each for each in runs if each.name.startswith(name)]
        if len(runs) == 1:
            return cls(runs[0].name, runs[0])
        if not runs:
            raise StoreError(f"there is no run called `{name}` in `{store.root}`")
        raise StoreError(f"{len(runs)} runs begin with `{name}`: {listed((each.name for each in runs), most=10)}")

    def plan(self) -> Plan:
        """The plan that was run."""
        return Plan.model_validate_json((self.folder / "plan.json").read_bytes())

    def outcome(self) -> dict[str, Json]:
        """What became of each node: key, output, failures. Empty for a run that never ended.

        Raises:
            ValueError: the file holds something else.
        """
        path = self.folder / "outcome.json"
        held: Json = json.loads(path.read_bytes()) if path.exists() else {}
        nodes = held.get("nodes", {}) if isinstance(held, dict) else None
        if not isinstance(nodes, dict) or not all(isinstance(each, dict) for each in nodes.values()):
            raise ValueError(f"`{path}` holds no outcome")
        found: dict[str, Json] = held
        return found


def _began(folder: Path) -> int:
    """When a run's spec was written, in nanoseconds; where that is gone, its plan."""
    spec = folder / "spec.mia"
    return (spec if spec.exists() else folder / "plan.json").stat().st_mtime_ns


def perform(  # noqa: PLR0913 - the parts of a run
    run: Run, plan: Plan, store: Store, executor: Executor, settings: Settings, listener: Listener | None = None
) -> Outcome:
    """Run a plan; events go to the run's log and to the listener."""
    with store.used(), EventLog(run.folder / "events.jsonl") as log:
        tell = fan_out(log, listener)
        tell(
            "run started",
            run=run.id,
            nodes=len(plan.steps_among(plan.nodes)),
            settings=asdict(settings),
            **executor.about,
        )
        started = time.perf_counter()
        try:
            outcome = Schedule(plan, store, executor, tell, settings).run()
        except BaseException as problem:
            with suppress(StoreError):  # where the disk is full, the problem says so
                tell("run stopped", run=run.id, reason=_reason(problem))
            raise
        seconds = time.perf_counter() - started
        tell("run ended", run=run.id, seconds=round(seconds, 3), computed=len(outcome.actions) - len(outcome.cached),
             cached=len(outcome.cached), failed=len(outcome.failures), skipped=len(plan.steps_among(outcome.skipped)), unfinished=len(plan.steps_among(outcome.unfinished)))  # fmt: skip
    store.write(run.folder / "outcome.json", canonical(_as_json(outcome, seconds)))
    return outcome


def _reason(problem: BaseException) -> str:
    match problem:
        case StoppedError():
            return "asked to stop"
        case KeyboardInterrupt():
            return "interrupted"
    return str(problem) or type(problem).__name__


def _as_json(outcome: Outcome, seconds: float) -> dict[str, Json]:
    return {
        "seconds": round(seconds, 3),
        "nodes": {
            name: {"key": action.key, "output": action.output, "kind": action.kind, "cached": name in outcome.cached}
            for name, action in outcome.actions.items()
        },
        "failures": {name: asdict(failure) for name, failure in outcome.failures.items()},
        "skipped": dict(outcome.skipped),
        "unfinished": sorted(outcome.unfinished),
        "lacking": dict(outcome.lacking),
    }
