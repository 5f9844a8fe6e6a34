"""Outside the boundary: who holds the handle, answers questions that come through the pipe, and commits what comes back.

Nothing that comes through the pipe is believed. A step that sends what is no message, sends too much, dies or falls silent fails
alone: its node fails, with the reason, and the run goes on.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mialang.engine.checkpoints import Checkpoints
from mialang.engine.codec import pack
from mialang.engine.handles import Handle, RefusedError
from mialang.engine.isolation.boundary import (
    Boundary,
    available,
    code_folders,
    hide_this_process,
    package_places,
)
from mialang.engine.isolation.choice import OWN, functions_of, package_of, packages_of
from mialang.engine.isolation.nursery import Ended, Nursery, NurseryError, nursery
from mialang.engine.isolation.wire import Channel, ClosedError, SilentError, WireError
from mialang.engine.questions import leaves
from mialang.engine.work import Binding, Failure, Job, NodeFailedError
from mialang.operators.errors import OperatorError
from mialang.plan.model import canonical

Json = Any
Progress = Callable[[int, int, dict[str, float]], None]
MOST_LOOKED_AT = 200  # files and folders of a place that is looked at
READY = 60.0  # seconds in which a boundary must stand
PATIENCE = 3600.0  # seconds of silence after which a step is taken for hung
TAKING = 120.0  # seconds in which a step must take an answer
MOST_GRAPHS = 4096  # that are kept for gradients at once
LONGEST_TEXT = 2_000  # characters of a title, a note, a help
LONGEST_DETAIL = 100_000
LARGEST_NOTES = 2**20  # bytes of the facts that a step notes
LARGEST_EXHIBITS = 2**24  # bytes of what it wants the report to draw


@dataclass(frozen=True)
class Made:
    """What an isolated step made, as plain data.

    Attributes:
        value: the result itself, where it is small JSON; else None.
        kind: of the artefact.
        arrays: of the artefact.
        facts: of the artefact.
        evidence: what the step noted, how long it took, what it asked.
    """

    value: Json
    kind: str
    arrays: Mapping[str, Any]
    facts: Json
    evidence: dict[str, Json]


def required(job: Job) -> bool:
    """Whether a step that should be isolated is: not where there is no boundary and its code is vouched for.

    Raises:
        NodeFailedError: there is no boundary, and nobody vouches for its code.
    """
    boundary = standing_for(job)
    if boundary.stands:
        return True
    unvouched = sorted(set(job.strangers) - set(job.settings.vouched))
    if unvouched:
        names = ", ".join(f"`{name}`" for name in unvouched)
        why = "; ".join(f"{name}: {reason}" for name, reason in boundary.missing)
        raise NodeFailedError(
            Failure(
                f"there is no boundary here behind which the code of {names} could run",
                why,
                f"allow it to run without one, for this run: {' '.join(f'`--trust {name}`' for name in unvouched)}",
            )
        )
    return job.settings.isolate == "process"


def do(job: Job, progress: Progress, keeper: Checkpoints, patience: float = PATIENCE) -> Made:
    """Do a step inside the boundary.

    Args:
        job: the step.
        progress: is told how far it is.
        keeper: keeps its state.
        patience: seconds of silence after which it is taken for hung.

    Raises:
        NodeFailedError: it could not be done; says why.
        StoppedError: somebody asked to stop, and its state is kept.
    """
    boundary = standing_for(job)
    keeper.how = "isolated"
    functions = [*functions_of(job.node), *(made_by for _, made_by in job.inputs.values())]
    with _child(boundary, packages_around(job), job.settings.device, functions) as (channel, child):
        try:
            _greeted(channel)
            return _Conversation(job, channel, boundary, progress, keeper, patience)(child)
        except ClosedError as problem:
            raise NodeFailedError(child.obituary(job)) from problem
        except SilentError as problem:
            raise NodeFailedError(
                Failure(
                    f"`{job.node.label}` hangs: its process said nothing for {patience:.0f} s, or stopped in the middle of a message",
                    "an isolated step that reports no progress cannot be told from one that hangs",
                    "let its loop report progress (`run.progress`), or shorten what it does at once",
                    child.log(),
                )
            ) from problem
        except WireError as problem:
            raise NodeFailedError(
                Failure(
                    f"`{job.node.label}` does not keep to the protocol of isolated steps: {problem}",
                    "its process was ended; nothing that it sent was used",
                    "look at the code of the attack: only mialang's own code talks through the pipe",
                    child.log(),
                )
            ) from problem
        except NurseryError as problem:
            raise NodeFailedError(
                Failure("no process for isolated steps can be started", str(problem).splitlines()[-1][:LONGEST_TEXT],
                        "run with `--isolate none` if you trust the attacks", str(problem))
            ) from problem  # fmt: skip


def _greeted(channel: Channel) -> None:
    greeting = _message(channel.receive(READY))
    if greeting["said"] != "ready":
        raise NodeFailedError(
            Failure(
                "the boundary around an isolated step could not be put up",
                _text(greeting.get("because")),
                "run with `--isolate none` if you trust the attacks, and report it",
            )
        )


# -- the boundary --------------------------------------------------------------------------------------------------


def standing_for(job: Job) -> Boundary:
    """The boundary that stands here for a step, with the code that it needs in reach."""
    return standing(job.store, job.settings.data, job.settings.device, packages_around(job))


def packages_around(job: Job) -> frozenset[str]:
    """The packages besides mialang whose code a step needs."""
    makers = {package_of(made_by) for _, made_by in job.inputs.values()}
    own = packages_of(job.node, job.settings.trusted) | makers | set(job.strangers)
    return frozenset(own - {OWN}) & frozenset(job.settings.trusted)


@cache
def standing(store: Path, data: str | None, device: str = "cpu", packages: frozenset[str] = frozenset()) -> Boundary:
    """The boundary that stands here: the strongest that was put up once, and found whole from inside.

    Args:
        store: the folder of the store, which must be out of reach.
        data: the folder of data files, if one is named; out of reach as well.
        device: where tensors live.
        packages: whose code is in reach.
    """
    hide_this_process()
    fallen: list[Boundary] = []
    for boundary in available():
        found = _looked_at(boundary, store, data, device, packages) if boundary.stands else boundary
        if found.stands:
            return found
        fallen.append(found)
    return fallen[0]


def _looked_at(boundary: Boundary, store: Path, data: str | None, device: str, packages: frozenset[str]) -> Boundary:
    """Put a boundary up, and try from inside what an attack would try."""
    private = [store, *map(Path, filter(None, (data, os.environ.get("MIALANG_DATA"))))]
    code = _read(packages)
    hidden = [*(each for place in private for each in _hidden(place.resolve(), code, within=True)),
              *(each for place in (Path.cwd(), Path.home()) for each in _hidden(place.resolve(), code, within=False))]  # fmt: skip
    secret = ctypes.create_string_buffer(b"target")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = {
            "do": "look", "files": list(dict.fromkeys(map(str, hidden))),
            "process": os.getpid(), "address": ctypes.addressof(secret), "port": listener.getsockname()[1],
        }  # fmt: skip
        try:
            with _child(boundary, packages, device) as (channel, child):
                try:
                    greeting = _message(channel.receive(READY))
                    if greeting["said"] != "ready":
                        return _fallen(boundary, f"it could not be put up: {_text(greeting.get('because'))}")
                    channel.send(asked, TAKING)
                    told = _message(channel.receive(READY))
                except WireError as problem:
                    last = (child.log().strip().splitlines() or [""])[-1]
                    return _fallen(boundary, f"it could not be looked at: {problem} {last}".strip())
        except NurseryError as problem:
            return _fallen(boundary, f"it could not be looked at: {problem}")
    reached = [str(each) for each in told["found"]]
    more = f" and {len(reached) - 5} more" if len(reached) > 5 else ""
    return _fallen(boundary, f"from inside one reaches {', '.join(reached[:5])}{more}") if reached else boundary


def _hidden(place: Path, code: list[Path], *, within: bool) -> list[Path]:
    """What lies in a folder and must be out of reach.

    Args:
        place: the folder.
        code: what may be read; folders on the way to it may be seen.
        within: whether what lies inside the code must be out of reach too: data and results must, code need not.
    """
    try:
        inside = sorted(place.iterdir())[:MOST_LOOKED_AT] if place.is_dir() else [place]
    except OSError:
        return []  # out of reach already
    common = Path(tempfile.gettempdir()).resolve()

    def seen(each: Path) -> bool:
        leads = any(one.is_relative_to(each) for one in (*code, common))
        return leads or (not within and any(each.is_relative_to(one) for one in code))

    return [each for each in inside if not seen(each)]


def _fallen(boundary: Boundary, why: str) -> Boundary:
    """A boundary that is none, with the reason."""
    return replace(boundary, user=None, landlock=0, bubblewrap="", missing=(*boundary.missing, ("the boundary", why)))


def _read(packages: frozenset[str]) -> list[Path]:
    """Where the code lies that a step runs."""
    places = package_places(packages).values()
    return [*code_folders(), *(Path(each) for found in places for each in found)]


# -- the child -----------------------------------------------------------------------------------------------------


@dataclass
class _Child:
    """A process that does a step."""

    nursery: Nursery
    process: int
    log_path: Path
    ended: Ended | None = None

    def end(self) -> Ended:
        """End it, if it has not ended."""
        if self.ended is None:
            self.ended = self.nursery.end(self.process)
        return self.ended

    def log(self) -> str:
        """The end of what it wrote."""
        with suppress(OSError):
            return _clean(self.log_path.read_bytes()[-8_000:].decode(errors="replace"), LONGEST_DETAIL)
        return ""

    def obituary(self, job: Job) -> Failure:
        """Why it died."""
        status = self.end().status
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            how = f"was ended by the signal {name}"
        else:
            how = f"ended by itself with code {os.waitstatus_to_exitcode(status)}"
        return Failure(
            f"the process of `{job.node.label}` {how}",
            "it said nothing about a reason; a lack of memory ends a process so, and so does a forbidden call",
            "lower batch sizes, steps or records; what it wrote is among the events",
            self.log(),
        )


@contextmanager
def _child(
    boundary: Boundary, packages: frozenset[str], device: str, functions: Sequence[str] = ()
) -> Iterator[tuple[Channel, _Child]]:
    """A process behind the boundary, and the pipes to it; both are gone afterwards, whatever happens.

    Args:
        boundary: what to put up.
        packages: besides mialang, whose code it needs.
        device: where tensors live.
        functions: of mialang and others, that it will run.
    """
    read = _read(packages)
    made = nursery(boundary, read)
    scratch = Path(tempfile.mkdtemp(dir=made.folder))
    log_path = scratch.with_suffix(".log")
    channel = child = None
    inner = outer = (-1, -1)
    try:
        if boundary.user is not None:
            os.chown(scratch, *boundary.user)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10
        config = {
            "boundary": boundary.as_json(),
            "room": {"read": list(map(str, read)), "scratch": str(scratch), "device": device, "memory": memory},
            "modules": [each.partition(":")[0] for each in functions if package_of(each) == OWN],
            "packages": package_places(packages),
        }
        to_child, to_parent = os.pipe(), os.pipe()
        inner, outer = (to_child[0], to_parent[1]), (to_parent[0], to_child[1])
        with log_path.open("wb", buffering=0) as log:
            child = _Child(made, made.bear(config, [*inner, log.fileno()]), log_path)
        for each in inner:
            os.close(each)
        inner = (-1, -1)
        channel = Channel(*outer)
        yield channel, child
    finally:
        if channel is not None:
            channel.close()
        for each in (*inner, *(outer if channel is None else ())):
            if each >= 0:
                os.close(each)
        if child is not None:
            with suppress(NurseryError):
                child.end()
        shutil.rmtree(scratch, ignore_errors=True)
        log_path.unlink(missing_ok=True)


# -- the conversation ----------------------------------------------------------------------------------------------


@dataclass
class _Conversation:
    """What is said between a step and who holds the handle."""

    job: Job
    channel: Channel
    boundary: Boundary
    progress: Progress
    keeper: Checkpoints
    patience: float
    graphs: dict[int, tuple[Any, list[Any]]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        import torch  # noqa: PLC0415 - loaded only when something is computed

        from mialang.engine.work import limit_threads  # noqa: PLC0415
        from mialang.operators.run import Run  # noqa: PLC0415

        limit_threads(self.job.settings.threads)
        self.device = torch.device(self.job.settings.device)
        self.binding = Binding(self.job, Run(seed=self.job.node.seed or 0, device=self.device))

    def __call__(self, child: _Child) -> Made:
        """Tell the step what to do, answer it until it has done it, and take what it made."""
        self.channel.send(self._told(), TAKING)
        while True:
            said = _message(self.channel.receive(self.patience))
            match said["said"]:
                case "made":
                    return self._made(said, child.end())
                case "failed":
                    child.end()
                    self.keeper.drop()  # what fails for a reason that the step knows fails again
                    raise NodeFailedError(self._failure(said, child))
                case "progress":
                    self._progressed(said)
                case what:
                    self.channel.send(self._answered(what, said), TAKING)

    def _told(self) -> dict[str, Json]:
        """All that a step gets: its parameters, and what it was granted or the attack made itself."""
        job, settings = self.job, self.job.settings
        granted = [name for name in job.inputs if name in job.node.inputs]
        handles = {name: self._facts(name) for name in job.handles}
        self.keeper.counters = self.binding.counters()
        return {
            "do": "step",
            "python": job.node.python,
            "params": job.node.params,
            "seed": job.node.seed or 0,
            "inputs": {name: self._bytes(name) for name in granted},
            "handles": handles,
            "observables": {name: dict(each) for name, each in job.observables.items()},
            "trusted": list(settings.trusted),
            "device": settings.device,
            "threads": settings.threads,
            "kept": self._kept(),
        }

    def _kept(self) -> Json:
        """The state that the step kept before; what was counted is counted here, whatever the step says."""
        found = self.keeper.load()
        if found is None:
            return None
        arrays, state = found
        self.keeper.recount(state["counts"])
        return {"arrays": dict(arrays), "facts": state["step"]}

    def _bytes(self, name: str) -> tuple[bytes, str]:
        from mialang.engine.store import Store  # noqa: PLC0415

        digest, made_by = self.job.inputs[name]
        return Store(self.job.store).get(digest), made_by

    def _facts(self, name: str) -> dict[str, Json]:
        handle = self._handle(name)
        return {
            "name": handle.name,
            "classes": tuple(handle.classes),
            "shape": tuple(handle.shape),
            "identity": handle.identity,
        }

    def _handle(self, name: Any) -> Handle:
        if name not in self.job.handles:
            raise WireError("it asks through a handle that it does not have")
        return self.binding.decode({"$handle": name})  # type: ignore[no-any-return]

    def _answered(self, what: str, said: Mapping[str, Json]) -> dict[str, Json]:
        for number in _typed(said.get("forgotten", []), list):
            self.graphs.pop(_typed(number, int), None)
        try:
            return {"answer": self._answer(what, said)}
        except RefusedError as problem:
            return _refusal("refused", problem)
        except OperatorError as problem:
            return _refusal("operator", problem)
        except WireError:
            raise
        except Exception as problem:  # noqa: BLE001 - a question may be anything; the attack is not told what it met
            self.troubles.append(f"{type(problem).__name__}: {problem}")
            return _refusal("operator", OperatorError(
                "the target cannot answer this question", note="its shape, type or size is not one that the model takes",
            ))  # fmt: skip

    def _answer(self, what: str, said: Mapping[str, Json]) -> Any:
        match what:
            case "ask":
                size = {_typed(name, str): value for name, value in _typed(said["size"], dict).items()}
                return self._ask(
                    self._handle(said["handle"]), _typed(said["name"], str), said["x"], size, said["gradient"] is True
                )
            case "turn back":
                return self._turned_back(_typed(said["ticket"], int), said["gradient"])
            case "due":
                return self.keeper.due()
            case "keep":
                arrays = {
                    _typed(name, str): _typed(each, np.ndarray) for name, each in _typed(said["arrays"], dict).items()
                }
                _plain(said["facts"])
                self.keeper.save(arrays, {"step": said["facts"], "counts": self.keeper.counts()})
                return None
            case "remaining":
                return self._handle(said["handle"]).remaining
            case "know":
                return self._handle(said["handle"]).know(_typed(said["name"], str))
            case "model":
                return self._weights(said["handle"])
        raise WireError(f"it says `{_text(what)[:40]}`, which means nothing")

    def _ask(self, handle: Handle, name: str, x: Any, size: dict[str, Any], differentiate: bool) -> Any:
        import torch  # noqa: PLC0415

        question = placed(x, self.device)
        if not differentiate:
            with torch.no_grad():
                return handle.ask(name, question, **size)
        if len(self.graphs) >= MOST_GRAPHS:
            raise OperatorError(
                f"more than {MOST_GRAPHS:,} questions wait for their gradients", help="differentiate sooner"
            )
        found = leaves(question)
        with torch.enable_grad():
            answer = handle.ask(name, question, **size)
        if not getattr(answer, "requires_grad", False):
            return {"answer": answer, "ticket": None}
        number = max(self.graphs, default=0) + 1
        self.graphs[number] = (answer, found)
        return {"answer": answer.detach(), "ticket": number}

    def _turned_back(self, ticket: int, gradient: Any) -> list[Any]:
        import torch  # noqa: PLC0415

        if ticket not in self.graphs:
            raise OperatorError("the question that this gradient belongs to is forgotten")
        answer, found = self.graphs[ticket]
        made = torch.autograd.grad(answer, found, gradient.to(answer.device), retain_graph=True, allow_unused=True)
        return list(made)

    def _weights(self, name: Any) -> tuple[bytes, str]:
        """The target as its weights hold it, where the handle grants them: private data that it serves stay here."""
        model = self._handle(name).model()
        _, made_by = self.job.inputs[self.job.handles[name]["model"]["$node"]]
        return pack(model.kind, model.arrays(), model.facts()), made_by

    def _progressed(self, said: Mapping[str, Json]) -> None:
        done, total = _typed(said["done"], int), _typed(said["total"], int)
        figures = {
            _text(name): float(value)
            for name, value in _typed(said["figures"], dict).items()
            if isinstance(value, int | float)
        }
        self.progress(done, total, figures)

    # -- what came of it -------------------------------------------------------------------------------------------

    def _made(self, said: Mapping[str, Json], ended: Ended) -> Made:
        notes = _typed(said["notes"], dict)
        if len(_plain(notes)) > LARGEST_NOTES:
            raise WireError("it notes more than anyone will read")
        exhibits = _typed(said["exhibits"], dict)
        if len(_plain(exhibits)) > LARGEST_EXHIBITS:
            raise WireError("it exhibits more than a report can draw")
        evidence: dict[str, Json] = {
            "notes": notes,
            "seconds": round(self.keeper.seconds, 4),
            "threads": _typed(said["threads"], int),
            "device": self.job.settings.device,
            "peak_mib": ended.peak // 1024,
            "isolation": self.boundary.words,
        }
        if said["size"] is not None:
            evidence["size"] = _typed(said["size"], int)
        if exhibits:
            evidence["exhibits"] = exhibits
        if self.keeper.resumed:
            evidence["resumed"] = self.keeper.resumed
        evidence.update(self.binding.counted())
        if "value" in said:
            _plain(said["value"])
            return Made(said["value"], "", {}, None, evidence)
        kind = _typed(said["kind"], str)
        if not (0 < len(kind) <= 60 and kind.isprintable()):
            raise WireError("it made something of a kind that has no name")
        arrays = {_typed(name, str): _typed(array, np.ndarray) for name, array in _typed(said["arrays"], dict).items()}
        _plain(said["facts"])
        return Made(None, kind, arrays, said["facts"], evidence)

    def _failure(self, said: Mapping[str, Json], child: _Child) -> Failure:
        node = self.job.node
        title, note, help_ = (_text(said.get(name)) for name in ("title", "note", "help"))
        detail = _clean(_typed(said.get("detail", ""), str), LONGEST_DETAIL)
        told = "\n".join(
            [*filter(None, [detail, child.log()]), *(f"the target: {each}" for each in self.troubles[-5:])]
        )
        match said.get("sort"):
            case "memory":
                return Failure(f"`{node.label}` ran out of memory", note, help_, told)
            case "broke":
                return Failure(f"`{node.operator}` broke: {title}", "this was not foreseen by the operator",
                               "report it with the run's events", told)  # fmt: skip
        return Failure(title, note, help_, told if self.troubles else "")


def placed(value: Any, device: Any) -> Any:
    """A question on the device of the target; leaves stay leaves."""
    import torch  # noqa: PLC0415

    if isinstance(value, torch.Tensor) and value.device != device:
        return value.detach().to(device).requires_grad_(value.requires_grad)
    return value


def _refusal(sort: str, problem: OperatorError) -> dict[str, Json]:
    return {"refused": problem.title, "sort": sort, "note": problem.note, "help": problem.help}


class _Message(dict[str, Any]):
    """A message; what it lacks is a fault of its sender."""

    def __missing__(self, name: str) -> Any:
        raise WireError(f"a message lacks its `{name}`")


def _message(value: Any) -> _Message:
    if not isinstance(value, dict) or not isinstance(value.get("said"), str):
        raise WireError("it sends what is no message")
    return _Message(value)


def _plain(value: Any) -> bytes:
    """A value that must be JSON, as JSON."""
    try:
        return canonical(value)
    except (ValueError, TypeError, RecursionError) as problem:
        raise WireError("it made something that is no plain value") from problem


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise WireError("a message holds something of the wrong type")
    return value


def _text(value: Any, most: int = LONGEST_TEXT) -> str:
    return _clean(value, most) if isinstance(value, str) else ""


def _clean(text: str, most: int) -> str:
    """A text that moves no cursor and fits a report."""
    shown = "".join(each if each.isprintable() or each in "\n\t" else "�" for each in text)
    return shown if len(shown) <= most else shown[-most:]
