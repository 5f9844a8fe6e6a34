# ruff: noqa: PTH101, PTH116, PTH123, PTH208, PLW0108, RUF015, T201 - an attack takes whatever way there is
"""An attack that cheats: every function tries to get something of the target other than by asking, and says what it got."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.handles import Handle
from mialang.operators.models import Architecture, Model
from mialang.operators.run import Json, Run
from mialang.plan.model import Node, Plan
from tests.engine.toys import plan

MARK = "d41c9f-the-secret-of-the-target"  # what the store, the environment, files and memory of the holder contain
SHAPE, CLASSES = (4,), (3, 5, 8)


@dataclass(frozen=True, eq=False)
class Loot(Artefact, kind="loot"):
    """What an attack got, in words."""

    found: tuple[str, ...]

    def arrays(self) -> dict[str, Array]:
        return {}

    def facts(self) -> dict[str, Json]:
        return {"found": list(self.found)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        return cls(tuple(facts["found"]))


def weights() -> np.ndarray[Any, Any]:
    """The secret of the target: numbers that occur nowhere else."""
    return (np.arange(12, dtype=np.float32).reshape(3, 4) * 0.0137 + 0.739085133).astype(np.float32)


def target(*, run: Run) -> Model:
    """A classifier with the secret for its weights."""
    state = {"1.weight": torch.from_numpy(weights()), "1.bias": torch.zeros(3)}
    return Model(Architecture("bare", {}, __name__), SHAPE, CLASSES, state, {"mark": MARK})


def bare(shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
    """One linear layer."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), outputs))


def _register() -> None:
    from mialang.operators.models import BUILDERS

    BUILDERS["bare"] = bare


_register()


def audit(
    function: str, sees: Mapping[str, float | None] | None = None, queries: int | None = None, **params: Any
) -> Plan:
    """A target, its handle, and one attack."""
    handle = {"model": {"$node": "target"}, "sees": dict(sees or {"scores": None}), "knows": [], "transforms": [], "decoy": "",
              "noisy": False}  # fmt: skip
    made = {"of": {"$handle": "handle"}, **params}
    return plan([
        Node(id="target", label="target", role="target", operator="target", python=f"{__name__}:target", version=1, kind="model",
             params={}),
        Node(id="handle", label="handle", role="handle", operator="handle", python="", version=1, kind="model", params=handle,
             inputs=("target",)),
        Node(id="attack", label=function, role="attack", operator=function, python=f"{__name__}:{function}", version=1,
             kind="loot", params=made, inputs=("handle",), seed=7, queries=queries),
    ])  # fmt: skip


Try = Callable[[], object]


def got(tries: Mapping[str, Try]) -> tuple[str, ...]:
    """The names of what could be had."""
    found = []
    for name, attempt in tries.items():
        with suppress(Exception):
            if attempt():
                found.append(name)
    return tuple(found)


# -- places --------------------------------------------------------------------------------------------------------


def files(*, of: Handle, store: str, data: str, holder: int, run: Run) -> Loot:
    """The store, the data, whatever else lies about; to read, to write, by link and by another name."""
    blobs = Path(store) / "blobs"

    def linked() -> bytes:
        os.link(next(Path(store).rglob("*.safetensors")), "loot")
        return Path("loot").read_bytes()

    def by_symlink() -> list[str]:
        Path("way").symlink_to(store)
        return os.listdir("way")

    return Loot(got({
        "the store's list": lambda: os.listdir(store),
        "the store's blobs": lambda: [each.read_bytes() for each in blobs.rglob("*.safetensors")],
        "the store by number": lambda: os.listdir(os.open(store, os.O_PATH)),
        "the store by symbolic link": by_symlink,
        "the store by hard link": linked,
        "the store through the holder's root": lambda: os.listdir(f"/proc/{holder}/root{store}"),
        "the data": lambda: (Path(data) / "secret.txt").read_text(),
        "the working directory": lambda: os.listdir(f"/proc/{holder}/cwd"),
        "passwords": lambda: Path("/etc/passwd").read_text(),
        "a home": lambda: os.listdir(Path("~root").expanduser()),
        "writing into the store": lambda: (Path(store) / "planted").write_text("x"),
        "opening the store to all": lambda: os.chmod(store, 0o755) is None,
        "the store's owner": lambda: os.chown(store, os.getuid(), os.getgid()) is None,
        "the store's times": lambda: os.utime(store, (0, 0)) is None,
        "emptying what the store holds": lambda: os.truncate(next(Path(store).rglob("format")), 0) is None,
        "marks on the store": lambda: os.setxattr(store, "user.mark", b"x") is None,
        "writing beside the code": lambda: Path(np.__file__).with_name("planted.py").write_text("x"),
        "writing into mialang": lambda: Path(sys.modules["mialang"].__file__ or "").with_name("planted.py").write_text("x"),
        "writing into /tmp": lambda: Path(f"/tmp/planted-{os.getpid()}").write_text("x"),
        "shared memory": lambda: Path(f"/dev/shm/planted-{os.getpid()}").write_text("x"),
    }))  # fmt: skip


