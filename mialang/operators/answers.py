"""How a model answers: native answers, weakened along the declared order, changed by defenses, permuted for decoys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from mialang.operators import trust
from mialang.operators.batches import Batch, joined
from mialang.operators.defenses.outputs import OutputTransform
from mialang.operators.errors import OperatorError
from mialang.operators.memory import Rows
from mialang.operators.observables import permuted
from mialang.operators.run import Json

CHUNK = 4096  # records that are answered at once where no gradient is needed


class Answerable(Protocol):
    """A model as an artefact: it answers its native observables."""

    natives: tuple[str, ...]
    classes: tuple[int, ...]
    shape: tuple[int, ...]

    def answer(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer a native observable for a batch of n inputs; `size` holds the parameters of the observable, if any."""


class ModelAnswers:
    """The answers of one model under some defenses.

    Args:
        model: the model.
        observables: how observables follow from each other: name → `from`, `python`, `size`.
        transforms: observables with the defenses that change their answers, in order.
        decoy: whether answers are permuted among the records of a call, with zero gradients.
        generator: source of randomness of defenses and decoys.

    Attributes:
        defended: how many answers passed a defense.
        changed: how many of them it changed; a defense that changes none is none.
    """

    def __init__(
        self,
        model: Answerable,
        observables: Mapping[str, Mapping[str, Json]],
        transforms: Sequence[tuple[Sequence[str], OutputTransform]] = (),
        *,
        decoy: bool = False,
        generator: torch.Generator,
    ) -> None:
        self._model = model
        self._observables = observables
        self._transforms = transforms
        self._decoy = decoy
        self._generator = generator
        self.defended = 0
        self.changed = 0
        self.classes = model.classes
        self.shape = model.shape
        self.identity: str = getattr(model, "identity", "")
        self.rows = Rows(CHUNK)

    def __call__(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer an observable for a batch of n inputs; differentiable where `x` is a tensor that requires gradients."""
        if getattr(x, "requires_grad", False) or not len(x):
            answer = self._answer(name, x, size)
        else:
            made = self.rows(len(x), lambda part: self._answer(name, x if part == slice(0, len(x)) else x[part], size))
            answer = made[0] if len(made) == 1 else joined(made)
        return permuted(answer, generator=self._generator) if self._decoy else answer

    def _answer(self, name: str, x: Batch, size: Mapping[str, Any]) -> Batch:
        chain = self._chain(name)
        # What is answered natively takes its size itself; along a chain every link takes its own.
        answer = self._model.answer(chain[0], x, **(size if len(chain) == 1 else {}))
        pending = list(self._transforms)
        for place, link in enumerate(chain):
            witness = self._observables[link]["python"] if place else ""
            # A leaked artefact is made of the very answers that it records: nothing weakens them on the way.
            if witness and not self._observables[link].get("artefact"):
                given = dict(size) if link == name else {}
                parameter = self._observables[link]["size"]
                if parameter and parameter not in given:
                    given = {parameter: len(self.classes)}
                answer = _witness(witness)(answer, classes=self.classes, **given)
            for names, transform in [each for each in pending if link in each[0]]:
                pending.remove((names, transform))  # each defense acts once, where the answer first meets it
                released = transform(answer, generator=self._generator)
                self.defended += len(released)
                self.changed += _differing(answer, released)
                answer = released
        return answer

    def _chain(self, name: str) -> tuple[str, ...]:
        """From a native observable down to the one asked for."""
        pending: list[tuple[str, ...]] = [(name,)]
        seen: set[str] = set()
        while pending:
            chain = pending.pop(0)
            if chain[0] in self._model.natives:
                return chain
            if chain[0] in seen or chain[0] not in self._observables:
                continue
            seen.add(chain[0])
            pending.extend((source, *chain) for source in self._observables[chain[0]]["from"])
        raise OperatorError(
            f"this model does not answer {name.replace('_', ' ')}",
            note=f"by nature it answers {', '.join(self._model.natives)}",
            help="ask for something that follows from these",
        )

    def column(self, labels: torch.Tensor) -> torch.Tensor:
        """Map class ids `[n]` to columns `[n]`.

        Raises:
            OperatorError: the model does not know a class.
        """
        return column_of(self.classes, labels)

    def knowledge(self, name: str) -> Any:
        """A fact about the model, as its vocabulary.

        Raises:
            OperatorError: the model has no such fact to tell.
        """
        tell = getattr(self._model, "knowledge", None)
        if tell is None:
            raise OperatorError(f"this model has no {name.replace('_', ' ')} that could be told")
        return tell(name)

    def model(self) -> Answerable:
        """The model itself, as its weights hold it: a model that keeps private data to itself is given without them."""
        released = getattr(self._model, "released", None)
        return self._model if released is None else released()


def _differing(before: Batch, after: Batch) -> int:
    """How many records of a batch changed by more than arithmetic rounds."""
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        if before.shape != after.shape:
            return len(after)
        same = torch.isclose(before.detach(), after.detach(), rtol=1e-5, atol=1e-7)
        return int((~same).reshape(len(after), -1).any(1).sum())
    return sum(one is not other and one != other for one, other in zip(before, after, strict=True))


def column_of(classes: Sequence[int], labels: torch.Tensor) -> torch.Tensor:
    """Map class ids `[n]` to their places among some classes `[n]`.

    Raises:
        OperatorError: an id is none of them.
    """
    known = torch.tensor(classes, device=labels.device)
    order = known.argsort()
    place = torch.searchsorted(known[order], labels).clamp(max=len(known) - 1)
    columns = order[place]
    if bool((known[columns] != labels).any()):
        stranger = int(labels[known[columns] != labels][0])
        raise OperatorError(f"the model does not know class {stranger}", note=f"it knows {list(classes)}")
    return columns


def _witness(python: str) -> Any:
    try:
        return trust.load(python)
    except (ImportError, AttributeError) as problem:
        raise OperatorError(
            f"there is no function `{python}`", note=str(problem), help="install the package, or mend the declaration"
        ) from problem
