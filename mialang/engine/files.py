"""Files that are there whole or not at all, whatever dies while they are written: a process, the machine, the disk.

A file is written under a temporary name, flushed to disk and renamed, and its folder is flushed too. Who writes holds a
lock on the temporary file, which the kernel takes back when the writer dies: so a left-over is told from work under way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".new-"
LOCK = ".lock"
SETTLED = 60.0  # seconds; between its creation and its lock a temporary file looks like a left-over
FORGOTTEN = 86_400.0  # seconds after which nobody still writes, where the file system knows no locks
# What file systems say that know no locks, or cannot flush a folder.
UNSUPPORTED = (errno.EINVAL, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def write_whole(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write a file so that it is there whole or not at all, even if the power fails.

    Args:
        path: where it goes.
        data: what it holds.
        scratch: a folder on the same file system for the temporary file; None = beside the file itself.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    make_folder(path.parent)
    try:
        _write_by_way_of(scratch or path.parent, path, data)
    except OSError as problem:
        if scratch is None or problem.errno not in (errno.EXDEV, errno.ENOENT):
            raise
        # The folder lies on a file system of its own, or there is no scratch.
        _write_by_way_of(path.parent, path, data)
    sync_folder(path.parent)


def _write_by_way_of(folder: Path, path: Path, data: bytes) -> None:
    temporary = folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, readable by their owner only, and flush where they are listed.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush the list of a folder's files to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def sweep(folder: Path, now: float | None = None) -> int:
    """Remove temporary files and locks that a dead process left; return how many. What is in use stays."""
    removed = 0
    for path in (*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"*{LOCK}")):
        with suppress(OSError):  # its writer may end it, or another sweeper take it, at any moment
            handle = os.open(path, os.O_RDONLY)
            try:
                age = (time.time() if now is None else now) - os.fstat(handle).st_mtime
                free = _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if age > (FORGOTTEN if free is None else SETTLED) and free is not False:
                    path.unlink()
                    removed += 1
            finally:
                os.close(handle)
    return removed


# -- locks ---------------------------------------------------------------------------------------------------------


def _lock(handle: int, how: int) -> bool | None:
    """Lock an open file; false where another holds it, None where the file system knows no locks."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError as problem:
        if problem.errno not in UNSUPPORTED:
            raise
        return None
    return True


@contextmanager
def only_one(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock of this name alone while the body runs; the file is there only as long as somebody needs it.

    Args:
        path: the file that stands for the lock; its name ends in `.lock`.
        wait: called again and again while another holds it; it sleeps, and may raise to give up.
    """
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            while _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB) is False:
                wait()
            if _is_still(path, handle):
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # who held it before has removed it; others lock a new one
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def held(path: Path, *, alone: bool) -> Iterator[bool | None]:
    """Hold a lock together with others, or alone; the file stays.

    Yields:
        Whether it could be had; None where the file system knows no locks.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield _lock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    finally:
        os.close(handle)
