"""Landlock: a process gives up, for good, every file and connection that it does not name (Linux 5.13 and later).

The constants are those of `linux/landlock.h`; system calls 444 to 446 have one number on every processor.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mialang.engine.isolation.system import linux, syscall

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG = 1
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
EVERYTHING_1 = (1 << 13) - 1  # files and folders: read, write, make, remove, execute
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since version 2, 3, 5
CONNECTIONS = 0b11  # binding and connecting TCP; since version 4
SCOPES = 0b11  # abstract sockets and signals of outsiders; since version 6
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # what a rule about a single file may grant
READ = READ_FILE | READ_DIR | EXECUTE


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True)
class Allowance:
    """What a process keeps.

    Attributes:
        read: files and folders, with all beneath them, that may be read and executed.
        write: folders, with all beneath them, in which everything is allowed; and devices.
    """

    read: Sequence[Path]
    write: Sequence[Path]


def version() -> int:
    """The version of Landlock that the kernel has; 0 for none."""
    if not linux():
        return 0
    try:
        return syscall(CREATE_RULESET, 0, 0, VERSION_FLAG)
    except OSError:
        return 0


def restrict(allowance: Allowance) -> int:
    """Give up everything but the allowance; return the version of Landlock that did it.

    Needs `PR_SET_NO_NEW_PRIVS`. Applies to this thread and all that it starts.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    found = version()
    everything = EVERYTHING_1
    everything |= REFER if found >= 2 else 0
    everything |= TRUNCATE if found >= 3 else 0
    everything |= IOCTL_DEV if found >= 5 else 0
    attributes = _Attributes(everything, CONNECTIONS if found >= 4 else 0, SCOPES if found >= 6 else 0)
    size = 24 if found >= 6 else 16 if found >= 4 else 8
    ruleset = syscall(CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for paths, rights in ((allowance.read, READ), (allowance.write, everything)):
            for path in paths:
                _allow(ruleset, path, rights & everything)
        syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return found


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what does not exist needs no rule
    try:
        rule = _PathRule(rights if path.is_dir() else rights & ON_FILES, handle)
        syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(handle)
