"""System calls that Python has no name for, through the C library: namespaces, capabilities, process attributes."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_GET_SECCOMP = 21
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
LAST_CAPABILITY = 63
CAPABILITY_VERSION = 0x20080522

CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


@cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def linux() -> bool:
    """Whether this is Linux, of whose kernel everything here is made."""
    return sys.platform == "linux"


def machine() -> str:
    """The processor's family, as Linux names it."""
    return platform.machine()


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call.

    Raises:
        OSError: it failed.
    """
    return _checked(_library().syscall(ctypes.c_long(number), *map(_word, arguments)))


def _word(value: Any) -> Any:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def prctl(option: int, *arguments: int) -> int:
    """Change or read an attribute of this process.

    Raises:
        OSError: the kernel does not know or allow it.
    """
    words = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_library().prctl(ctypes.c_int(option), *map(ctypes.c_ulong, words)))


def unshare(flags: int) -> None:
    """Leave namespaces for fresh ones.

    Raises:
        OSError: the kernel does not allow it.
    """
    _checked(_library().unshare(ctypes.c_int(flags)))


def enter_user_namespace(flags: int) -> None:
    """Enter a fresh user namespace and others with it, under the same user and group numbers.

    Raises:
        OSError: the kernel does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | flags)
    with suppress(OSError):  # kernels before 3.19 lack the file
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def drop_capabilities() -> None:
    """Give up every capability, for good.

    Raises:
        OSError: the kernel does not allow it.
    """
    for capability in range(LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # not in the set that this process bounds others by, or beyond the kernel's last one
    with suppress(OSError):  # kernels before 4.3 have no ambient set
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    _checked(_library().capset(ctypes.byref(header), ctypes.byref(none)))


def effective_capabilities() -> int:
    """The capabilities that this process has, as bits."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    words = (ctypes.c_uint32 * 6)()
    _checked(_library().capget(ctypes.byref(header), ctypes.byref(words)))
    return int(words[0]) | int(words[3]) << 32
