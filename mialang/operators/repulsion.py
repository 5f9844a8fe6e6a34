"""Label-only search by boundary repulsion: every output climbs away from the nearest border of its class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mialang.operators.candidates import Candidates
from mialang.operators.handles import Handle
from mialang.operators.run import Run
from mialang.operators.search import rows_that_fit
from mialang.operators.selection import rank_within
from mialang.operators.spaces import Space

DRAWS = 256  # codes asked about at once while starts are looked for


@torch.inference_mode()
def sphere_repulsion(
    *,
    over: Space,
    of: Handle,
    points: int,
    radius: float,
    growth: float,
    inside: float,
    stride: float,
    patience: int,
    starts: int,
    at_most: int,
    run: Run,
) -> Candidates:
    """Move codes to where a ball as large as possible keeps its label (BREP-MI; Kahla et al., CVPR 2022).

    Per step and output, `points` directions u_i are drawn on the sphere of radius R about z. If more than `inside` of
    them keep the label, R grows by `growth`. Then `z' = project(z − min(R/3, stride) · mean_i 1[outside_i] u_i)` is
    accepted if it keeps the label; a rejected step counts as a step. An output stops after `patience` steps without
    growth, or before it would exceed `at_most` questions. Starts are drawn from the space until every class has
    `starts` of them, or half of all questions are spent.

    Returns:
        Up to `starts` outputs per class; `scores` holds the last radius, `asked` the questions per output, those for
        starts shared evenly. Classes for which no start was found have no output and stay in `attempted`.
    """
    outputs = starts * len(of.classes)
    code, labels, drawn = _starts(over, of, starts, outputs * (at_most // 2), run)
    climb = _Climb(over, of, points, growth, inside, stride, patience, at_most, run)
    asked = torch.full((len(code),), math.ceil(drawn / outputs))
    code, radii, asked = climb(code, labels, torch.full((len(code),), radius), asked)
    run.note("starts_drawn", drawn)
    run.note("classes_without_start", sorted(set(of.classes) - set(labels.tolist())))
    values = over.decode(code) if len(code) else torch.empty(0, *of.shape)
    return Candidates(
        values=values.clone(),
        labels=labels,
        scores=radii,
        group=labels,
        attempted=of.classes,
        code=code,
        asked=asked,
    )


def _starts(over: Space, of: Handle, each: int, limit: int, run: Run) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the first `each` codes found per class, their class ids, and how many codes were asked about."""
    loop = run.loop("starts", None)
    kept = loop.kept
    kept.update(codes=[], labels=[], drawn=0)
    for _ in loop:
        n = min(DRAWS, limit - kept["drawn"], limit if of.remaining is None else of.remaining)
        if n <= 0:
            break
        code = over.start(n, run.generator)
        kept["codes"].append(code)
        kept["labels"].append(of.ask("label", over.decode(code)))
        kept["drawn"] += n
        found = torch.cat(kept["labels"])
        if all(int((found == unit).sum()) >= each for unit in of.classes):
            break
    if not kept["codes"]:
        return over.start(1, run.generator)[:0], torch.empty(0, dtype=torch.long), 0
    found = torch.cat(kept["labels"])
    order = torch.argsort(found, stable=True)
    rows = order[rank_within(found[order]) < each]
    return torch.cat(kept["codes"])[rows], found[rows], kept["drawn"]


@dataclass
class _Climb:
    over: Space
    of: Handle
    points: int
    growth: float
    inside: float
    stride: float
    patience: int
    at_most: int
    run: Run

    def __call__(
        self, code: torch.Tensor, labels: torch.Tensor, radius: torch.Tensor, asked: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return codes, radii and questions asked when every output has stopped."""
        price = self.points + 1
        loop = self.run.loop("climb", None)
        at = loop.kept
        at.update(code=code, radius=radius, asked=asked, idle=torch.zeros(len(code), dtype=torch.long))
        at.update(rejected=0, short=False)
        for _ in loop:
            code, radius, asked, idle = at["code"], at["radius"], at["asked"], at["idle"]
            rows = torch.nonzero((idle < self.patience) & (asked + price <= self.at_most)).squeeze(1)
            at["short"] = self.of.remaining is not None and self.of.remaining < len(rows) * price
            if len(rows) == 0 or at["short"]:
                break
            moved, grown, kept = self._step(code[rows], labels[rows], radius[rows])
            code[rows] = torch.where(kept.reshape(-1, *[1] * (code.dim() - 1)), moved, code[rows])
            radius[rows] = torch.where(grown, radius[rows] * self.growth, radius[rows])
            idle[rows] = torch.where(grown, 0, idle[rows] + 1)
            asked[rows] += price
            at["rejected"] += int((~kept).sum())
            self.run.progress(int(asked.sum()), self.at_most * len(asked), radius=float(radius.mean()))
        self.run.note("steps_rejected", at["rejected"])
        self.run.note("stopped_by_access_budget", at["short"])
        return at["code"], at["radius"], at["asked"]

    def _step(
        self, code: torch.Tensor, labels: torch.Tensor, radius: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the codes proposed, which balls grow, and which proposals keep their label."""
        flat = code.flatten(1)
        directions = torch.randn(len(flat), self.points, flat.shape[1], generator=self.run.generator)
        directions = directions / directions.norm(dim=2, keepdim=True)
        sphere = flat[:, None] + radius[:, None, None] * directions
        answers = self._labels(sphere.reshape(-1, *code.shape[1:]))
        keeps = answers.reshape(len(code), self.points) == labels[:, None]
        away = (directions * ~keeps[:, :, None]).mean(1)
        step = (radius / 3).clamp_max(self.stride)
        moved = self.over.project((flat - step[:, None] * away).reshape(code.shape))
        return moved, keeps.float().mean(1) > self.inside, self._labels(moved) == labels

    def _labels(self, code: torch.Tensor) -> torch.Tensor:
        rows = rows_that_fit(math.prod(self.of.shape))
        return torch.cat(
            [self.of.ask("label", self.over.decode(code[at : at + rows])) for at in range(0, len(code), rows)]
        )