def outlines(*, of: Handle, store: str, run: Run) -> Loot:
    """What a file tells without being opened."""
    return Loot(got({"that a known file exists, and its size": lambda: os.stat(Path(store) / "format").st_size}))


def environment(*, of: Handle, holder: int, run: Run) -> Loot:
    """What the environment of this process and of others holds."""
    return Loot(got({
        "own environment": lambda: MARK in repr(os.environ),
        "own environment by the kernel": lambda: MARK in Path("/proc/self/environ").read_text(),
        "the holder's environment": lambda: Path(f"/proc/{holder}/environ").read_bytes(),
        "another's environment": lambda: [Path(f"/proc/{each}/environ").read_bytes() for each in range(1, 70_000, 1)][0],
        "own command line": lambda: MARK in " ".join(sys.orig_argv),
    }))  # fmt: skip


def processes(*, of: Handle, holder: int, address: int, run: Run) -> Loot:
    """Other processes: their list, files, memory, and whoever traces or signals them."""
    library = ctypes.CDLL(None, use_errno=True)

    def called(number: int, *arguments: Any) -> bool:
        return bool(library.syscall(ctypes.c_long(number), *arguments) >= 0)

    def by_call() -> bool:
        held = ctypes.create_string_buffer(len(MARK))
        here = (ctypes.c_void_p * 2)(ctypes.addressof(held), len(MARK))
        there = (ctypes.c_void_p * 2)(address, len(MARK))
        library.process_vm_readv(holder, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        return held.raw == MARK.encode()

    def by_file() -> bool:
        with open(f"/proc/{holder}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return file.read(len(MARK)) == MARK.encode()

    def traced() -> bool:
        return bool(library.ptrace(16, holder, 0, 0) == 0)

    x86 = os.uname().machine == "x86_64"
    return Loot(got({
        "a list of processes": lambda: [each for each in os.listdir("/proc") if each.isdigit()],
        "the holder's command line": lambda: Path(f"/proc/{holder}/cmdline").read_bytes(),
        "the holder's map of memory": lambda: Path(f"/proc/{holder}/maps").read_text(),
        "the holder's files": lambda: os.listdir(f"/proc/{holder}/fd"),
        "the holder's memory by file": by_file,
        "the holder's memory by call": by_call,
        "tracing the holder": traced,
        "a signal to the holder": lambda: os.kill(holder, 0) is None,
        "a signal to everybody": lambda: os.kill(-1, 0) is None,
        "a number of the holder": lambda: os.pidfd_open(holder),
        "the nursery's memory": lambda: Path(f"/proc/{os.getppid()}/mem").read_bytes(),
        "a process of its own": lambda: os.fork() >= 0,
        "a program of its own": lambda: subprocess.run(["true"], check=True),
        "another program in its place": lambda: os.execv("/bin/true", ["true"]),
        "limits of the holder": lambda: __import__("resource").prlimit(holder, 7),
        "a mount": lambda: x86 and called(165, b"none", b".", b"tmpfs", 0, 0),
        "another root": lambda: os.chroot("."),
        "rights of root": lambda: os.setuid(0) is None and open("/etc/shadow").read(),
        "a ring of calls": lambda: x86 and called(425, 8, ctypes.create_string_buffer(256)),
        "shared memory by number": lambda: x86 and called(29, 0x1234, 4096, 0o1666),
    }))  # fmt: skip


def harmless_processes(*, of: Handle, holder: int, address: int, run: Run) -> Loot:
    """Those of `processes` that harm nobody where they succeed."""

    def by_file() -> bool:
        with open(f"/proc/{holder}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return file.read(len(MARK)) == MARK.encode()

    return Loot(got({
        "a list of processes": lambda: [each for each in os.listdir("/proc") if each.isdigit()],
        "the holder's memory by file": by_file,
        "a signal to the holder": lambda: os.kill(holder, 0) is None,
    }))  # fmt: skip


def descriptors(*, of: Handle, run: Run) -> Loot:
    """Whatever is open: only the two pipes, the log and an empty input are its own."""
    kinds = []
    for number in range(256):
        with suppress(OSError):
            status = os.fstat(number)
            kinds.append((number, status.st_mode & 0o170000))
    pipes = [number for number, kind in kinds if kind == 0o010000]
    log = [number for number, kind in kinds if kind == 0o100000]
    others = [number for number, kind in kinds if number not in (0, *pipes, *log)]
    told = {
        "more than two pipes": lambda: len(pipes) > 2,
        "sockets and other files": lambda: others,
        "files beside the log": lambda: set(log) - {1, 2},
        "something to read from the log": lambda: os.pread(1, 10, 0),
    }
    return Loot(got(told))


def network(*, of: Handle, port: int, run: Run) -> Loot:
    """Connections: to the machine itself, to the world, by names in the file system and out of it."""

    def connected(family: int, kind: int, place: Any) -> bool:
        with socket.socket(family, kind) as made:
            made.settimeout(2)
            made.connect(place)
            return True

    def made(how: Callable[[], socket.socket]) -> bool:
        how().close()
        return True

    def in_a_thread() -> bool:
        found: list[bool] = []

        def attempt() -> None:
            with suppress(OSError):
                found.append(connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)))

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        return bool(found)

    library = ctypes.CDLL(None, use_errno=True)
    return Loot(got({
        "this machine": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        "this machine, from a thread": in_a_thread,
        "this machine, by datagram": lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
        "this machine, version 6": lambda: connected(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port)),
        "the world": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80)),
        "a name out of the file system": lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + MARK),
        "the kernel": lambda: made(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "packets": lambda: made(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "a listener": lambda: made(lambda: socket.create_server(("127.0.0.1", 0))),
        "a socket by the C library": lambda: library.socket(2, 1, 0) >= 0,
        "names of hosts": lambda: socket.getaddrinfo("example.org", 80),
    }))  # fmt: skip


