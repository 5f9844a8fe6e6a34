"""Inside the boundary: a step is told what to do, does it, and asks the target through the pipe.

Whatever this process holds came through the pipe: the step's parameters, what was granted, answers to questions. It has no store, no
data, no target; and what it says is checked by the other side before it is believed.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from mialang.engine.isolation import system
from mialang.engine.isolation.boundary import Boundary, Room, put_up
from mialang.engine.isolation.wire import Channel

Json = Any
LONGEST = 100_000  # characters of a traceback or a note that are sent


def begin(config: Mapping[str, Json], receiving: int, sending: int, log: int) -> None:
    """Put up the boundary, do the step, and end the process. Never returns."""
    code = 1
    try:
        _settle(config, log, (receiving, sending))
        channel = Channel(receiving, sending)
        try:
            boundary = Boundary.from_json(config["boundary"])
            room = config["room"]
            put_up(
                boundary, Room(tuple(map(Path, room["read"])), Path(room["scratch"]), room["device"], room["memory"])
            )
            _die_with_parent()
        except BaseException as problem:  # noqa: BLE001 - whatever it is, no step runs without its boundary
            channel.send({"said": "no boundary", "because": f"{type(problem).__name__}: {problem}"})
            return
        channel.send({"said": "ready"})
        _serve(channel)
        code = 0
    except BaseException:  # noqa: BLE001 - the other side sees that the pipe is closed, and the log says why
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _settle(config: Mapping[str, Json], log: int, kept: tuple[int, int]) -> None:
    """Leave everything that the process was born with: session, files, folder, environment."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    scratch = config["room"]["scratch"]
    os.chdir(scratch)
    os.environ.update(TMPDIR=scratch, HOME=scratch)
    sys.meta_path.insert(0, Packages(config["packages"]))


class Packages(MetaPathFinder):
    """Finds packages where they lie: the folders around them cannot be listed from here.

    Args:
        places: by name, the folders of a package, or its one file.
    """

    def __init__(self, places: Mapping[str, Sequence[str]]) -> None:
        self._places = places

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Find one of the packages."""
        del path, target
        for place in map(Path, self._places.get(fullname, ())):
            if place.suffix == ".py":
                return spec_from_file_location(fullname, place)
            first = place / "__init__.py"
            if first.exists():
                return spec_from_file_location(fullname, first, submodule_search_locations=[str(place)])
        if places := self._places.get(fullname):
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = list(places)
            return spec
        return None


def _die_with_parent() -> None:
    """End when the process that bore this one ends; asked for after rights have changed, which forgets it."""
    system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


def _serve(channel: Channel) -> None:
    job = channel.receive()
    match job["do"]:
        case "look":
            from mialang.engine.isolation.probe import look  # noqa: PLC0415

            channel.send({"said": "looked", "found": look(job)})
        case "step":
            channel.send(_step(job, channel))


def _step(job: Mapping[str, Json], channel: Channel) -> dict[str, Json]:
    from mialang.engine.work import NodeFailedError  # noqa: PLC0415
    from mialang.operators.errors import OperatorError  # noqa: PLC0415
    from mialang.operators.memory import exhausted  # noqa: PLC0415

    try:
        return _done(job, channel)
    except NodeFailedError as problem:
        return _failed(problem.failure.title, problem.failure.note, problem.failure.help)
    except OperatorError as problem:
        return _failed(problem.title, problem.note, problem.help)
    except Exception as problem:  # noqa: BLE001 - told to the other side, which tells the user
        if exhausted(problem):
            note = str(problem).split("\n", 1)[0]
            return _failed("it ran out of memory", note, "lower batch sizes, steps or records", sort="memory")
        title = f"{type(problem).__name__}: {problem}"
        return _failed(title, "", "", sort="broke", detail=traceback.format_exc()[-LONGEST:])


def _failed(title: str, note: str, help_: str, sort: str = "refused", detail: str = "") -> dict[str, Json]:
    return {"said": "failed", "sort": sort, "title": title[:LONGEST], "note": note, "help": help_, "detail": detail}


def _done(job: Mapping[str, Json], channel: Channel) -> dict[str, Json]:
    import torch  # noqa: PLC0415

    from mialang.engine.isolation.far import Keeping, bound  # noqa: PLC0415
    from mialang.engine.work import limit_threads, load_function  # noqa: PLC0415
    from mialang.operators.run import Run  # noqa: PLC0415
    from mialang.operators.trust import trust  # noqa: PLC0415

    trust(job["trusted"])
    limit_threads(job["threads"])
    keeping = Keeping(channel, job["kept"])

    def progress(done: int, total: int, figures: dict[str, float]) -> None:
        channel.send({"said": "progress", "done": done, "total": total, "figures": figures})

    run = Run(seed=job["seed"], device=torch.device(job["device"]), listener=progress, keeper=keeping)
    function = load_function(job["python"], tuple(job["trusted"]))
    arguments = bound(job, run, channel, function)
    made = function(**arguments, run=run)
    if run.files:
        return _failed(
            "an isolated step reads no files", "", "grant what it needs in a prior, or let a data step read it"
        )
    told = {"said": "made", "notes": run.notes, "threads": torch.get_num_threads(),
            "exhibits": run.exhibits, "size": len(made) if hasattr(made, "__len__") else None}  # fmt: skip
    if hasattr(made, "json") and (value := made.json()) is not None:
        return {**told, "value": value}
    return {**told, "kind": made.kind, "arrays": made.arrays(), "facts": made.facts()}
