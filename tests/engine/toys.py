"""Operators for tests of the engine: they compute on whole numbers and fail, count or crash on request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Json, Run
from mialang.plan.model import BudgetPlan, Node, Plan

calls: list[str] = []


@dataclass(frozen=True, eq=False)
class Toy(Artefact, kind="toy"):
    """A few numbers."""

    numbers: tuple[int, ...]

    def arrays(self) -> dict[str, Array]:
        return {"numbers": np.array(self.numbers, dtype=np.int64)}

    def facts(self) -> dict[str, Json]:
        return {"count": len(self.numbers)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        return cls(tuple(arrays["numbers"].tolist()))


@dataclass(frozen=True, eq=False)
class Oracle(Artefact, kind="toy oracle"):
    """A model that answers with two numbers for two."""

    natives: ClassVar[tuple[str, ...]] = ("logits",)
    classes: ClassVar[tuple[int, ...]] = (0, 1)
    shape: ClassVar[tuple[int, ...]] = (2,)

    slope: int

    def answer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x * self.slope

    def arrays(self) -> dict[str, Array]:
        return {}

    def facts(self) -> dict[str, Json]:
        return {"slope": self.slope}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        return cls(facts["slope"])


class CrashError(BaseException):
    """The power goes."""


def add(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """Add up what came in, with something of its own and something drawn."""
    calls.append(name)
    run.note("seed", run.seed)
    run.progress(1, 1)
    return Toy((sum(number for each in of for number in each.numbers) % 1000 + plus + run.seed % 7, plus))


def constant(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """The same whatever comes in."""
    del of, plus
    calls.append(name)
    return Toy((7,))


def fail(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """Fail in a way that a user can act on."""
    raise OperatorError(f"{name} failed", note="the note", help="the help")


def break_down(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """Fail in a way that nobody foresaw."""
    raise ZeroDivisionError("oh")


def note_call(name: str, run: Run) -> int:
    """Write a call down where other processes can read it; return how many there were before."""
    assert run.data is not None
    path = run.data / "calls"
    before = path.read_text().split().count(name) if path.exists() else 0
    with path.open("a") as file:
        file.write(f"{name}\n")
    return before


def die(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """Kill the process that runs this, the first `plus` times."""
    if note_call(name, run) < plus:
        os.kill(os.getpid(), signal.SIGKILL)
    return Toy((len(of), plus))


def walk(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Toy:
    """Take `plus` steps of a millisecond, each with a draw from the step's generator and one from torch's."""
    if run.data is not None:
        note_call(name, run)
    start = sum(number for each in of for number in each.numbers)
    loop = run.loop("walk", plus)
    loop.kept["place"] = torch.full((4,), float(start % 7))
    with run.seeded():
        for step in loop:
            time.sleep(0.001)
            loop.kept["place"] = loop.kept["place"] * 0.9 + torch.rand(4, generator=run.generator) + torch.rand(4)
            run.progress(step + 1, plus)
    return Toy(tuple(int(value) for value in loop.kept["place"].view(torch.int32)))


def oracle(*, of: Sequence[Toy], plus: int, name: str, run: Run) -> Oracle:
    """A model to be asked."""
    return Oracle(sum(number for each in of for number in each.numbers) % 7 + plus)


def interrogate(*, of: Handle, plus: int, name: str, run: Run) -> Toy:
    """Ask `plus` questions of two rows each, a millisecond apart; what is asked depends on what was answered."""
    if run.data is not None:
        note_call(name, run)
    loop = run.loop("questions", plus)
    loop.kept["x"] = torch.rand(2, 2, generator=run.generator)
    for step in loop:
        time.sleep(0.001)
        answer = of.ask("logits", loop.kept["x"])
        loop.kept["x"] = (answer + torch.rand(2, 2, generator=run.generator)).frac()
        run.progress(step + 1, plus)
    return Toy(tuple(int(value) for value in loop.kept["x"].flatten().view(torch.int32)))


def handle_on(model: str) -> Node:
    """A handle on a toy oracle, which lets its logits be asked for."""
    params = {"model": {"$node": model}, "sees": {"logits": None}, "knows": [], "transforms": [], "decoy": ""}
    return Node(id=f"handle_{model}", label="handle", role="handle", operator="handle", python="", version=1, kind="model",
                params=params, inputs=(model,))  # fmt: skip


def interrogation(name: str, handle: str, plus: int, seed: int) -> Node:
    """A node that asks `plus` times two questions, and may ask no more."""
    params = {"of": {"$handle": handle}, "plus": plus, "name": name}
    return Node(id=name, label=name, role="attack", operator="interrogate", python="tests.engine.toys:interrogate",
                version=1, kind="toy", params=params, inputs=(handle,), seed=seed, queries=2 * plus)  # fmt: skip


def node(name: str, inputs: Sequence[str] = (), plus: int = 0, function: str = "add", seed: int | None = None) -> Node:
    """A node that runs a toy."""
    params: dict[str, Any] = {"of": [{"$node": each} for each in inputs], "plus": plus, "name": name}
    return Node(id=name, label=name, role="attack", operator=function, python=f"tests.engine.toys:{function}", version=1,
                kind="toy", params=params, inputs=tuple(dict.fromkeys(inputs)), seed=seed)  # fmt: skip


def plan(nodes: Sequence[Node]) -> Plan:
    """A plan of toys."""
    return Plan(
        spec="mia 1\n", spec_name="toys.mia", doc="", seed=0, repeats=1, matrix={}, cells=1,
        nodes={each.id: each for each in nodes}, observables={}, threats=(), attacks=(), arms=(), measurements=(), readings=(), gates=(), budget=BudgetPlan(), secrets={},
    )  # fmt: skip