# -- memory of its own ---------------------------------------------------------------------------------------------


def _reachable() -> Iterator[Any]:
    yield from gc.get_objects()
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_locals
        yield frame.f_globals
        frame = frame.f_back  # type: ignore[assignment]


def memory(*, of: Handle, run: Run) -> Loot:
    """Objects of this process: tensors, arrays, texts, models, and what the handle hides."""
    secret = weights()

    def holds(value: Any) -> bool:
        if isinstance(value, torch.Tensor):
            flat = value.detach().flatten().float()
            return flat.numel() >= 12 and bool(torch.isin(torch.from_numpy(secret.flatten()), flat).all())
        if isinstance(value, np.ndarray):
            return value.dtype == np.float32 and bool(np.isin(secret, value).all())
        if isinstance(value, bytes | bytearray):
            return secret.tobytes() in value
        if isinstance(value, dict):
            return any(isinstance(each, bytes | bytearray) and secret.tobytes() in each for each in value.values())
        return isinstance(value, Model)

    of.ask("scores", torch.zeros(2, 4))
    own = {id(secret)}
    # What is only reachable from here, or drawn by calling `weights` again, is no loot.
    loot = [type(value).__name__ for value in list(_reachable()) if id(value) not in own and holds(value)]
    hidden = [
        name for name in ("_Handle__answers", "_ModelAnswers__model") if hasattr(getattr(of, name, None), "_model")
    ]
    told = {"objects": lambda: loot, "a model behind the handle": lambda: hidden}
    return Loot(got(told))


