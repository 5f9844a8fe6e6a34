"""The work of one node, wherever it runs: claim it, call the operator, commit what it made. Workers commit."""

from __future__ import annotations

import operator
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mialang.engine.accounts import Account, Keeps
from mialang.engine.checkpoints import EVERY, Checkpoints
from mialang.engine.codec import pack, unpack
from mialang.engine.events import Listener, silent
from mialang.engine.handles import Handle, Meter, answering
from mialang.engine.isolation.choice import Mode, isolates, package_of, packages_of
from mialang.engine.ledger import Ledger, Purse
from mialang.engine.stopping import Stop, StoppedError
from mialang.engine.store import Action, Look, Store, StoreError, UnwritableError, fingerprint, value_digest
from mialang.operators.places import first_found
from mialang.plan.model import Node, digest

Json = Any
Progress = Callable[[int, int, dict[str, float]], None]
MEASUREMENT = "measurement"
PATIENCE = 0.1  # seconds between two looks at what another run holds
METERED = ("asked", "refused", "by_observable")  # counts of a meter
DEFENDED = ("defended", "changed")  # counts of answers behind defenses
BLINK = 0.1  # seconds between two reports of progress


@dataclass(frozen=True)
class Settings:
    """How work is done; none of it changes what is computed.

    Attributes:
        device: where tensors live.
        threads: CPU threads of a step; None leaves torch's choice.
        data: folder in which data files are looked for.
        trusted: packages besides mialang whose code may be imported.
        vouched: those of them that were trusted for this run, and not once for all: they may run without a boundary.
        isolate: which attack steps are isolated: `auto` those with code from outside the project, `process` all, `none`.
        checkpoint: seconds between two checkpoints of a long step.
        purse: the budget of money that questions to services draw on; None = no limit.
        transcript: what is written down of what services are asked and answer.
    """

    device: str = "cpu"
    threads: int | None = None
    data: str | None = None
    trusted: tuple[str, ...] = ()
    vouched: tuple[str, ...] = ()
    isolate: Mode = "none"
    checkpoint: float = EVERY
    purse: Purse | None = None
    transcript: Keeps = "hashes"

    @property
    def look(self) -> Look:
        """Finds a data file as a step of the run would."""
        return partial(first_found, self.data)


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs to do one node.

    Attributes:
        node: the node.
        key: what it is, inputs included.
        inputs: artefacts by node id: digest, and the function that made it (its module knows how to restore it).
        handles: definitions of the handles that it asks through: parameters of the handle node.
        observables: how observables follow from each other.
        store: the folder of the store.
        strangers: packages besides mialang whose code an attack step ran that this one rests on, or is.
    """

    node: Node
    key: str
    inputs: Mapping[str, tuple[str, str]]
    handles: Mapping[str, Mapping[str, Json]]
    observables: Mapping[str, Mapping[str, Json]]
    store: Path
    settings: Settings = field(default_factory=Settings)
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a node failed, in words that a user can act on.

    Attributes:
        detail: the traceback, where the failure was not foreseen.
    """

    title: str
    note: str = ""
    help: str = ""
    detail: str = ""


