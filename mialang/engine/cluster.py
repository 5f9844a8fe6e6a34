"""Jobs on a Ray cluster: one machine's, or one of many that share the store's folder, or a place that fsspec reaches."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from mialang.engine.events import Listener
from mialang.engine.mirror import Mirror
from mialang.engine.stopping import Stop
from mialang.engine.store import Action, Store
from mialang.engine.work import Job
from mialang.engine.workers import GPU, LOOK, Message, Task, again, attempt, cores, take

PATIENCE = 5.0  # seconds that an address may take to be there; Ray itself would wait for minutes
ASK = 1.0  # seconds between two questions of a worker whether to stop


def reach(address: str) -> None:
    """Look whether anybody listens at the address of a cluster: `host:port` or `ray://host:port`; `auto` and `local` are none.

    Raises:
        ValueError: it is no such address.
        OSError: nobody listens there, or not within a few seconds.
    """
    scheme, _, _ = address.rpartition("://")
    if address in ("auto", "local") or scheme not in ("", "ray"):
        return
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("an address is HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except TimeoutError as problem:
        raise TimeoutError(f"nobody answers within {PATIENCE:g} s") from problem


class RayCluster:
    """Runs jobs as Ray tasks.

    Args:
        workers: how many jobs at once; None = as many as the cluster has room for, looked up once.
        address: of a cluster, as `ray start` prints it, or `auto`; None = a cluster of this machine alone, made now.
        threads: CPU threads of each job; by default the cores are divided among the workers.
        share: a place that fsspec reaches (`s3://bucket/audit`), for machines that do not see the store's folder.
        stop: whether somebody asked to stop.

    Attributes:
        slots: how many jobs at once.
        about: how jobs are run, for the run's record.

    Raises:
        OSError: nobody listens at the address.
        ValueError: it is no address.
    """

    def __init__(  # noqa: PLR0913 - what a cluster is described by
        self,
        workers: int | None = None,
        address: str | None = None,
        threads: int | None = None,
        share: str | None = None,
        stop: Stop | None = None,
        device: str = "cpu",
    ) -> None:
        if address:
            reach(address)
        ray: Any = import_module("ray")  # an extra
        self.stop = stop or Stop()
        self._ray = ray
        self._mirror = Mirror(share) if share else None
        self._share = share
        self._told = False
        self._tasks: dict[int, Task] = {}
        self._references: dict[Any, int] = {}
        self._started = 0
        self._own = not ray.is_initialized()
        here = cores()
        self.threads = threads or max(1, here // (workers or here))
        if self._own:
            # A machine has room for as many workers as it was asked for, whatever it has of cores.
            room = {} if address else {"num_cpus": self.threads * (workers or max(1, here // self.threads))}
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(address=address or "local", include_dashboard=None if address else False, log_to_driver=False,
                     logging_level="ERROR", **room)  # fmt: skip
        self._gpus = 1.0 if device.startswith(GPU) else 0.0
        total = ray.cluster_resources()
        fits = int(total.get("CPU", 1) // self.threads)
        if self._gpus:
            fits = min(fits, int(total.get("GPU", 0) // self._gpus))
        self.slots = workers or max(1, fits)
        self.about = {"on": "ray", "workers": self.slots, "threads": self.threads, "address": address or "local"}
        self._reports = ray.remote(num_cpus=0)(Reports).remote()

    def submit(self, job: Job, tell: Listener) -> Future[Action]:
        """Hand a job to the cluster."""
        if self._mirror is not None:
            self._mirror.offer(Store(job.store), [output for output, _ in job.inputs.values()])
        # A task sees the GPUs that the cluster gives it, counted from 0.
        device = GPU if self._gpus else job.settings.device
        settings = replace(job.settings, threads=self.threads, device=device)
        task = Task(replace(job, store=job.store.resolve(), settings=settings), tell)
        self._start(task)
        return task.future

    def _start(self, task: Task) -> None:
        self._started += 1
        remote = self._ray.remote(num_cpus=self.threads, num_gpus=self._gpus, max_retries=0)(work)
        reference = remote.remote(task.job, self._started, self._reports, self._share)
        self._tasks[self._started] = task
        self._references[reference] = self._started

    def wait(self, live: Collection[Future[Action]]) -> set[Future[Action]]:
        """Take what workers tell until some job has ended, for a moment at most."""
        if self.stop.requested and not self._told:
            self._told = True
            self._reports.ask_to_stop.remote()
        ended, _ = self._ray.wait(list(self._references), timeout=LOOK)
        for number, event, facts in self._ray.get(self._reports.take.remote()):
            if number in self._tasks:
                self._tasks[number].tell(event, **facts)
        for reference in ended:
            task = self._tasks.pop(self._references.pop(reference))
            try:
                word, value = self._ray.get(reference)
            except self._ray.exceptions.RayError as problem:  # its process died, or its machine
                if again(task, str(problem).splitlines()[0], self.stop):
                    self._start(task)
                continue
            if word == "made" and self._mirror is not None:
                self._mirror.fetch(Store(task.job.store), value)
            take(task, (word, value))
        return {future for future in live if future.done()}

    def close(self) -> None:
        """End all jobs, and the cluster if it was made for this run."""
        for reference in self._references:
            self._ray.cancel(reference, force=True)
        self._references, self._tasks = {}, {}
        if self._own:
            self._ray.shutdown()


class Reports:
    """Where workers tell what happens, and hear whether to stop: an actor of the cluster."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str, dict[str, Any]]] = []
        self._stop = False

    def tell(self, number: int, event: str, facts: dict[str, Any]) -> None:
        """Keep an event of a job."""
        self._told.append((number, event, facts))

    def take(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Hand over what was told since."""
        told, self._told = self._told, []
        return told

    def ask_to_stop(self) -> None:
        """Let workers know that somebody asked to stop."""
        self._stop = True

    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop


def work(job: Job, number: int, reports: Any, share: str | None) -> Message:
    """Do a job inside the cluster.

    Args:
        job: what to do; its store is a folder that this machine sees, unless results are shared elsewhere.
        number: what the job is called in reports.
        reports: a handle of `Reports`.
        share: where results are shared; None = in the store's folder.
    """

    def tell(event: str, /, **facts: Any) -> None:
        reports.tell.remote(number, event, facts)

    stop = Stop()
    with _asking(reports, stop):
        if share is None:
            return attempt(job, tell, stop)
        folder = Path(tempfile.gettempdir()) / f"mialang-{os.getuid()}"
        return Mirror(share).through(folder, job, tell, lambda job, tell: attempt(job, tell, stop))


@contextmanager
def _asking(reports: Any, stop: Stop) -> Iterator[None]:
    """Ask now and then whether to stop."""
    ray: Any = import_module("ray")
    over = threading.Event()

    def ask() -> None:
        while not over.wait(ASK):
            if ray.get(reports.stopping.remote()):
                stop.request()
                return

    threading.Thread(target=ask, daemon=True).start()
    try:
        yield
    finally:
        over.set()
