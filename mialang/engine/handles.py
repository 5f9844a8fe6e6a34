"""Handles: what an attack gets instead of a model. They answer what is granted, count it, and refuse the rest.

In one process a handle stops mistakes, not malice: Python keeps nothing private. What stops malice is a boundary
between processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mialang.engine.questions import apart
from mialang.operators.errors import OperatorError

Tensor = Any
Batch = Any  # a tensor `[n, …]`, or a sequence of n
Json = Any


class Answers(Protocol):
    """What answers questions about a model: the torch side of a handle."""

    classes: tuple[int, ...]
    shape: tuple[int, ...]
    identity: str

    def __call__(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer an observable for a batch of n inputs."""

    def column(self, labels: Tensor) -> Tensor:
        """Map class ids to columns of `scores`."""

    def knowledge(self, name: str) -> Any:
        """A fact about the model."""

    def model(self) -> Any:
        """The model itself."""


class Ledger(Protocol):
    """A count that outlives the process; whoever sends a request writes it down there first."""

    asked: int


class RefusedError(OperatorError):
    """A question that the threat does not allow; it cost nothing."""


@dataclass
class Meter:
    """How many questions were asked and refused on behalf of one node.

    Attributes:
        cap: how many this step needs at most; None where nobody counts.
        granted: how many the threat grants it; None where that is the same.
        ledger: the count for services, which have answered whatever became of the answer: what interrupted executions and
            repeated requests asked counts as well, against what is granted.
    """

    cap: int | None = None
    granted: int | None = None
    asked: int = 0
    refused: int = 0
    by_observable: dict[str, int] = field(default_factory=dict)
    ledger: Ledger | None = None

    @property
    def most(self) -> int | None:
        """How many may be asked in all, over all executions."""
        return self.cap if self.granted is None else self.granted

    @property
    def remaining(self) -> int | None:
        """How many may still be asked."""
        if self.cap is None or self.most is None:
            return None
        here = self.cap - self.asked
        return here if self.ledger is None else max(0, min(here, self.most - self.ledger.asked))

    def count(self, name: str, rows: int) -> None:
        """Count a question of some rows, or refuse it.

        Raises:
            RefusedError: it would go beyond what the step needs, or beyond what the threat grants.
        """
        if self.cap is not None and self.most is not None:
            before = max(0, self.ledger.asked - self.asked) if self.ledger is not None else 0
            if self.asked + rows > self.cap or before + self.asked + rows > self.most:
                self.refused += rows
                raise self._refusal(self.cap, self.most, before, rows)
        self.asked += rows
        self.by_observable[name] = self.by_observable.get(name, 0) + rows

    def _refusal(self, cap: int, most: int, before: int, rows: int) -> RefusedError:
        """Why a question of some rows is refused, after as many questions of executions and requests that came to nothing."""
        asked = before + self.asked
        if asked + rows <= most:
            return RefusedError(
                f"this step was counted to ask at most {cap:,} questions, and it asks more",
                note=f"{self.asked:,} were asked; this question has {rows:,} rows; the threat grants {most:,}",
                help="raise the `queries` that its operator declares, or lower its steps, starts or `at_most`",
            )
        lost = f", {before:,} of them by executions or requests that came to nothing" if before else ""
        lacking = max(asked + rows, before + cap) - most
        return RefusedError(
            f"the {most:,} questions that the threat grants this step do not suffice",
            note=f"{asked:,} were asked{lost}; this question has {rows:,} rows",
            help=f"raise the threat's `queries` by at least {lacking:,}, or lower steps, starts or `at_most`",
        )


def answering(  # noqa: PLR0913 - everything that decides an answer
    model: Any,
    observables: Mapping[str, Mapping[str, Json]],
    transforms: Sequence[tuple[Sequence[str], Any]],
    meter: Meter,
    *,
    decoy: bool,
    seed: str,
) -> Answers:
    """The answers of a model under some defenses, with chance of their own where they need it.

    What is drawn for an answer (a defense's noise, a decoy's order) depends on the seed and on how many questions were asked
    before, and not on what the step draws: so it is the same in whichever process the step runs, and a step that knows its
    own seed cannot foresee it.

    Args:
        model: the model.
        observables: how observables follow from each other.
        transforms: observables with the defenses that change their answers, in order.
        meter: counts the questions.
        decoy: whether answers are permuted among the records of a call.
        seed: of the step, with the digest of the model, which no step knows.
    """
    import torch  # noqa: PLC0415 - loaded only when something is computed

    from mialang.operators.answers import ModelAnswers  # noqa: PLC0415

    chance = torch.Generator()

    class Drawn(ModelAnswers):
        """Answers that draw anew for every question."""

        def __call__(self, name: str, x: Batch, **size: Any) -> Batch:
            """Answer."""
            chance.manual_seed(int(hashlib.sha256(f"{seed} {meter.asked}".encode()).hexdigest()[:15], 16))
            return super().__call__(name, x, **size)

    kind = Drawn if decoy or transforms else ModelAnswers
    return kind(model, observables, transforms, decoy=decoy, generator=chance)


