"""The boundary around an attack step: which mechanisms there are here, which are used, and how they are put up.

Layers add up. One of three must keep the step from files and from other processes, the strongest that is available:
another user, Landlock, bubblewrap. A filter of system calls, namespaces and limits come on top.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mialang.engine.isolation import calls, landlock, system

Json = Any
ACCOUNTS = ("mialang-attack", "nobody")  # whose rights a step gets, where this process may give it another user's
GIBIBYTE = 2**30
LARGEST_FILE = 4 * GIBIBYTE
OPEN_FILES = 256
# What numerical libraries read while they work. Devices are among what may be written to.
ALWAYS_READ = ("/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
               "/usr/share/zoneinfo", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
ACCELERATORS = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


@dataclass(frozen=True)
class Boundary:
    """What stands around a step.

    Attributes:
        user: number of the user and group whose rights the step gets; None = its own.
        landlock: version of Landlock; 0 = not used.
        bubblewrap: path of the program that the step runs in; empty = not used.
        calls: whether system calls are filtered.
        network: whether the step gets a network of its own, which leads nowhere.
        missing: mechanisms that are not used, with the reason.
    """

    user: tuple[int, int] | None = None
    landlock: int = 0
    bubblewrap: str = ""
    calls: bool = False
    network: bool = False
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def stands(self) -> bool:
        """Whether files, other processes and the network are out of reach."""
        return (self.user is not None or self.landlock > 0 or bool(self.bubblewrap)) and self.offline

    @property
    def offline(self) -> bool:
        """Whether no connection can be made."""
        return self.calls or self.network or bool(self.bubblewrap)

    @property
    def words(self) -> str:
        """The boundary for reports; `none` where there is none."""
        if not self.stands:
            return "none"
        parts = []
        if self.user is not None:
            parts.append("another user")
        if self.landlock:
            parts.append(f"Landlock {self.landlock}")
        if self.bubblewrap:
            parts.append("bubblewrap")
        if self.calls:
            parts.append("filtered system calls")
        parts.append("own network namespace" if self.network or self.bubblewrap else "no sockets")
        return " + ".join(parts)

    def as_json(self) -> dict[str, Json]:
        """The boundary as it is told to the process that puts it up."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: dict[str, Json]) -> Boundary:
        """The boundary as it was told."""
        user = given["user"]
        missing = tuple((name, why) for name, why in given["missing"])
        return cls(**{**given, "user": None if user is None else (user[0], user[1]), "missing": missing})


# -- what there is -------------------------------------------------------------------------------------------------


@cache
def available() -> tuple[Boundary, ...]:
    """The boundaries that can be put up here, the strongest first; each with the reasons for what it does not use.

    Another user's rights and Landlock add up; bubblewrap stands in for them.
    """
    if not system.linux():
        why = f"made of Linux's kernel, and this is {sys.platform}"
        return (Boundary(missing=tuple((name, why) for name in ("another user", "Landlock", "bubblewrap"))),)
    missing: list[tuple[str, str]] = []
    user, why = another_user()
    if user is None:
        missing.append(("another user", why))
    version = landlock.version()
    if not version:
        missing.append(("Landlock", "the kernel does not have it, or it is switched off"))
    filtered = calls.available()
    if not filtered:
        missing.append(("filter", f"the kernel filters no system calls on {system.machine()}"))
    network = namespaces()
    if not network:
        missing.append(("network namespace", "the kernel does not let this user make one"))
    program, why = bubblewrap()
    found = [Boundary(user, version, "", filtered, network, tuple(missing))] if user is not None or version else []
    if program:
        found.append(Boundary(None, 0, program, filtered, network=True, missing=tuple(missing)))
    return tuple(found) or (Boundary(None, 0, "", filtered, network, (*missing, ("bubblewrap", why))),)


def another_user() -> tuple[tuple[int, int] | None, str]:
    """A user whose rights a step can be given, or why there is none."""
    import pwd  # noqa: PLC0415 - Unix alone has it

    if os.geteuid() != 0:
        return None, "only root may give a process another user's rights"
    for name in ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        hidden = next((each for each in code_folders() if not open_to_others(each)), None)
        if hidden is not None:
            return None, f"`{hidden}`, where code lies, cannot be read by the user {name}"
        return (account.pw_uid, account.pw_gid), ""
    return None, f"there is no user {' or '.join(ACCOUNTS)}"


def open_to_others(path: Path) -> bool:
    """Whether any user may read a file or folder, and enter those above it."""
    resolved = path.resolve()
    try:
        return bool(resolved.stat().st_mode & 0o004) and all(each.stat().st_mode & 0o001 for each in resolved.parents)
    except OSError:
        return False