class NodeFailedError(Exception):
    """A node failed; carries the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.title)
        self.failure = failure

    def __reduce__(self) -> tuple[type[NodeFailedError], tuple[Failure]]:
        return type(self), (self.failure,)


def node_key(node: Node, outputs: Mapping[str, str]) -> str:
    """What a node is: operator, version, parameters, contents of its inputs, seed. Where it stands is no part of it."""
    return digest([node.operator, node.python, node.version, _by_content(node.params, outputs), node.seed])


def _by_content(params: Json, outputs: Mapping[str, str]) -> Json:
    if isinstance(params, dict):
        return {
            name: outputs[each] if name in ("$node", "$model", "$handle") else _by_content(each, outputs)
            for name, each in params.items()
        }
    if isinstance(params, list | tuple):
        return [_by_content(each, outputs) for each in params]
    return params


def execute(job: Job, tell: Listener = silent, stop: Stop | None = None) -> Action:
    """Do the work of one node and commit it to the store; what another run commits meanwhile is not done again.

    Args:
        job: the work.
        tell: takes what happens on the way: `waiting`, `resumed`, `progress`, `checkpoint`.
        stop: whether somebody asked to stop.

    Raises:
        NodeFailedError: the operator could not do its work; says why.
        StoppedError: somebody asked to stop; the next execution goes on from there.
        UnwritableError: the store cannot be written.
    """
    stop = stop or Stop()
    store = Store(job.store)
    with store.claim(job.key, _patience(tell, stop)):
        action, _ = store.find(job.key, job.settings.look)
        return action or _committed(job, store, tell, stop)


def _patience(tell: Listener, stop: Stop) -> Callable[[], None]:
    """What to do while another run works on the same node."""
    told = False

    def wait() -> None:
        nonlocal told
        if not told:
            told = True
            tell("waiting", reason="another run, or another worker, is at the same work")
        if stop.requested:
            raise StoppedError
        time.sleep(PATIENCE)

    return wait


def _committed(job: Job, store: Store, tell: Listener, stop: Stop) -> Action:
    from mialang.operators.errors import OperatorError  # noqa: PLC0415 - a cached run never needs the operators
    from mialang.operators.trust import trusting  # noqa: PLC0415

    keeper = Checkpoints(store, job.key, tell, stop, job.settings)
    try:
        with trusting(_trusted(job)):
            action = _isolated(job, store, tell, keeper) or _execute(job, store, tell, keeper)
    except (NodeFailedError, UnwritableError):
        raise
    except OperatorError as problem:
        keeper.drop()  # what fails for a reason that the operator knows fails again
        raise NodeFailedError(Failure(problem.title, problem.note, problem.help)) from problem
    except StoreError as problem:
        raise NodeFailedError(
            Failure(f"an input of `{job.node.label}` is lost", str(problem), "run again: it is then computed anew")
        ) from problem
    except Exception as problem:
        import traceback  # noqa: PLC0415 - only after a failure

        from mialang.operators.memory import exhausted  # noqa: PLC0415

        if exhausted(problem):
            raise NodeFailedError(
                Failure(
                    f"`{job.node.label}` ran out of memory",
                    str(problem).split("\n", 1)[0],
                    "lower batch sizes, steps or records",
                )
            ) from problem
        if keeper.resumed:
            keeper.drop()  # the state itself may be at fault, as after a change to the operator
        title = f"`{job.node.operator}` broke: {type(problem).__name__}: {problem}"
        detail = traceback.format_exc()
        raise NodeFailedError(
            Failure(title, "this was not foreseen by the operator", "report it with the run's events", detail)
        ) from problem
    keeper.drop()
    return action


def _trusted(job: Job) -> tuple[str, ...]:
    """Packages whose code what a step uses may name: not those of an isolated attack, whose results could name them."""
    if not job.strangers or job.settings.isolate == "none":
        return job.settings.trusted
    from mialang.engine.isolation.outside import standing_for  # noqa: PLC0415 - most runs isolate nothing

    if not standing_for(job).stands:
        return job.settings.trusted
    return tuple(name for name in job.settings.trusted if name not in job.strangers or name in packages_of(job.node))


def _isolated(job: Job, store: Store, tell: Listener, keeper: Checkpoints) -> Action | None:
    """Do the work of an attack step behind a boundary; None where it is to be done here."""
    if not isolates(job.node, job.settings.isolate, job.strangers):
        return None
    from mialang.engine.isolation import outside  # noqa: PLC0415

    if not outside.required(job):
        return None
    made = outside.do(job, _progress(tell), keeper)
    if made.value is not None:
        action = Action(job.key, value_digest(made.value), MEASUREMENT, made.value, made.evidence)
    else:
        output = store.put(pack(made.kind, dict(made.arrays), made.facts))
        action = Action(job.key, output, made.kind, None, made.evidence)
    store.record(action)
    return action


def _execute(job: Job, store: Store, tell: Listener, keeper: Checkpoints) -> Action:
    import torch  # noqa: PLC0415 - loaded only when something is computed

    from mialang.operators.run import Run  # noqa: PLC0415

    settings, node = job.settings, job.node
    limit_threads(settings.threads)
    run = Run(
        seed=node.seed if node.seed is not None else 0,
        device=torch.device(settings.device),
        data=Path(settings.data) if settings.data else None,
        listener=_progress(tell),
        keeper=keeper,
    )
    binding = Binding(job, run)
    keeper.threads = torch.get_num_threads()
    function = load_function(node.python, settings.trusted)
    arguments = {
        name: binding.decode(each)
        for name, each in node.params.items()
        if name != "draw" or "draw" in _parameters(function)
    }
    keeper.counters = binding.counters()
    made = function(**arguments, run=run)
    run.loops.clear()  # a run and its loops hold each other, and a loop holds all that a search moved
    evidence: dict[str, Json] = {
        "notes": run.notes,
        "seconds": round(keeper.seconds, 4),
        "threads": torch.get_num_threads(),
        "device": settings.device,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        // (1024 if sys.platform != "darwin" else 1024**2),
    }
    if run.exhibits:
        evidence["exhibits"] = run.exhibits
    if keeper.resumed:
        evidence["resumed"] = keeper.resumed
    if hasattr(made, "__len__"):
        evidence["size"] = len(made)
    evidence.update(binding.counted())
    files = tuple(fingerprint(path, names) for names, path in run.files.items())
    action = _commit(store, job, made, evidence, files)
    remember(action.output, made)
    return action


def _progress(tell: Listener) -> Progress:
    """Report progress a few times a second at most, with the seconds that are left at the pace so far."""
    first: tuple[float, int] | None = None
    last = 0.0

    def progress(done: int, total: int, figures: dict[str, float]) -> None:
        nonlocal first, last
        now = time.monotonic()
        first = first or (now, done)
        if now - last < BLINK and done < total:
            return
        last = now
        began, before = first
        left = (now - began) / (done - before) * (total - done) if done > before else None
        tell("progress", done=done, total=total, left=left, figures=figures)

    return progress


def limit_threads(threads: int | None) -> None:
    """Give torch a number of CPU threads; None leaves its own choice, one per core."""
    import torch  # noqa: PLC0415

    if threads is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    import inspect  # noqa: PLC0415

    return frozenset(inspect.signature(function).parameters)


def _commit(store: Store, job: Job, made: Any, evidence: dict[str, Json], files: tuple[dict[str, Json], ...]) -> Action:
    value = made.json() if hasattr(made, "json") else None
    if value is not None:
        action = Action(job.key, value_digest(value), MEASUREMENT, value, evidence, files)
    else:
        output = store.put(pack(made.kind, made.arrays(), made.facts()))
        action = Action(job.key, output, made.kind, None, evidence, files)
    store.record(action)
    return action


def load_function(python: str, trusted: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Import `module:function`, from mialang or a trusted package only.

    Raises:
        NodeFailedError: the package is not trusted, or holds no such function.
    """
    module, _, name = python.partition(":")
    package = module.partition(".")[0]
    if package not in ("mialang", *trusted):
        raise NodeFailedError(
            Failure(
                f"the code of `{package}` is not trusted",
                f"the spec names `{python}`, and naming code is no reason to run it",
                f"look at it, then allow it with `--trust {package}`",
            )
        )
    from mialang.operators.trust import borrowed  # noqa: PLC0415

    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as problem:
        raise NodeFailedError(
            Failure(f"there is no function `{python}`", str(problem), "install the package, or mend the declaration")
        ) from problem
    if borrowed(python, found):
        raise NodeFailedError(
            Failure(f"there is no function `{python}`", f"`{module}` only uses it", "mend the declaration")
        )
    return found


