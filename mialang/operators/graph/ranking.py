"""How well scores rank linked pairs before the others: areas under curves, and what each pair adds to them.

Everything follows from one sort, O(n log n). Equal scores are one step of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mialang.operators.artefacts import Array


@dataclass(frozen=True)
class Ranking:
    """Pairs ranked by score, the largest first, equal scores together in one step.

    Attributes:
        step: `[k]`, the step in which each pair is reached.
        linked: `[k]` bool.
        true: linked pairs reached up to and with each step, float64 `[steps]`.
        false: other pairs reached up to and with each step, float64 `[steps]`.
    """

    step: Array
    linked: Array
    true: Array
    false: Array

    @classmethod
    def of(cls, scores: Array, linked: Array) -> Ranking:
        """Rank pairs `[k]`."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        first = np.ones(len(ranked), dtype=np.bool_)
        first[1:] = ranked[1:] != ranked[:-1]
        number = np.cumsum(first) - 1
        step = np.empty(len(scores), dtype=np.int64)
        step[order] = number
        last = np.append(np.flatnonzero(first)[1:], len(ranked)) - 1
        true = np.cumsum(linked[order], dtype=np.float64)[last]
        return cls(step, linked, true, last + 1 - true)

    @property
    def positives(self) -> float:
        """How many pairs are linked."""
        return float(self.true[-1])

    @property
    def negatives(self) -> float:
        """How many pairs are not."""
        return float(self.false[-1])

    def auc(self) -> tuple[float, Array]:
        """Return the area under the ROC curve, and by how much each pair moves it `[k]`.

        The area is the chance that a linked pair is scored above another one, equal scores counting half. What a pair
        adds is its influence (DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988); over all pairs that sums to 0.
        """
        m, n = self.positives, self.negatives
        own_true, own_false = np.diff(self.true, prepend=0), np.diff(self.false, prepend=0)
        below = (n - self.false + own_false / 2) / n  # others that a linked pair of this step beats
        above = (self.true - own_true / 2) / m  # linked pairs that beat another one of this step
        area = float((own_true * below).sum() / m)
        added = np.where(self.linked, (below[self.step] - area) / m, (above[self.step] - area) / n)
        return area, added

    def average_precision(self) -> tuple[float, Array]:
        """Return Σ (R_s − R_{s−1}) P_s over the steps s, and by how much each pair moves it `[k]`.

        The influence is the derivative of the sum by the weight of the pair: a linked pair adds its own precision and
        raises that of all later steps, another pair lowers it.
        """
        m = self.positives
        own, reached = np.diff(self.true, prepend=0), self.true + self.false
        precision = self.true / reached
        area = float((own * precision).sum() / m)
        raised = np.cumsum((own / m * self.false / reached**2)[::-1])[::-1]
        lowered = np.cumsum((own / m * self.true / reached**2)[::-1])[::-1]
        of_linked = (precision - area) / m + raised
        added = np.where(self.linked, of_linked[self.step], -lowered[self.step])
        return area, added

    def recall_at(self, share: float) -> tuple[float, Array]:
        """Return the share of linked pairs found when a share of the others is taken for linked, and which `[positives]`.

        Of a step of equal scores that holds more others than fit, as large a part of its linked pairs is found as of
        its others, the first ones. So each pair is found or not, and their number is that of the curve rounded.
        """
        most = share * self.negatives
        own_false = np.diff(self.false, prepend=0)
        left = most - (self.false - own_false)
        # A step without false alarms is taken whole as long as none before it has spent the last one.
        part = np.where(own_false > 0, np.clip(left / np.maximum(own_false, 1), 0, 1), (left >= 0).astype(np.float64))
        steps = self.step[self.linked]
        found = part[steps] == 1
        for split in np.flatnonzero((part > 0) & (part < 1)):  # at most one: the step in which the last alarm is spent
            inside = np.flatnonzero(steps == split)
            found[inside[: round(part[split] * len(inside))]] = True
        hits: Array = found.astype(np.float64)
        return float(hits.mean()), hits

    def curve(self, points: int) -> list[tuple[float, float]]:
        """Return up to `points` corners of the ROC curve, false alarms and recall, close together near the origin."""
        x = np.append(0.0, self.false / self.negatives)
        y = np.append(0.0, self.true / self.positives)
        if len(x) <= points:
            places = np.arange(len(x))
        else:
            grid = np.concatenate(
                [np.linspace(0, 1, points // 2), np.geomspace(1 / self.negatives, 1, points - points // 2 - 1)]
            )
            places = np.unique(np.append(np.searchsorted(x, np.sort(grid)), len(x) - 1))
        return [(round(float(x[place]), 6), round(float(y[place]), 6)) for place in places]


def by_node(area: float, added: Array, u: Array, v: Array, n: int) -> Array:
    """Return one value per node `[n]` whose mean is an area and whose spread is that of the area over nodes.

    The value of a node is the area plus n times what all of its pairs add. Resampling nodes then varies the area as much
    as drawing other nodes would, since pairs that share a node vary together.
    """
    own = np.bincount(u, weights=added, minlength=n) + np.bincount(v, weights=added, minlength=n)
    values: Array = area + n * own
    return values
