"""A layered layout of a directed graph: layers by longest path, few crossings, long arrows led round the boxes.

Sugiyama, Tagawa and Toda, IEEE Transactions on Systems, Man, and Cybernetics 11, 1981, in its simplest form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

SWEEPS = 16
Bend = tuple[str, str, int]  # where an arrow passes a layer: from, to, which layer
Item = str | Bend


@dataclass(frozen=True)
class Layout:
    """Where everything lies, in units of one layer across and one box down.

    Attributes:
        places: (layer, height) of each box.
        routes: the points of each arrow, ends included.
        layers: how many layers there are.
        height: the lowest place used, and one more.
    """

    places: dict[str, tuple[int, float]]
    routes: dict[tuple[str, str], list[tuple[int, float]]]
    layers: int
    height: float


def lay_out(boxes: Sequence[str], arrows: Iterable[tuple[str, str]], *, bend: float = 0.35) -> Layout:
    """Lay out a graph without cycles.

    Args:
        boxes: names of the boxes.
        arrows: from and to.
        bend: room that a passing arrow takes, as a share of a box.
    """
    arrows = list(dict.fromkeys(arrows))
    if not boxes:
        return Layout({}, {}, 0, 0.0)
    layer = _layers(boxes, arrows)
    rows: list[list[Item]] = [[] for _ in range(max(layer.values()) + 1)]
    for box in boxes:
        rows[layer[box]].append(box)
    chains: dict[tuple[str, str], list[Item]] = {}
    for source, sink in arrows:
        bends: list[Item] = [(source, sink, each) for each in range(layer[source] + 1, layer[sink])]
        chains[source, sink] = [source, *bends, sink]
        for number, each in enumerate(bends, start=layer[source] + 1):
            rows[number].append(each)
    before, after = _neighbours(chains.values())
    _order(rows, before, after)
    height = _heights(rows, before, after, bend)
    top = min(height.values())
    height = {item: value - top for item, value in height.items()}
    where: dict[Item, tuple[int, float]] = {
        item: (number, height[item]) for number, row in enumerate(rows) for item in row
    }
    return Layout(
        places={box: where[box] for box in boxes},
        routes={arrow: [where[item] for item in chain] for arrow, chain in chains.items()},
        layers=len(rows),
        height=max(height.values()) + 1,
    )


def _layers(boxes: Sequence[str], arrows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Longest path from the left; what nothing leads to moves right, to where it is first needed."""
    inputs: dict[str, list[str]] = {box: [] for box in boxes}
    outputs: dict[str, list[str]] = {box: [] for box in boxes}
    for source, sink in arrows:
        inputs[sink].append(source)
        outputs[source].append(sink)
    layer: dict[str, int] = {}
    for box in TopologicalSorter(inputs).static_order():
        layer[box] = max((layer[each] + 1 for each in inputs[box]), default=0)
    for box in boxes:
        if not inputs[box] and outputs[box]:
            layer[box] = min(layer[each] for each in outputs[box]) - 1
    return layer


def _neighbours(chains: Iterable[list[Item]]) -> tuple[dict[Item, list[Item]], dict[Item, list[Item]]]:
    before: dict[Item, list[Item]] = {}
    after: dict[Item, list[Item]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            before.setdefault(other, []).append(one)
            after.setdefault(one, []).append(other)
    return before, after


def _order(rows: list[list[Item]], before: Mapping[Item, list[Item]], after: Mapping[Item, list[Item]]) -> None:
    """Order each layer by the mean place of its neighbours, forth and back; keep the order with the fewest crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows, after)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        order = range(1, len(rows)) if forth else range(len(rows) - 2, -1, -1)
        for number in order:
            fixed = {item: place for place, item in enumerate(rows[number - 1 if forth else number + 1])}
            own = {item: place for place, item in enumerate(rows[number])}
            near = before if forth else after

            def middle(item: Item, near: Mapping[Item, list[Item]] = near, fixed: dict[Item, int] = fixed,
                       own: dict[Item, int] = own) -> float:  # fmt: skip
                places = [fixed[each] for each in near.get(item, ()) if each in fixed]
                return sum(places) / len(places) if places else float(own[item])

            rows[number].sort(key=middle)
        found = _crossings(rows, after)
        if found < fewest:
            best, fewest = [list(row) for row in rows], found
    rows[:] = best


def _crossings(rows: Sequence[Sequence[Item]], after: Mapping[Item, list[Item]]) -> int:
    total = 0
    for one, other in pairwise(rows):
        place = {item: number for number, item in enumerate(other)}
        ends = [sorted(place[each] for each in after.get(item, ()) if each in place) for item in one]
        flat = [end for each in ends for end in each]
        total += sum(flat[i] > flat[j] for i in range(len(flat)) for j in range(i + 1, len(flat)))
    return total


def _heights(
    rows: Sequence[Sequence[Item]], before: Mapping[Item, list[Item]], after: Mapping[Item, list[Item]], bend: float
) -> dict[Item, float]:
    """Heights near those of the neighbours, with room between."""

    def room(item: Item) -> float:
        return 1.0 if isinstance(item, str) else bend

    height: dict[Item, float] = {}
    for row in rows:
        reach = 0.0
        for item in row:
            height[item] = reach + room(item) / 2
            reach += room(item)
        for item in row:
            height[item] -= reach / 2
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_wish(item, before, after, height) for item in row]
            placed = _spread(wanted, [room(item) for item in row])
            height.update(zip(row, placed, strict=True))
    return height


def _wish(
    item: Item, before: Mapping[Item, list[Item]], after: Mapping[Item, list[Item]], height: Mapping[Item, float]
) -> float:
    near = [height[each] for each in (*before.get(item, ()), *after.get(item, ()))]
    return sum(near) / len(near) if near else height[item]


def _spread(wanted: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """Places in the given order, with room between, as near as can be to the wanted ones (pooled where they clash)."""
    offsets, reach = [], 0.0
    for number, room in enumerate(rooms):
        reach += (rooms[number - 1] + room) / 2 if number else 0.0
        offsets.append(reach)
    pools: list[list[float]] = []  # mean wish less the offset, and how many share it
    for wish, offset in zip(wanted, offsets, strict=True):
        pools.append([wish - offset, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            value, count = pools.pop()
            total = pools[-1][1] + count
            pools[-1] = [(pools[-1][0] * pools[-1][1] + value * count) / total, total]
    levels = [value for value, count in pools for _ in range(int(count))]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]