class Binding:
    """Turns the parameters of a node into what its function takes."""

    def __init__(self, job: Job, run: Any) -> None:
        self.job = job
        self.run = run
        self.meter = Meter(job.node.queries, job.node.granted)
        self.handles: dict[str, Handle] = {}  # one per model, so that terms share the answers they ask for
        self.answers: list[Any] = []  # of targets behind their defenses
        self.account: Account | None = None  # of a step that asks a service

    def trusted(self) -> tuple[str, ...]:
        """Packages besides mialang whose code may be imported."""
        return self.job.settings.trusted

    def decode(self, value: Json) -> Any:
        """A parameter as the function takes it."""
        match value:
            case {"$term": _, "python": python, "args": arguments}:
                function = load_function(python, self.trusted())
                return function(**{name: self.decode(each) for name, each in arguments.items()})
            case {"$algebra": sign, "operands": [left, right]}:
                signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
                return signs[sign](self.decode(left), self.decode(right))
            case {"$node": name}:
                return self._member(self.artefact(name), value)
            case {"$model": name} | {"$handle": name}:
                if name not in self.handles:
                    self.handles[name] = self.handle(name) if "$handle" in value else self._open(name)
                return self.handles[name]
            case dict():
                return {name: self.decode(each) for name, each in value.items()}
            case list() | tuple():
                return [self.decode(each) for each in value]
        return value

    def counters(self) -> list[tuple[object, tuple[str, ...]]]:
        """What counts on behalf of the node, with the names of its counts."""
        return [(self.meter, METERED), *((each, DEFENDED) for each in self.answers)]

    def counted(self) -> dict[str, Json]:
        """What was counted, as evidence."""
        found: dict[str, Json] = {}
        if self.meter.asked or self.meter.refused:
            found = {name: getattr(self.meter, name) for name in METERED}
        if tight := [each.rows.most for each in self.answers if each.rows.halvings]:
            found["answered_at_once"] = min(tight)  # records, from where memory ended
        if self.account is not None:
            found |= {"requests": self.account.requests, "usd": round(self.account.ledger.usd, 6)}
        if defended := sum(each.defended for each in self.answers):
            found |= {"defended": defended, "changed": sum(each.changed for each in self.answers)}
        return found

    def _member(self, artefact: Any, value: Mapping[str, Json]) -> Any:
        return getattr(artefact, value["member"]) if "member" in value else artefact

    def artefact(self, name: str) -> Any:
        """An input, from memory or the store."""
        output, made_by = self.job.inputs[name]
        return load_artefact(self.job.store, output, made_by, self.job.settings.trusted, importable(self.job, made_by))

    def _sized(self) -> dict[str, str]:
        return {name: each["size"] for name, each in self.job.observables.items() if each["size"]}

    def _open(self, name: str) -> Handle:
        """A model that nobody meters: the attacker's own, or an instrument."""
        from mialang.operators.answers import ModelAnswers  # noqa: PLC0415

        answers = ModelAnswers(self.paid(self.artefact(name)), self.job.observables, generator=self.run.generator)
        return Handle(name.rpartition("-")[0], answers)

    def paid(self, model: Any) -> Any:
        """A model; where it is a service, with who pays for its answers."""
        if not hasattr(model, "connect"):
            return model
        if self.account is None:
            store, job = Store(self.job.store), self.job
            purse, meter = job.settings.purse, self.meter
            ledger = Ledger(store, job.key, job.node.id, purse, meter.most, meter.cap)
            self.account = Account(store, job.key, job.node.id, ledger, job.settings.transcript)
        return model.connect(self.account)

    def handle(self, name: str) -> Handle:
        """The target behind its access."""
        params = self.job.handles[name]
        target = params["model"]["$node"]
        model = self.paid(self.artefact(target))
        if self.account is not None:
            self.meter.ledger = self.account.ledger
        transforms = [(each["on"], self.decode(each["term"])) for each in params["transforms"]]
        answers = answering(
            model, self.job.observables, transforms, self.meter, decoy=params["decoy"] == "permuted",
            seed=f"{self.run.seed} {self.job.inputs[target][0]}",
        )  # fmt: skip
        self.answers.append(answers)
        knows = params["knows"] if params["sees"] is not None else None
        return Handle("target", answers, params["sees"], self._sized(), self.meter, knows)


