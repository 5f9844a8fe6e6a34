"""Where jobs run. One seam for all: an executor takes a job and gives back a future of what it made."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from mialang.engine.store import Action
from mialang.engine.work import Job, NodeFailedError, Progress, execute


class Executor(Protocol):
    """Runs jobs.

    Attributes:
        slots: how many jobs may be under way at once.
    """

    slots: int

    def submit(self, job: Job, progress: Progress) -> Future[Action]:
        """Start a job."""

    def close(self) -> None:
        """Stop; nothing is under way any more."""


class Inline:
    """Runs each job at once, in this process."""

    slots = 1

    def submit(self, job: Job, progress: Progress) -> Future[Action]:
        """Run a job to its end."""
        future: Future[Action] = Future()
        try:
            future.set_result(execute(job, progress))
        except NodeFailedError as problem:
            future.set_exception(problem)
        return future

    def close(self) -> None:
        """Nothing is ever left under way."""
