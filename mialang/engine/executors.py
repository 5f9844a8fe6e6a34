"""Where jobs run. One seam for all: an executor takes a job and gives back a future of what it made."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from typing import Any, Protocol

from mialang.engine.events import Listener
from mialang.engine.stopping import Stop, StoppedError
from mialang.engine.store import Action, StoreError
from mialang.engine.work import Job, NodeFailedError, execute


class Executor(Protocol):
    """Runs jobs.

    Attributes:
        slots: how many jobs may be under way at once.
        stop: whether somebody asked to stop.
        about: how jobs are run, for the run's record.
    """

    slots: int
    stop: Stop
    about: dict[str, Any]

    def submit(self, job: Job, tell: Listener) -> Future[Action]:
        """Start a job; `tell` takes what happens on the way, from within `submit` and `wait` only."""

    def wait(self, live: Collection[Future[Action]]) -> set[Future[Action]]:
        """Wait until some of the jobs under way have ended, or somebody asks to stop; return those that have."""

    def close(self) -> None:
        """End at once; nothing is under way any more."""


class Inline:
    """Runs each job at once, in this process."""

    slots = 1

    def __init__(self, stop: Stop | None = None) -> None:
        self.stop = stop or Stop()
        self.about: dict[str, Any] = {"on": "inline"}

    def submit(self, job: Job, tell: Listener) -> Future[Action]:
        """Run a job to its end."""
        future: Future[Action] = Future()
        try:
            future.set_result(execute(job, tell, self.stop))
        except (NodeFailedError, StoreError, StoppedError) as problem:
            future.set_exception(problem)
        return future

    def wait(self, live: Collection[Future[Action]]) -> set[Future[Action]]:
        """Every job has ended when it has begun."""
        return set(live)

    def close(self) -> None:
        """Nothing is ever left under way."""
