"""The probe: mialang's own look, from inside the boundary, at what must be out of reach. A boundary is believed only after it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mialang.engine.isolation import system

Json = Any
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
PTRACE = {"x86_64": 101, "aarch64": 117}
READ_OTHERS = {"x86_64": 310, "aarch64": 270}


def look(asked: Mapping[str, Json]) -> list[str]:
    """Try what an attack would; return what could be reached, in words. Nothing is the right answer.

    Args:
        asked: `files` and folders that must not be read, `process` whose memory and environment must not be, `address` in its
            memory that holds something, and the `port` of a listener of its own on this machine.
    """
    found = [f"`{file}`" for file in asked["files"] if _reads(file)]
    process = asked["process"]
    tries: dict[str, Callable[[], bool]] = {
        "the environment of the process that holds the target": lambda: bool(_proc(process, "environ")),
        "the open files of the process that holds the target": lambda: any(Path(f"/proc/{process}/fd").iterdir()),
        "the memory of the process that holds the target": lambda: _memory(process, asked["address"]),
        "the memory of the process that holds the target, by system call": lambda: _read_other(
            process, asked["address"]
        ),
        "tracing the process that holds the target": lambda: _trace(process),
        "signals to the process that holds the target": lambda: _signals(process),
        "the network": lambda: _connects(asked["port"]),
    }
    return found + [what for what, try_it in tries.items() if _works(try_it)]


def _works(try_it: Callable[[], bool]) -> bool:
    try:
        return try_it()
    except OSError:
        return False


def _reads(file: str) -> bool:
    """Whether a file can be opened, or a folder be listed."""
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _proc(process: int, name: str) -> bytes:
    return Path(f"/proc/{process}/{name}").read_bytes()


def _memory(process: int, address: int) -> bool:
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as file:
        file.seek(address)
        return bool(file.read(8))


class _Piece(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _read_other(process: int, address: int) -> bool:
    if system.machine() not in READ_OTHERS:
        return False
    held = ctypes.create_string_buffer(8)
    here, there = _Piece(ctypes.addressof(held), 8), _Piece(address, 8)
    number = READ_OTHERS[system.machine()]
    return system.syscall(number, process, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0


def _signals(process: int) -> bool:
    os.kill(process, 0)
    return True


def _trace(process: int) -> bool:
    if system.machine() not in PTRACE:
        return False
    system.syscall(PTRACE[system.machine()], PTRACE_ATTACH, process, 0, 0)
    with suppress(OSError):
        os.waitpid(process, 0)
    system.syscall(PTRACE[system.machine()], PTRACE_DETACH, process, 0, 0)
    with suppress(OSError):
        os.kill(process, signal.SIGCONT)
    return True


def _connects(port: int) -> bool:
    with socket.socket() as made:
        made.settimeout(2)
        made.connect(("127.0.0.1", port))
        return True
