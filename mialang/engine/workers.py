"""Worker processes: each does one job after the other; a worker that dies is replaced, and its job done again."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from mialang.engine.events import Listener
from mialang.engine.stopping import Stop, StoppedError
from mialang.engine.store import Action, StoreError, UnwritableError
from mialang.engine.work import Failure, Job, NodeFailedError, execute

ENDING = (signal.SIGINT, signal.SIGTERM)
Message = tuple[str, Any]
AGAIN = 2  # times that a job is done again after its worker died
LOOK = 0.2  # seconds between two looks at whether somebody asked to stop
FAREWELL = 2.0  # seconds that an idle worker has to end
GPU = "cuda"
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """Runs jobs in worker processes, which are started as they are needed and stay.

    Args:
        workers: how many.
        threads: CPU threads of each; by default the cores are divided among the workers.
        stop: whether somebody asked to stop.
        gpus: how many GPUs to spread the workers over, where a job's device is `cuda` and no one of them.

    Attributes:
        slots: how many workers.
        threads: CPU threads of each.
        stop: whether somebody asked to stop.
        about: how jobs are run, for the run's record.
    """

    def __init__(self, workers: int, threads: int | None = None, stop: Stop | None = None, gpus: int = 0) -> None:
        self.slots = workers
        self.threads = threads or max(1, cores() // workers)
        self.stop = stop or Stop()
        self.about = {"on": "processes", "workers": workers, "threads": self.threads}
        self._gpus = gpus
        self._told = False
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def submit(self, job: Job, tell: Listener) -> Future[Action]:
        """Hand a job to a worker that is free, or to a new one."""
        job = replace(job, settings=replace(job.settings, threads=self.threads))
        task = Task(job, tell)
        self._start(task)
        return task.future

    def wait(self, live: Collection[Future[Action]]) -> set[Future[Action]]:
        """Take what workers tell until some job has ended, for a moment at most."""
        if self.stop.requested and not self._told:
            self._told = True
            for worker in self._busy:
                worker.send("stop")
        ended = {future for future in live if future.done()}
        if ended:
            return ended
        signs: dict[Any, _Worker] = {}
        for worker in self._busy:
            signs |= {worker.connection: worker, worker.process.sentinel: worker}
        for worker in dict.fromkeys(signs[sign] for sign in wait(list(signs), LOOK)):
            self._hear(worker)
        return {future for future in live if future.done()}

    def close(self) -> None:
        """End all workers; what they were at is lost up to its last checkpoint."""
        for worker in self._busy:
            worker.process.kill()
        for worker in self._idle:
            worker.send(None)
        for worker in (*self._busy, *self._idle):
            worker.process.join(FAREWELL)
            worker.end()
        self._busy, self._idle = [], []

    def _start(self, task: Task) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self.threads, self._free())
        worker.task = task
        self._busy.append(worker)
        job = task.job
        if self._gpus > 1 and job.settings.device == GPU:
            place = f"{GPU}:{worker.number % self._gpus}"
            job = replace(job, settings=replace(job.settings, device=place))
        worker.send(job)  # where it has died meanwhile, its sentinel says so

    def _free(self) -> int:
        """The lowest number that no worker has."""
        taken = {worker.number for worker in (*self._busy, *self._idle)}
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def _hear(self, worker: _Worker) -> None:
        """Take everything that a worker has told, and notice its death."""
        alive = worker.process.is_alive()  # asked first: what is told before death is heard all the same
        assert worker.task is not None
        task = worker.task
        with suppress(EOFError, OSError, pickle.UnpicklingError):  # it died, perhaps in the middle of a word
            while not task.future.done() and worker.connection.poll():
                take(task, worker.connection.recv())
        if task.future.done():
            self._busy.remove(worker)
            worker.task = None
            self._idle.append(worker)
        elif not alive:
            self._busy.remove(worker)
            self._bury(worker, task)

    def _bury(self, worker: _Worker, task: Task) -> None:
        """Do the job of a dead worker again, or give it up."""
        worker.end()
        if again(task, _cause(worker.process.exitcode), self.stop):
            self._start(task)


@dataclass
class Task:
    """A job under way in another process.

    Attributes:
        tries: how often it was done again.
    """

    job: Job
    tell: Listener
    future: Future[Action] = field(default_factory=Future)
    tries: int = 0


class _Worker:
    """A worker process, from outside.

    Attributes:
        number: from 0; one that takes a dead one's place takes its number.
    """

    def __init__(self, threads: int, number: int) -> None:
        self.number = number
        context = get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other,), daemon=True)
        self.task: Task | None = None
        with _thread_pools(threads), _signals_held():
            self.process.start()
        other.close()  # the worker alone holds its end, so that its death closes it

    def send(self, message: object) -> None:
        with suppress(OSError):  # it is dead
            self.connection.send(message)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def take(task: Task, message: Message) -> None:
    """Take what a process says about its job."""
    match message:
        case ("told", (event, facts)):
            task.tell(event, **facts)
        case ("made", action):
            task.future.set_result(action)
        case ("failed", problem):
            task.future.set_exception(problem)


def again(task: Task, cause: str, stop: Stop) -> bool:
    """Whether the job of a worker that died is to be done again; otherwise it ends here."""
    if stop.requested:
        task.future.set_exception(StoppedError())
        return False
    if task.tries == AGAIN:
        title = f"`{task.job.node.label}` lost its worker {task.tries + 1} times: {cause}"
        note = "the kernel kills the largest process when memory runs short"
        help_ = "give `--workers` a smaller number, or lower batch sizes, steps or records"
        task.future.set_exception(NodeFailedError(Failure(title, note, help_)))
        return False
    task.tries += 1
    task.tell("retried", reason=cause)
    return True


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"it was killed by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"it was killed by signal {-code}"
    return f"it ended with code {code}"


@contextmanager
def _thread_pools(threads: int) -> Iterator[None]:
    """Let processes that are started meanwhile size their pools of threads; numerical libraries read this on import."""
    missing = [name for name in POOLS if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, str(threads)))
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold signals back from processes that are started meanwhile: Ctrl-C reaches them before they can say what to do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- inside a worker -----------------------------------------------------------------------------------------------


def serve(connection: Connection) -> None:
    """Do the jobs that come through a connection, until it says None or closes."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # both reach all processes at once; the scheduler says what to do
    stop = Stop()
    jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, jobs, stop), daemon=True).start()

    def say(message: Message) -> None:
        try:
            connection.send(message)
        except OSError:
            os._exit(1)  # the scheduler is gone

    def tell(event: str, /, **facts: Any) -> None:
        say(("told", (event, facts)))

    while (job := jobs.get()) is not None:
        say(attempt(job, tell, stop))
    os._exit(0)  # everything is on disk; taking torch apart takes longer than a node


def attempt(job: Job, tell: Listener, stop: Stop) -> Message:
    """Do a job; return `made` and the action, or `failed` and why, in a form that travels between processes."""
    try:
        return ("made", execute(job, tell, stop))
    except UnwritableError as problem:
        return ("failed", UnwritableError(str(problem)))
    except StoreError as problem:
        return ("failed", StoreError(str(problem)))
    except NodeFailedError as problem:
        return ("failed", NodeFailedError(problem.failure))
    except StoppedError:
        return ("failed", StoppedError())


def _listen(connection: Connection, jobs: queue.SimpleQueue[Job | None], stop: Stop) -> None:
    """Take what the scheduler says; end where it is gone, for nobody waits for the work any more."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        if message == "stop":
            stop.request()
        else:
            jobs.put(message)
