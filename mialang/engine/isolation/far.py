"""What a step holds in place of what stayed with the other side: handles that ask through the pipe, a keeper of its loops."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

from mialang.engine.codec import unpack
from mialang.engine.handles import Handle, Meter, RefusedError
from mialang.engine.isolation.wire import Channel
from mialang.engine.questions import leaves
from mialang.engine.work import Binding, Job, load_function
from mialang.operators.answers import column_of
from mialang.operators.artefacts import Array, restore
from mialang.operators.elsewhere import answered, like
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.plan.model import Node

Json = Any
LOOK = 0.5  # seconds between two questions whether it is time to save


def bound(job: Mapping[str, Json], run: Run, channel: Channel, function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a step, from what came through the pipe."""
    binding = _Binding(job, run, channel)
    takes = inspect.signature(function).parameters
    return {name: binding.decode(each) for name, each in job["params"].items() if name != "draw" or "draw" in takes}


class _Binding(Binding):
    """Binds parameters to artefacts that came through the pipe, and to handles that ask through it."""

    def __init__(self, given: Mapping[str, Json], run: Run, channel: Channel) -> None:
        self._given = given
        self._channel = channel
        self._held: dict[str, Any] = {}
        self._trusted = tuple(given["trusted"])
        super().__init__(_job(given), run)

    def trusted(self) -> tuple[str, ...]:
        """Packages whose code may be imported here."""
        return self._trusted

    def artefact(self, name: str) -> Any:
        """Something that was granted, or made by the attack itself."""
        if name not in self._held:
            data, made_by = self._given["inputs"][name]
            load_function(made_by, self._trusted)
            self._held[name] = restore(*unpack(data))
        return self._held[name]

    def paid(self, model: Any) -> Any:
        """A model of the attack's own; no service, which nobody here could reach or pay.

        Raises:
            OperatorError: it is one.
        """
        if hasattr(model, "connect"):
            raise OperatorError("an isolated step reaches no service but the target, through its handle")
        return model

    def handle(self, name: str) -> Handle:
        """The target, far away."""
        facts = self._given["handles"][name]
        return Handle(
            facts["name"], FarAnswers(name, facts, self._channel, self._trusted), meter=FarMeter(name, self._channel)
        )


def _job(given: Mapping[str, Json]) -> Job:
    from pathlib import Path  # noqa: PLC0415

    node = Node.model_construct(id="", queries=None, granted=None)
    return Job(node, "", {}, {}, given["observables"], Path())


class FarMeter(Meter):
    """The meter, which stays with the other side."""

    def __init__(self, handle: str, channel: Channel) -> None:
        super().__init__()
        self._handle = handle
        self._channel = channel

    @property
    def remaining(self) -> int | None:
        """How many questions may still be asked."""
        left: int | None = call(self._channel, {"said": "remaining", "handle": self._handle})
        return left

    def count(self, name: str, rows: int) -> None:
        """Count nothing here: the other side does, before it answers."""


class FarAnswers:
    """Answers that come through the pipe."""

    def __init__(self, handle: str, facts: Mapping[str, Json], channel: Channel, trusted: tuple[str, ...]) -> None:
        self._handle = handle
        self._channel = channel
        self._trusted = trusted
        self.classes: tuple[int, ...] = tuple(facts["classes"])
        self.shape: tuple[int, ...] = tuple(facts["shape"])
        self.identity: str = facts["identity"]

    def __call__(self, name: str, x: Any, **size: Any) -> Any:
        """Answer an observable; differentiable where the question is."""
        question = {"said": "ask", "handle": self._handle, "name": name, "x": x, "size": size}

        def ask(differentiable: bool) -> tuple[Any, Ticket | None]:
            told = call(self._channel, {**question, "gradient": differentiable})
            if not differentiable:
                return like(told, x), None
            return like(told["answer"], x), None if told["ticket"] is None else Ticket(told["ticket"], self._channel)

        return answered(ask, leaves(x))

    def column(self, labels: Any) -> Any:
        """Map class ids `[n]` to columns `[n]`."""
        return column_of(self.classes, labels)

    def knowledge(self, name: str) -> Any:
        """A fact about the model."""
        return call(self._channel, {"said": "know", "handle": self._handle, "name": name})

    def model(self) -> Any:
        """The model itself, where the weights are granted: the other side hands it over."""
        data, made_by = call(self._channel, {"said": "model", "handle": self._handle})
        load_function(made_by, self._trusted)
        return restore(*unpack(data))


class Ticket:
    """A graph of gradients that the other side keeps as long as this lives."""

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self.channel = channel

    def __call__(self, gradient: Any) -> list[Any]:
        """Turn the gradient of an answer into gradients of its question."""
        made: list[Any] = call(self.channel, {"said": "turn back", "ticket": self.number, "gradient": gradient})
        return made

    def __del__(self) -> None:
        """Let the other side forget the graph."""
        _forgotten.append(self.number)


_forgotten: list[int] = []


def call(channel: Channel, question: dict[str, Json]) -> Any:
    """Send a question and wait for what is said to it.

    Raises:
        OperatorError: the other side refuses, or could not do it.
    """
    forgotten = _forgotten[:]
    del _forgotten[: len(forgotten)]
    channel.send({**question, "forgotten": forgotten})
    said = channel.receive()
    if "refused" in said:
        kind = RefusedError if said["sort"] == "refused" else OperatorError
        raise kind(said["refused"], note=said["note"], help=said["help"])
    return said["answer"]


class Keeping:
    """Keeps the loops of a step with the other side, when the other side says that it is time."""

    def __init__(self, channel: Channel, kept: Json) -> None:
        self._channel = channel
        self._kept = kept
        self._next = time.monotonic() + LOOK

    def due(self) -> bool:
        """Whether it is time to save; asked of the other side now and then."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + LOOK
        return bool(call(self._channel, {"said": "due"}))

    def save(self, arrays: dict[str, Array], facts: Json) -> None:
        """Hand the state over."""
        call(self._channel, {"said": "keep", "arrays": arrays, "facts": facts})

    def load(self) -> tuple[Mapping[str, Array], Json] | None:
        """What was kept last."""
        return None if self._kept is None else (self._kept["arrays"], self._kept["facts"])

    def counts(self) -> Json:
        """Nothing is counted here: the other side keeps its own counts with the state."""
        return None

    def recount(self, counts: Json) -> None:
        """Nothing is counted here."""