# -- the pipe ------------------------------------------------------------------------------------------------------


def forged(*, of: Handle, run: Run) -> Loot:
    """Questions that the handle's own code would not put: other handles, more than is granted, weights, graphs of others."""
    from mialang.engine.isolation.far import call

    channel = of._Handle__answers._channel  # type: ignore[attr-defined]
    x = torch.zeros(2, 4)

    def ask(**changed: Any) -> Any:
        return call(
            channel,
            {"said": "ask", "handle": "handle", "name": "scores", "x": x, "size": {}, "gradient": False, **changed},
        )

    return Loot(got({
        "the weights": lambda: call(channel, {"said": "model", "handle": "handle"}),
        "logits": lambda: ask(name="logits"),
        "gradients": lambda: ask(x=x.clone().requires_grad_(), gradient=True),
        "a graph of another": lambda: call(channel, {"said": "turn back", "ticket": 1, "gradient": x}),
        "what it may not know": lambda: call(channel, {"said": "know", "handle": "handle", "name": "architecture"}),
        "more than the budget": lambda: [ask() for _ in range(20)],
        "a function by name": lambda: ask(name="__class__"),
    }))  # fmt: skip


def other_handle(*, of: Handle, run: Run) -> Loot:
    """A handle that it was not given."""
    from mialang.engine.isolation.far import call

    call(of._Handle__answers._channel, {"said": "remaining", "handle": "target"})  # type: ignore[attr-defined]
    return Loot(("another handle",))


def garbage(*, of: Handle, how: str, run: Run) -> Loot:
    """Send what is no message."""
    channel = of._Handle__answers._channel  # type: ignore[attr-defined]
    pipe = channel._sending
    os.set_blocking(pipe, True)
    frames: dict[str, bytes] = {
        "noise": os.urandom(4096),
        "huge": struct.pack(">Q", 2**62),
        "tiny": struct.pack(">Q", 1) + b"x",
        "no json": struct.pack(">QI", 4 + 5, 5) + b"hello",
        "deep": _framed(b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b',"arrays":[]}'),
        "no message": _framed(b'{"value":3,"arrays":[]}'),
        "no word": _framed(b'{"value":{"$pairs":[["said","dance"]]},"arrays":[]}'),
        "a class": _framed(b'{"value":{"$made":"os:system","fields":{"command":"true"}},"arrays":[]}'),
        "an array that is not there": _framed(b'{"value":{"$tensor":7},"arrays":[]}'),
        "an array that is too large": _framed(b'{"value":{"$array":0},"arrays":[["float64",[1000000000,1000000000]]]}'),
        "memory out of order": _framed(
            b'{"value":{"$tensor":0,"stride":[1099511627776]},"arrays":[["uint8",[2]]]}', b"ab"
        ),
        "half": struct.pack(">Q", 1000) + b"abc",
    }
    for _ in range(1):
        os.write(pipe, frames[how])
    time.sleep(30)
    return Loot(("nobody minded",))


def _framed(header: bytes, rest: bytes = b"") -> bytes:
    return struct.pack(">QI", 4 + len(header) + len(rest), len(header)) + header + rest


def silent(*, of: Handle, run: Run) -> Loot:
    """Say nothing."""
    time.sleep(600)
    return Loot(())


def dies(*, of: Handle, how: str, run: Run) -> Loot:
    """End without a word."""
    print("last words \x1b[2J of the step", flush=True)
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    if how == "memory":
        held = [np.ones(2**28) for _ in range(2**20)]
        return Loot((f"{len(held)} GiB",))
    ctypes.string_at(0)
    return Loot(())


