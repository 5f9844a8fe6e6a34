"""Stand-ins for what the engine supplies: a handle (open or a decoy) and small models with known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from mialang.operators import observables
from mialang.operators.run import Run

DERIVED = {"scores": ("scores",), "top_k": ("scores", "top_k"), "label": ("scores", "label")}


@dataclass
class StandIn:
    """A handle over anything with `classes`, `shape` and `answer(name, x)`."""

    model: object
    decoy: bool = False
    seed: int = 0
    budget: int | None = None
    name: str = "target"
    asked: int = field(default=0, init=False)

    def __post_init__(self):
        self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def classes(self):
        return self.model.classes

    @property
    def shape(self):
        return self.model.shape

    @property
    def identity(self):
        return getattr(self.model, "identity", "")

    @property
    def remaining(self):
        return None if self.budget is None else self.budget - self.asked

    def column(self, labels):
        return torch.searchsorted(torch.tensor(self.classes), labels)

    def ask(self, name, x, **size):
        self.asked += len(x)
        assert self.budget is None or self.asked <= self.budget, "asked more than was granted"
        steps = DERIVED.get(name, ())
        answer = self.model.answer("logits" if steps else name, x)
        for step in steps:
            witness = getattr(observables, step)
            answer = witness(answer, classes=self.classes, **(size if step == name else {}))
        return observables.permuted(answer, generator=self.generator) if self.decoy else answer


@dataclass
class Formula:
    """A model whose logits are a given function of its input; features are the flat input."""

    classes: tuple[int, ...]
    shape: tuple[int, ...]
    logits: Callable[[torch.Tensor], torch.Tensor]

    def answer(self, name, x):
        return self.logits(x) if name == "logits" else x.flatten(1)


def corners(classes=(2, 5, 7), dimension=4, sharpness=4.0):
    """Return a model of `dimension` numbers whose class c wins near the c-th unit vector (scaled by 2)."""
    centres = 2 * torch.eye(dimension)[: len(classes)]
    return Formula(classes, (dimension,), lambda x: -sharpness * torch.cdist(x.flatten(1), centres))


def run(seed: int = 0, **rest) -> Run:
    """Return a run with a fixed seed."""
    return Run(seed=seed, **rest)
