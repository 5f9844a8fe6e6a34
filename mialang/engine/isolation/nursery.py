"""The nursery: a process that has loaded the libraries, holds nothing, and bears the processes of steps.

Loading takes seconds, and a step may take milliseconds. So one process loads once, before any attack runs, in an environment
of its own, and forks for each step. It runs no code of any attack. It is talked to through a socket; who bears its children keeps the
other ends of their pipes.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mialang.engine.isolation import system
from mialang.engine.isolation.boundary import Boundary, Room, wrapped

Json = Any
LONGEST = 2**20  # bytes of a message to the nursery
STARTING = 120.0  # seconds that loading may take
# What numerical libraries are told by; everything else of the environment stays outside.
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_BLOCKTIME",
        "KMP_AFFINITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG",
        "LD_LIBRARY_PATH")  # fmt: skip


LATE = ("torch._dynamo",)  # what libraries load when they are first used, in seconds; every optimiser asks for it


class NurseryError(Exception):
    """The nursery does not start, or has died."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        status: as `os.wait` gives it.
        peak: KiB of memory that it took at most.
    """

    status: int
    peak: int


class Nursery:
    """The process, as seen by who has steps to do.

    Args:
        boundary: decides whether the nursery itself starts inside bubblewrap.
        read: what bubblewrap shows; used only then.

    Attributes:
        owner: number of the process whose nursery this is.
        program: bubblewrap, if it runs inside.
        folder: where the temporary folders of its children lie.
        read: what its children can be shown.
    """

    def __init__(self, boundary: Boundary, read: Sequence[Path]) -> None:
        self.owner = os.getpid()
        self.program = boundary.bubblewrap
        self.read = frozenset(read)
        self.folder = Path(tempfile.mkdtemp(prefix="mialang-steps-"))
        self.folder.chmod(0o711)  # another user's step reaches its own folder in it
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from mialang.engine.isolation.nursery import serve; serve(int(sys.argv[2]))"
        path = [str(Path(each).absolute()) for each in sys.path]
        command = [str(Path(sys.executable).resolve()), "-I", "-c", start, json.dumps(path), str(other.fileno())]
        if boundary.bubblewrap:
            command = wrapped(boundary.bubblewrap, command, Room(tuple(read), self.folder))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with other:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                command, env={**kept, "PYTHONDONTWRITEBYTECODE": "1"}, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=self._log, cwd="/",
            )  # fmt: skip
        self._socket = own
        own.settimeout(STARTING)
        try:
            self._reply()
        except NurseryError:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can bear children of this process."""
        return self.owner == os.getpid() and self._process.poll() is None

    def serves(self, boundary: Boundary, read: Sequence[Path]) -> bool:
        """Whether it can bear a child behind a boundary that reads some folders."""
        return self.alive and self.program == boundary.bubblewrap and (not self.program or self.read >= set(read))

    def bear(self, config: Mapping[str, Json], descriptors: Sequence[int]) -> int:
        """Start a child; return its number. The descriptors become its own: to read, to write, for its log."""
        return int(self._ask({"do": "bear", "config": config}, descriptors)["process"])

    def end(self, process: int) -> Ended:
        """End a child, if it has not ended, and say how it did."""
        told = self._ask({"do": "end", "process": process})
        return Ended(told["status"], told["peak"])

    def _ask(self, question: Json, descriptors: Sequence[int] = ()) -> dict[str, Json]:
        try:
            socket.send_fds(self._socket, [json.dumps(question).encode()], list(descriptors))
        except OSError as problem:
            raise NurseryError(self._why()) from problem
        return self._reply()

    def _reply(self) -> dict[str, Json]:
        try:
            told = self._socket.recv(LONGEST)
        except OSError as problem:
            raise NurseryError(self._why()) from problem
        if not told:
            raise NurseryError(self._why())
        found: dict[str, Json] = json.loads(told)
        return found

    def _why(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._log.seek(0)
        text = self._log.read()
        return text.decode(errors="replace").strip()[-2000:] or "the process that bears isolated steps does not answer"

    def close(self) -> None:
        """End the nursery and all its children."""
        if self.owner != os.getpid():
            return
        self._socket.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# -- the one of this process ---------------------------------------------------------------------------------------

_current: dict[str, Nursery] = {}


def nursery(boundary: Boundary, read: Sequence[Path]) -> Nursery:
    """The nursery of this process; it is started where there is none, and again where it has died or shows too little.

    Raises:
        NurseryError: it does not start.
    """
    found = _current.get("nursery")
    if found is None or not found.serves(boundary, read):
        if found is None:
            atexit.register(close)
        else:
            found.close()
        _current["nursery"] = Nursery(boundary, read)
    return _current["nursery"]


def close() -> None:
    """End the nursery of this process, if there is one."""
    found = _current.pop("nursery", None)
    if found is not None:
        found.close()


# -- inside it -----------------------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Load the libraries, and bear children as long as somebody asks. What is asked comes from mialang alone."""
    import mialang.operators  # noqa: F401, PLC0415 - sets how torch's threads wait, before torch is loaded
    from mialang.engine.isolation import far, inside, probe  # noqa: F401, PLC0415 - loaded here, once for all children

    if system.linux():
        system.prctl(system.PR_SET_DUMPABLE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner decides when children end
    children: set[int] = set()
    with socket.socket(fileno=descriptor) as owner:
        owner.send(b"{}")
        while True:
            text, descriptors, _, _ = socket.recv_fds(owner, LONGEST, 3)
            if not text:
                break
            asked = json.loads(text)
            match asked["do"]:
                case "bear":
                    process = _bear(asked["config"], descriptors, owner)
                    children.add(process)
                    owner.send(json.dumps({"process": process}).encode())
                case "end":
                    children.discard(asked["process"])
                    owner.send(json.dumps(_end(asked["process"])).encode())
    for process in children:
        _end(process)
    os._exit(0)  # nothing is left to tidy up, and the libraries take seconds to do so


def _bear(config: Mapping[str, Json], descriptors: Sequence[int], owner: socket.socket) -> int:
    if config["modules"]:
        _load([*config["modules"], *LATE])
    process = os.fork()
    if process == 0:
        from mialang.engine.isolation.inside import begin  # noqa: PLC0415

        owner.detach()  # closed with every other file that is not the child's
        begin(config, *descriptors)
    for each in descriptors:
        os.close(each)
    return process


def _load(modules: Sequence[str]) -> None:
    """Load modules of mialang's own that a step will need, so that the next step has them too."""
    from importlib import import_module  # noqa: PLC0415

    for name in modules:
        if name.startswith("mialang.") or name in LATE:
            with suppress(ImportError):  # the step will say so itself
                import_module(name)


def _end(process: int) -> dict[str, int]:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    try:
        _, status, usage = os.wait4(process, 0)
    except ChildProcessError:
        return {"status": 0, "peak": 0}
    return {"status": status, "peak": usage.ru_maxrss}
