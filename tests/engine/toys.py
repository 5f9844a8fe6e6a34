"""Operators for tests of the engine: they compute on whole numbers and fail, count or crash on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
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


def node(name: str, inputs: Sequence[str] = (), plus: int = 0, function: str = "add", seed: int | None = None) -> Node:
    """A node that runs a toy."""
    params: dict[str, Any] = {"of": [{"$node": each} for each in inputs], "plus": plus, "name": name}
    return Node(id=name, label=name, role="attack", operator=function, python=f"tests.engine.toys:{function}", version=1,
                kind="toy", params=params, inputs=tuple(dict.fromkeys(inputs)), seed=seed)  # fmt: skip


def plan(nodes: Sequence[Node]) -> Plan:
    """A plan of toys."""
    return Plan(
        spec="mia 1\n", spec_name="toys.mia", doc="", seed=0, repeats=1, matrix={}, nodes={each.id: each for each in nodes},
        observables={}, threats=(), attacks=(), arms=(), measurements=(), readings=(), gates=(), budget=BudgetPlan(), secrets={},
    )  # fmt: skip