# -- artefacts in memory -------------------------------------------------------------------------------------------

RECENT = 24
_recent: dict[str, Any] = {}


def remember(output: str, artefact: Any) -> None:
    """Keep an artefact at hand for the nodes that come next; the one that went unused longest goes."""
    if not hasattr(artefact, "arrays"):
        return
    _recent.pop(output, None)
    _recent[output] = artefact
    while len(_recent) > RECENT:
        _recent.pop(next(iter(_recent)))


def importable(job: Job, made_by: str) -> bool:
    """Whether the code that made an artefact may be imported to read it.

    Code of an isolated attack stays behind its boundary, unless the job runs code of that package itself.
    """
    package = package_of(made_by)
    if package not in job.strangers or job.settings.isolate == "none" or package in packages_of(job.node):
        return True
    from mialang.engine.isolation.outside import standing_for  # noqa: PLC0415

    return not standing_for(job).stands


def load_artefact(store: Path, output: str, made_by: str, trusted: tuple[str, ...] = (), importing: bool = True) -> Any:
    """An artefact by its digest, from memory or the store.

    Args:
        store: the folder of the store.
        output: its digest.
        made_by: the function that made it; importing it makes the artefact's kind known.
        trusted: packages besides mialang whose code may be imported.
        importing: whether that of the maker may be.

    Raises:
        NodeFailedError: only the maker's code can read it, and that may not be imported here.
    """
    if output in _recent:
        remember(output, _recent[output])
        return _recent[output]
    from mialang.operators.artefacts import known, restore  # noqa: PLC0415

    kind, arrays, facts = unpack(Store(store).get(output))
    if importing:
        load_function(made_by, trusted)
    # The maker need not know of the kind: `minus` hands on records of any sort.
    if not known(kind) and not importing:
        raise NodeFailedError(
            Failure(
                f"an isolated attack made something of a kind that only its own code can read: `{kind[:60]}`",
                f"the code of `{package_of(made_by)}` is not imported where the target is",
                "let the attack hand over an artefact of mialang's kinds, as candidates, texts or links",
            )
        )
    made = restore(kind, arrays, facts)
    remember(output, made)
    return made