class Handle:
    """A model behind its access.

    Args:
        name: what the model is called.
        answers: what answers for it.
        sees: observables that are granted, with sizes (None: any size); None grants everything.
        sized: the name of the size of each observable that has one.
        meter: what counts the questions.
        knows: facts about the model that are granted; None grants everything.
    """

    __slots__ = ("__answers", "__knows", "__meter", "__sees", "__sized", "name")

    def __init__(  # noqa: PLR0913 - what is answered, and every way in which that is limited
        self,
        name: str,
        answers: Answers,
        sees: Mapping[str, float | None] | None = None,
        sized: Mapping[str, str] | None = None,
        meter: Meter | None = None,
        knows: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.__answers = answers
        self.__sees = sees
        self.__sized = sized or {}
        self.__meter = meter or Meter()
        self.__knows = knows

    @property
    def classes(self) -> tuple[int, ...]:
        """Original class ids; column j of `scores` belongs to `classes[j]`. Empty for what is no classifier."""
        return self.__answers.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.__answers.shape

    @property
    def identity(self) -> str:
        """Hash of all that decides the model's answers; empty where the model does not tell."""
        return self.__answers.identity

    @property
    def remaining(self) -> int | None:
        """How many questions may still be asked; None = unmetered."""
        return self.__meter.remaining

    def ask(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer n questions, one a record of `x`: a tensor `[n, …]`, or a sequence of n inputs.

        Of what comes in sizes, as much is answered as is granted where no size is asked.

        Raises:
            RefusedError: the observable, its size, its gradient, or the number of questions is not granted.
        """
        self.__allow(name, size)
        if getattr(x, "requires_grad", False):
            self.__allow("input_gradients", {})
        self.__meter.count(name, len(x))
        return self.__answers(name, apart(x), **self.__whole(name, size))

    def know(self, name: str) -> Any:
        """A fact about the model, as its vocabulary.

        Raises:
            RefusedError: it is not granted.
        """
        if self.__knows is not None and name not in self.__knows:
            self.__meter.refused += 1
            raise RefusedError(
                f"this attack may not know the {name.replace('_', ' ')} of `{self.name}`",
                note=f"it was found to know {_listed(self.__knows)}",
                help="declare in the operator's `.mia` what it knows: `{ knows = [" + name + "] }`",
            )
        return self.__answers.knowledge(name)

    def column(self, labels: Tensor) -> Tensor:
        """Map class ids `[n]` to columns of `scores` `[n]`."""
        return self.__answers.column(labels)

    def model(self) -> Any:
        """The model itself, for who holds the weights.

        Raises:
            RefusedError: the weights are not granted.
        """
        self.__allow("weights", {})
        return self.__answers.model()

    def __whole(self, name: str, size: Mapping[str, Any]) -> Mapping[str, Any]:
        """The size of a question, or the largest that is granted where none was asked."""
        parameter, limit = self.__sized.get(name), (self.__sees or {}).get(name)
        if parameter is None or parameter in size or limit is None:
            return size
        return {**size, parameter: int(limit)}

    def __allow(self, name: str, size: Mapping[str, Any]) -> None:
        if self.__sees is None:
            return
        if name not in self.__sees:
            self.__meter.refused += 1
            raise RefusedError(
                f"this attack may not see {name.replace('_', ' ')} of `{self.name}`",
                note=f"it was found to need {_listed(self.__sees)}",
                help="declare in the operator's `.mia` what it asks: `{ sees = [" + name + "] }`",
            )
        limit = self.__sees[name]
        asked = size.get(self.__sized.get(name, ""))
        if limit is not None and asked is not None and asked > limit:
            self.__meter.refused += 1
            raise RefusedError(
                f"this threat grants {name.replace('_', ' ')} up to {limit:g}, and {asked:g} was asked",
                help=f"ask for at most {limit:g}",
            )


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(name.replace("_", " ") for name in names) or "nothing"
