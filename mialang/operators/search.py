"""Gradient descent over a search space: one loop for all units (classes, records) and starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mialang.operators.algebra import Objective, Point
from mialang.operators.artefacts import Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.memory import Rows, back, before
from mialang.operators.optimisers import Optimiser
from mialang.operators.run import Run
from mialang.operators.spaces import Found, Space
from mialang.operators.stopping import Stopping

MEMORY = 2**30  # bytes that one chunk of rows may take
FOOTPRINT = 2048  # bytes of activations per input value, measured on small convolutional networks, rounded up


def descend(
    *,
    over: Space,
    minimise: Objective,
    by: Optimiser,
    steps: int,
    starts: int,
    until: Stopping | None,
    keep: str,
    run: Run,
) -> Artefact:
    """Minimise an objective per unit and start, all rows in one batch (in chunks where memory asks for it).

    The units are what the objective speaks of: classes of a classifier, leaked records, or one whole.

    Returns:
        `starts` outputs per unit, unit by unit; `scores` holds the objective at the returned point (low is good).

    Raises:
        OperatorError: the objective speaks of no unit, or its value or gradient is no longer a number.
    """
    units = minimise.units()
    if units is None:
        raise OperatorError(
            f"nothing says what to search for: `{minimise.formula()}` mentions neither classes nor records",
            help="add a term that asks the target, such as cross_entropy(target)",
        )
    labels = torch.tensor(units, device=run.device).repeat_interleave(starts)
    # All starts are drawn before the chunks, so that the chunk size cannot change where a row begins.
    code = over.start(len(labels), run.generator).to(run.device)
    with torch.inference_mode():
        size = over.decode(code[:1]).numel()
    rows = rows_that_fit(size)
    chunks = [slice(at, at + rows) for at in range(0, len(labels), rows)]
    fit = Rows(rows)
    found = []
    for number, chunk in enumerate(chunks):
        search = _Search(over, minimise, by, steps, until, keep == "lowest", run, number, len(chunks), fit)
        found.append(search(code[chunk], labels[chunk]))
    codes, costs = torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])
    return over.handed_over(Found(codes, labels.cpu(), costs.cpu(), tuple(units), rows))


def rows_that_fit(size: int) -> int:
    """Return how many candidates of `size` values may be worked on at once."""
    return max(1, MEMORY // (size * FOOTPRINT))


@dataclass
class _Search:
    over: Space
    minimise: Objective
    by: Optimiser
    steps: int
    until: Stopping | None
    lowest: bool
    run: Run
    chunk: int
    chunks: int
    rows: Rows

    def __call__(self, code: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes and their costs after the last step, or at the lowest cost seen."""
        loop = self.run.loop(f"search {self.chunk}", self.steps)
        at = loop.kept
        at.update(
            code=code,
            state=self.by.start(code),
            active=torch.ones(len(code), dtype=torch.bool, device=code.device),
            best_code=code.clone(),
            best_cost=torch.full((len(code),), torch.inf, device=code.device),
            recent=code.new_empty(0, len(code)),
        )
        for step in loop:
            code = at["code"]
            cost, gradient = self._slope(code, labels, step)
            if self.lowest:
                better = at["active"] & (cost < at["best_cost"])
                at["best_cost"] = torch.where(better, cost, at["best_cost"])
                at["best_code"] = torch.where(_wide(better, code), code, at["best_code"])
            if self.until is not None:
                at["active"] = at["active"] & ~self.until.stops(cost, at["recent"])
                at["recent"] = torch.cat([at["recent"], cost[None]])[-self.until.window :]
                if not at["active"].any():
                    break
            moved = self.over.project(self.by.step(code, gradient, at["state"]))
            at["code"] = torch.where(_wide(at["active"], code), moved, code) if self.until is not None else moved
            self.run.progress(self.chunk * self.steps + step + 1, self.chunks * self.steps)
        code, last = at["code"], self._cost(at["code"], labels)
        if not self.lowest:
            return code, last
        better = last < at["best_cost"]
        return torch.where(_wide(better, code), code, at["best_code"]), torch.where(better, last, at["best_cost"])

    def _slope(self, code: torch.Tensor, labels: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        run, halvings = self.run, self.rows.halvings
        made = self.rows(
            len(code),
            lambda part: self._slope_of(code[part], labels[part]),
            lambda: before(run),
            lambda kept: back(run, kept),
        )
        if self.rows.halvings > halvings:
            run.note("rows_at_once", self.rows.most)  # where memory ended, so that later results can be told apart
        cost, gradient = made[0] if len(made) == 1 else (torch.cat(parts) for parts in zip(*made, strict=True))
        if not bool(torch.isfinite(cost.detach().sum() + gradient.sum())):
            raise OperatorError(
                f"the search diverged at step {step + 1:,} of {self.steps:,}: objective or gradient is not a number",
                note=f"it minimised {self.minimise.formula()} by {self.by}",
                help="lower the optimiser's lr, or clamp the space",
            )
        return cost, gradient

    def _slope_of(self, code: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = code.detach().requires_grad_()
        cost = self.minimise(Point(self.over.decode(code), code, labels, self.run.generator))
        if cost.requires_grad:
            (gradient,) = torch.autograd.grad(cost.sum(), code, allow_unused=True)
        else:
            gradient = None  # no term depends on the code, as before a decoy without any other term
        return cost.detach(), torch.zeros_like(code) if gradient is None else gradient

    @torch.inference_mode()
    def _cost(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        def cost(part: slice) -> torch.Tensor:
            own = code[part]
            return self.minimise(Point(self.over.decode(own), own, labels[part], self.run.generator)).clone()

        made = self.rows(len(code), cost, lambda: before(self.run), lambda kept: back(self.run, kept))
        return made[0] if len(made) == 1 else torch.cat(made)


def _wide(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return mask.reshape(-1, *[1] * (like.dim() - 1))
