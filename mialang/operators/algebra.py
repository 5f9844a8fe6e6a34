"""Objectives: one number per candidate, with an algebra and a printable formula."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mialang.operators.batches import Batch
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle


@dataclass(eq=False)
class Point:
    """Where an objective is evaluated: `n` candidates at once.

    Attributes:
        value: n decoded candidates: a tensor `[n, …]`, or a sequence (of strings).
        code: `[n, …]` search variables.
        labels: `[n]` units that the candidates claim to be: class ids, or places of records. None where they claim none.
        generator: source of randomness for objectives that draw.
    """

    value: Batch
    code: torch.Tensor
    labels: torch.Tensor | None
    generator: torch.Generator
    _answers: dict[tuple[int, str], Any] = field(default_factory=dict, repr=False)

    def ask(self, model: Handle, observable: str) -> Any:
        """Ask a model about the candidates, once per observable however many terms want it."""
        key = (id(model), observable)
        if key not in self._answers:
            self._answers[key] = model.ask(observable, self.value)
        return self._answers[key]

    def once(self, name: str, value: Any) -> Any:
        """Return what the first term said under a name; terms that must agree on something ask here."""
        return self._answers.setdefault((0, name), value)

    def claimed(self) -> torch.Tensor:
        """Return the claimed units `[n]`: class ids, or places of records.

        Raises:
            OperatorError: the candidates claim nothing.
        """
        if self.labels is None:
            raise OperatorError(
                "the objective needs a class or record for each candidate, and the candidates claim none",
                help="use an objective that names a classifier or leaked records, or search per class",
            )
        return self.labels


class Objective(ABC):
    """A number per candidate, to be minimised by a search or ranked on by a selection."""

    @abstractmethod
    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]` values, differentiable where the answers of the models are."""

    @abstractmethod
    def formula(self) -> str:
        """Return the objective as people write it."""

    def models(self) -> tuple[Handle, ...]:
        """Return the models it asks."""
        return ()

    def units(self) -> tuple[int, ...] | None:
        """Return the units that a search must cover: class ids, places of records, or `(0,)` for one whole.

        An objective of its own kind of unit (one per leaked record, one graph) overrides this; by nature the units are
        the classes of the classifiers that it asks. None where it speaks of no unit.

        Raises:
            OperatorError: it mentions classifiers of different classes.
        """
        return shared_units([model.classes or None for model in self.models()])

    def __add__(self, other: Objective | float) -> Objective:
        """Return the sum."""
        return Combination("+", self, lift(other))

    def __radd__(self, other: float) -> Objective:
        """Return the sum."""
        return Combination("+", lift(other), self)

    def __sub__(self, other: Objective | float) -> Objective:
        """Return the difference."""
        return Combination("-", self, lift(other))

    def __rsub__(self, other: float) -> Objective:
        """Return the difference."""
        return Combination("-", lift(other), self)

    def __mul__(self, other: Objective | float) -> Objective:
        """Return the product."""
        return Combination("*", self, lift(other))

    def __rmul__(self, other: float) -> Objective:
        """Return the product."""
        return Combination("*", lift(other), self)

    def __truediv__(self, other: Objective | float) -> Objective:
        """Return the quotient."""
        return Combination("/", self, lift(other))

    def __rtruediv__(self, other: float) -> Objective:
        """Return the quotient."""
        return Combination("/", lift(other), self)

    def __neg__(self) -> Objective:
        """Return the objective with its sign changed."""
        return Combination("*", Constant(-1.0), self)


@dataclass(frozen=True)
class Constant(Objective):
    """The same number for every candidate."""

    number: float

    def __call__(self, point: Point) -> torch.Tensor:
        """Return the number `n` times."""
        return torch.full((len(point.value),), self.number, device=point.code.device)

    def formula(self) -> str:
        """Return the number."""
        return f"{self.number:g}"


APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
BINDING = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class Combination(Objective):
    """Two objectives joined by one of `+ - * /`."""

    sign: str
    left: Objective
    right: Objective

    def __call__(self, point: Point) -> torch.Tensor:
        """Return the combined values; numbers are not spread over the candidates first."""
        result: torch.Tensor = APPLY[self.sign](_value(self.left, point), _value(self.right, point))
        return result if isinstance(result, torch.Tensor) else Constant(result)(point)

    def formula(self) -> str:
        """Return both sides with the brackets that are needed."""
        left, right = self.left.formula(), self.right.formula()
        if isinstance(self.left, Combination) and BINDING[self.left.sign] < BINDING[self.sign]:
            left = f"({left})"
        if isinstance(self.right, Combination):
            weaker = BINDING[self.right.sign] < BINDING[self.sign]
            if weaker or (self.sign in "-/" and BINDING[self.right.sign] == BINDING[self.sign]):
                right = f"({right})"
        return f"{left} {self.sign} {right}"

    def models(self) -> tuple[Handle, ...]:
        """Return the models that either side asks."""
        return self.left.models() + self.right.models()

    def units(self) -> tuple[int, ...] | None:
        """Return the units of either side, which must be the same."""
        return shared_units([self.left.units(), self.right.units()])


def shared_units(units: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """Return the units that several terms speak of; None where none of them speaks of any.

    Raises:
        OperatorError: they speak of different ones.
    """
    known = [each for each in units if each is not None]
    for other in known[1:]:
        if other != known[0]:
            raise OperatorError(
                "the objective mixes models of different classes, or classes with records",
                note=f"one speaks of {_some(known[0])}, another of {_some(other)}",
                help="fit students on answers of the target itself, so that they share its classes",
            )
    return known[0] if known else None


def _some(units: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, units[:8]))
    return f"[{shown}, …] ({len(units):,} units)" if len(units) > 8 else f"[{shown}]"


def lift(value: Objective | float) -> Objective:
    """Return an objective as it is, and a number as a constant objective."""
    return value if isinstance(value, Objective) else Constant(float(value))


def _value(part: Objective, point: Point) -> torch.Tensor | float:
    return part.number if isinstance(part, Constant) else part(point)