def unread(*, of: Handle, run: Run) -> Loot:
    """Ask without ever taking an answer."""
    channel = of._Handle__answers._channel  # type: ignore[attr-defined]
    question = {
        "said": "ask",
        "handle": "handle",
        "name": "scores",
        "x": torch.zeros(200_000, 4),
        "size": {},
        "gradient": False,
    }
    for _ in range(50):
        channel.send(question)
    time.sleep(600)
    return Loot(())


def honest(*, of: Handle, run: Run) -> Loot:
    """Ask what may be asked, one time more than may be."""
    answers = of.ask("scores", torch.eye(4))
    run.note("remaining", of.remaining)
    run.progress(1, 2, loss=0.5)
    drawn = torch.rand(2, generator=run.generator)
    return Loot((f"{answers.sum():.6f}", f"{drawn.tolist()}", f"{of.classes} {of.shape}"))


def gradients(*, of: Handle, critic: Sequence[float], run: Run) -> Loot:
    """Descend through the target and through something of its own at once."""
    x = torch.rand(3, 4, generator=run.generator).requires_grad_()
    own = torch.tensor(critic)
    for _ in range(3):
        first = of.ask("scores", x)
        second = of.ask("scores", x * 0.5)
        cost = (first.log()[:, 0] + second[:, 1]).sum() + (x * own).square().sum() - (x * own).sin().sum()
        (slope,) = torch.autograd.grad(cost, x)
        x = (x - 0.1 * slope).detach().requires_grad_()
    return Loot((x.detach().numpy().tobytes().hex(),))


def white_box(*, of: Any, run: Run) -> Loot:
    """Take the weights, where they are granted."""
    model = of.model()
    return Loot((model.state["1.weight"].numpy().tobytes().hex(),))


# -- results that lay a trap ---------------------------------------------------------------------------------------


def trojan(*, of: Handle, run: Run) -> Model:
    """A model whose network is built by code of this package."""
    architecture = Architecture(
        "module", {"path": "tests.engine.malice:Trap", "arguments": {}}, "mialang.operators.image.architectures"
    )
    return Model(architecture, SHAPE, CLASSES, {"1.weight": torch.zeros(3, 4), "1.bias": torch.zeros(3)}, {})


class Trap(torch.nn.Module):
    """Code that would run where the target is."""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        raise AssertionError("the trap fell shut")


@dataclass(frozen=True, eq=False)
class Inputs(Artefact, kind="malice_inputs"):
    """Two inputs."""

    inputs: torch.Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def arrays(self) -> dict[str, Array]:
        return {"inputs": self.inputs.numpy()}

    def facts(self) -> dict[str, Json]:
        return {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        return cls(torch.from_numpy(arrays["inputs"].copy()))


def inputs(*, run: Run) -> Inputs:
    """Two inputs."""
    return Inputs(torch.zeros(2, 4))


def counted(*, of: Any, run: Run) -> Loot:
    """What it was given, in words."""
    return Loot((f"{type(of).__name__} of {len(of)}",))


# -- steps that are interrupted ------------------------------------------------------------------------------------


def interrupted(*, of: Handle, steps: int, run: Run) -> Loot:
    """Ask and draw step by step; the process dies in the middle, the first time."""
    resumed = bool(run.resumed)
    loop = run.loop("steps", steps)
    loop.kept.update(total=torch.zeros(()), answers=torch.zeros(()))
    for step in loop:
        loop.kept["total"] = loop.kept["total"] + torch.rand((), generator=run.generator)
        loop.kept["answers"] = loop.kept["answers"] + of.ask("scores", torch.full((1, 4), float(step))).sum()
        time.sleep(0.1)
        if step == steps - 3 and not resumed and "mialang-steps-" in str(Path.cwd()):
            os._exit(9)
    run.note("first", 0 if resumed else 1)
    return Loot((f"{loop.kept['total'].item()!r} {loop.kept['answers'].item()!r}",))