def bubblewrap() -> tuple[str, str]:
    """The path of bubblewrap, or why it is of no use here."""
    program = shutil.which("bwrap")
    if program is None:
        return "", "`bwrap` is not installed"
    trial = [program, "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 - a fixed command
    except (OSError, subprocess.TimeoutExpired) as problem:
        return "", f"`bwrap` does not start: {problem}"
    return (program, "") if done.returncode == 0 else ("", f"`bwrap` does not start: {done.stderr.strip()[:200]}")


def namespaces() -> bool:
    """Whether a process may get a network of its own; tried in a process that ends at once."""
    script = (
        "import ctypes, os, sys; library = ctypes.CDLL(None); "
        "flags = 0x40000000 if os.geteuid() == 0 else 0x50000000; sys.exit(library.unshare(flags) != 0)"
    )
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


# -- what a step keeps ---------------------------------------------------------------------------------------------


def code_folders() -> list[Path]:
    """Where Python, installed packages and mialang itself lie."""
    import mialang  # noqa: PLC0415 - its place is asked for, not what it holds

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [Path(path) for name in names if (path := sysconfig.get_path(name))]
    found += [Path(sys.base_prefix) / "lib", Path(mialang.__file__).parent]
    found += [Path(each) for each in sys.path if Path(each).name in ("site-packages", "dist-packages")]
    return [path for path in dict.fromkeys(each.resolve() for each in found) if path.exists()]


def package_places(packages: Iterable[str]) -> dict[str, list[str]]:
    """Where packages lie: their folders, or their one file. What is not found is left out; importing it will say so."""
    from importlib.util import find_spec  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for name in packages:
        with suppress(ImportError, ValueError):
            spec = find_spec(name)
            if spec is not None:
                places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
                found[name] = [str(Path(each).resolve()) for each in places if each]
    return found


@dataclass(frozen=True)
class Room:
    """What a step may read and where it may write.

    Attributes:
        read: folders and files that hold code.
        scratch: its own temporary folder.
        device: where tensors live; an accelerator has devices of its own.
        memory: bytes of memory that it may take; None = no limit.
    """

    read: tuple[Path, ...]
    scratch: Path
    device: str = "cpu"
    memory: int | None = None

    def allowance(self) -> landlock.Allowance:
        """The room as Landlock is told."""
        devices = DEVICES + (ACCELERATORS if self.device.startswith("cuda") else ())
        drivers = ("/proc/driver/nvidia", "/proc/devices") if self.device.startswith("cuda") else ()
        read = [*self.read, *map(Path, (*ALWAYS_READ, *drivers))]
        return landlock.Allowance(read, [self.scratch, *map(Path, devices)])


# -- putting it up -------------------------------------------------------------------------------------------------


def put_up(boundary: Boundary, room: Room) -> Boundary:
    """Give up, for good, everything but the room; return what stands now.

    Called in the process of the step, while it has one thread and before it holds anything of the attack.

    Raises:
        OSError: a mechanism that was promised does not work.
    """
    _limit(room)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # where memory ends, the step ends and not its parent
    if boundary.network and not boundary.bubblewrap:
        _leave_namespaces()
    if boundary.user is not None:
        os.setgroups([])
        os.setresgid(*[boundary.user[1]] * 3)
        os.setresuid(*[boundary.user[0]] * 3)
    system.drop_capabilities()
    system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
    if boundary.landlock:
        landlock.restrict(room.allowance())
    system.prctl(system.PR_SET_DUMPABLE, 0)
    if boundary.calls:
        calls.refuse()
    return boundary


def _limit(room: Room) -> None:
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: LARGEST_FILE, resource.RLIMIT_NOFILE: OPEN_FILES}
    if room.memory is not None:
        limits[resource.RLIMIT_DATA] = room.memory
    for which, most in limits.items():
        _, ceiling = resource.getrlimit(which)
        least = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(which, (least, least))


def _leave_namespaces() -> None:
    flags = system.CLONE_NEWNET | system.CLONE_NEWIPC | system.CLONE_NEWUTS
    if os.geteuid() == 0:
        system.unshare(flags)
    else:
        system.enter_user_namespace(flags)


def hide_this_process() -> None:
    """Keep other processes of this user from reading the memory and the environment of this one."""
    if system.linux():
        system.prctl(system.PR_SET_DUMPABLE, 0)


def wrapped(program: str, command: Sequence[str], room: Room) -> list[str]:
    """A command as bubblewrap runs it: nothing but the room is there, and no other process and no network is seen."""
    read = [
        str(path)
        for path in dict.fromkeys((*room.read, *map(Path, ALWAYS_READ), Path(sys.executable).resolve()))
        if path.exists()
    ]
    shown = [part for path in read if not path.startswith("/proc/") for part in ("--ro-bind", path, path)]
    return [
        program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--proc", "/proc",
        "--dev", "/dev", "--tmpfs", "/tmp", *shown, "--bind", str(room.scratch), str(room.scratch),  # noqa: S108 - its own
        "--chdir", str(room.scratch), "--", *command,
    ]  # fmt: skip
