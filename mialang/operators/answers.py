"""How a model answers: native answers, weakened along the declared order, changed by defenses, permuted for decoys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import torch

from mialang.operators.defenses.outputs import OutputTransform
from mialang.operators.errors import OperatorError
from mialang.operators.observables import permuted
from mialang.operators.run import Json

CHUNK = 4096  # rows that are answered at once where no gradient is needed


class Answerable(Protocol):
    """A model as an artefact: it answers its native observables."""

    natives: tuple[str, ...]
    classes: tuple[int, ...]
    shape: tuple[int, ...]

    def answer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Answer a native observable for `[n, *shape]`."""


class ModelAnswers:
    """The answers of one model under some defenses.

    Args:
        model: the model.
        observables: how observables follow from each other: name → `from`, `python`, `size`.
        transforms: observables with the defenses that change their answers, in order.
        decoy: whether answers are permuted among the rows of a call, with zero gradients.
        generator: source of randomness of defenses and decoys.
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
        self.classes = model.classes
        self.shape = model.shape

    def __call__(self, name: str, x: torch.Tensor, **size: Any) -> torch.Tensor:
        """Answer an observable for inputs `[n, …]`; differentiable where `x` is."""
        if x.requires_grad or len(x) <= CHUNK:
            answer = self._answer(name, x, size)
        else:
            answer = torch.cat([self._answer(name, part, size) for part in x.split(CHUNK)])
        return permuted(answer, generator=self._generator) if self._decoy else answer

    def _answer(self, name: str, x: torch.Tensor, size: Mapping[str, Any]) -> torch.Tensor:
        chain = self._chain(name)
        answer = self._model.answer(chain[0], x)
        for place, link in enumerate(chain):
            if place:
                given = dict(size) if link == name else {}
                parameter = self._observables[link]["size"]
                if parameter and parameter not in given:
                    given = {parameter: len(self.classes)}
                answer = _witness(self._observables[link]["python"])(answer, classes=self.classes, **given)
            for names, transform in self._transforms:
                if link in names:
                    answer = transform(answer, generator=self._generator)
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
        known = torch.tensor(self.classes, device=labels.device)
        order = known.argsort()
        place = torch.searchsorted(known[order], labels).clamp(max=len(known) - 1)
        columns = order[place]
        if bool((known[columns] != labels).any()):
            stranger = int(labels[known[columns] != labels][0])
            raise OperatorError(f"the model does not know class {stranger}", note=f"it knows {list(self.classes)}")
        return columns

    def model(self) -> Answerable:
        """The model itself."""
        return self._model


def _witness(python: str) -> Any:
    module, _, name = python.partition(":")
    return getattr(import_module(module), name)
