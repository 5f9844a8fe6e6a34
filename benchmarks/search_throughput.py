"""Iterations per second of the vectorised search beside a Python loop over classes and starts, at equal settings.

One iteration moves every candidate once: `classes × starts` rows of a generator's latent space, by the objective of GMI
(cross-entropy of a classifier and the critic's realism). Both columns compute the same steps from the same starts; the
script checks that they end at the same codes. Nothing is trained: the speed does not depend on the weights.

    python benchmarks/search_throughput.py [--threads 2] [--steps 30]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch

from mialang.operators import observables, search
from mialang.operators.algebra import Objective, Point
from mialang.operators.image import architectures, gan_networks
from mialang.operators.image.generators import Generator, realism
from mialang.operators.models import Model, state_of
from mialang.operators.objectives import cross_entropy
from mialang.operators.optimisers import nesterov
from mialang.operators.run import Run
from mialang.operators.spaces import Space, clamp

STARTS = 5
TOLERANCE = 1e-3  # the two orders of summation differ in the last bits, which steps carry on


@dataclass
class Open:
    """A handle that answers scores, unmetered."""

    model: Model
    name: str = "target"
    remaining: None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids by column."""
        return self.model.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.model.shape

    def ask(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Answer scores."""
        assert name == "scores"
        return observables.scores(self.model.answer("logits", x), classes=self.classes)

    def column(self, labels: torch.Tensor) -> torch.Tensor:
        """Map class ids to columns."""
        return torch.searchsorted(torch.tensor(self.classes), labels)


@dataclass(frozen=True)
class From(Space):
    """A space with given starts."""

    inner: Space
    codes: torch.Tensor

    def start(self, n: int, _: torch.Generator) -> torch.Tensor:
        """Return the given starts."""
        assert n == len(self.codes)
        return self.codes.clone()

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Decode as the inner space does."""
        return self.inner.decode(code)

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Project as the inner space does."""
        return self.inner.project(code)


@dataclass(frozen=True)
class One(Objective):
    """An objective as a search for a single class sees it."""

    inner: Objective
    unit: int

    def __call__(self, point: Point) -> torch.Tensor:
        """Evaluate the inner objective."""
        return self.inner(point)

    def formula(self) -> str:
        """Print as the inner objective does."""
        return self.inner.formula()

    def units(self) -> tuple[int, ...]:
        """Return the one class."""
        return (self.unit,)


def searched(space: Space, objective: Objective, steps: int, starts: int) -> torch.Tensor:
    rule = nesterov(lr=0.02, momentum=0.9)
    made = search.descend(
        over=space, minimise=objective, by=rule, steps=steps, starts=starts, until=None, keep="last", run=Run(seed=0)
    )
    assert made.code is not None
    return made.code


def compare(side: int, width: int, classes: int, steps: int) -> tuple[float, float]:
    """Return iterations per second of the vectorised search and of the loop."""
    shape = (1, side, side)
    torch.manual_seed(0)
    architecture, networks = architectures.cnn(width=width), gan_networks.convolutional(width=width)
    target = Open(Model(architecture, shape, tuple(range(classes)), state_of(architecture.build(shape, classes))))
    gan = Generator(networks, 100, shape, state_of(networks.build(shape, 100)))
    objective = 100 * cross_entropy(of=target, labels=None) - realism(of=gan)
    space = clamp(space=gan.latent, to=1.0)
    starts = space.start(classes * STARTS, torch.Generator().manual_seed(1))

    def vectorised(count: int) -> torch.Tensor:
        return searched(From(space, starts), objective, count, STARTS)

    def looped(count: int) -> torch.Tensor:
        parts = [
            searched(From(space, starts[row : row + 1]), One(objective, row // STARTS), count, 1)
            for row in range(len(starts))
        ]
        return torch.cat(parts)

    difference = float((vectorised(3) - looped(3)).abs().max())  # also warms both up
    assert difference < TOLERANCE, f"the two searches differ by {difference}"
    rates = []
    for run in (vectorised, looped):
        began = time.perf_counter()
        run(steps)
        rates.append(steps / (time.perf_counter() - began))
    return rates[0], rates[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} threads, {given.steps} steps, {STARTS} starts per class; iterations per second")
    print(f"{'pictures':>10} {'channels':>9} {'classes':>8} {'vectorised':>11} {'loop':>8} {'times':>6}")
    for side, width, classes in ((8, 16, 5), (8, 16, 10), (28, 16, 5), (28, 16, 10), (28, 32, 5)):
        fast, slow = compare(side, width, classes, given.steps)
        print(f"{f'{side}×{side}':>10} {width:>9} {classes:>8} {fast:>11.1f} {slow:>8.1f} {fast / slow:>5.1f}×")


if __name__ == "__main__":
    main()
