"""Charts of figures: interval plots, and leakage against utility. Every mark has a shape of its own besides its colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from mialang.report.bounds import Estimate
from mialang.report.evidence import Missing
from mialang.report.phrases import interval_words, unit_words
from mialang.report.summary import number
from mialang.report.svg import Scale, percent, scale_for, tag

Series = Literal["attack", "blind", "baseline", "gain", "model"]
SERIES: dict[str, str] = {
    "attack": "attack", "blind": "blind control", "baseline": "best baseline", "gain": "gain", "model": "measured"
}  # fmt: skip
LEVEL, GAIN = (0.24, 0.64), (0.73, 0.985)
WHOLE = (0.24, 0.985)
HEAD, ROW, GAP, BREAK, AXIS = 20, 18, 12, 7, 34
LONGEST = 22


@dataclass(frozen=True)
class Line:
    """One row of an interval plot: what it shows on the level scale, and on the gain scale where there is one."""

    label: str
    series: Series
    value: Estimate | Missing
    gain: Estimate | Missing | None = None


@dataclass(frozen=True)
class Limit:
    """A threshold of a gate.

    Attributes:
        verb: of the rule; it decides the dashes.
        below: whether what lies below it is allowed.
        gain: whether it stands on the gain scale.
        instance: the attack that it speaks of; empty for all.
        plain: whether it is a number in the spec, rather than worked out.
    """

    value: float
    verb: str
    below: bool
    gain: bool
    instance: str
    text: str
    plain: bool = True


@dataclass(frozen=True)
class Group:
    """The rows of one cell."""

    title: str
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()


def key_mark(series: str) -> Markup:
    """The mark of a series, for a legend."""
    return tag("svg", _mark(series, "8", 8), class_="key", width=16, height=16, aria_hidden="true")


# -- interval plots ------------------------------------------------------------------------------------------------


def interval_plot(groups: Sequence[Group], unit: str, name: str) -> Markup:
    """Points with their one-sided bounds, cell by cell; gains on a scale of their own at the right."""
    lines = [line for group in groups for line in group.lines]
    gains = [line.gain for line in lines if line.gain is not None]
    limits = [limit for group in groups for limit in group.limits]
    values = _extent((line.value for line in lines), limits, gain=False)
    level = scale_for(values, unit, LEVEL if gains else WHOLE, zero=any(line.series == "attack" for line in lines))
    scales = [level]
    if gains:
        scales.append(scale_for(_extent(gains, limits, gain=True), unit, GAIN, ticks=3))
    parts: list[Markup] = []
    down = 20
    for group in groups:
        down += GAP
        parts.extend(_group(group, scales, down))
        down += _tops(group)[-1]
    heads = [tag("text", name, x=percent(LEVEL[0]), y=12, class_="head")]
    if gains:
        heads.append(tag("text", "gain", x=percent(GAIN[0]), y=12, class_="head"))
    axes = [part for scale in scales for part in _axis(scale, 20, down)]
    return tag(
        "svg", *heads, *axes, *parts, class_="chart", width="100%", height=down + AXIS, role="img",
        aria_label=f"Interval plot of {name}; the table below holds the same figures.",
    )  # fmt: skip


def _extent(values: Iterable[Estimate | Missing], limits: Iterable[Limit], *, gain: bool) -> list[float]:
    found = [limit.value for limit in limits if limit.gain == gain]
    for value in values:
        if isinstance(value, Estimate):
            found += [each for each in (value.point, value.lower, value.upper) if each is not None]
    return found


def _tops(group: Group) -> list[int]:
    """Where each row of a group begins, and where the last one ends; attacks stand a little apart."""
    tops, down = [], HEAD if group.title else 0
    for number_, line in enumerate(group.lines):
        down += BREAK if number_ and line.series == "attack" else 0
        tops.append(down)
        down += ROW
    return [*tops, down]


def _group(group: Group, scales: Sequence[Scale], top: int) -> Iterable[Markup]:
    tops = [top + each for each in _tops(group)]
    if group.title:
        yield tag("text", group.title, x="0", y=top + 13, class_="cell")
    for limit in group.limits:
        rows = (
            [place for place, line in enumerate(group.lines) if line.label == limit.instance] if limit.instance else []
        )
        first, last = (rows[0], rows[-1] + _companions(group, rows[-1])) if rows else (0, len(group.lines))
        yield from _limit(limit, scales[-1] if limit.gain else scales[0], tops[first], tops[last - 1] + ROW)
    for line, start in zip(group.lines, tops, strict=False):
        middle = start + ROW / 2
        label = line.label if len(line.label) <= LONGEST else line.label[: LONGEST - 1] + "…"
        yield tag(
            "text", label, x="0", y=middle + 4, class_="name" if line.series in ("attack", "model") else "name aside"
        )
        yield from _interval(line.value, line.series, scales[0], middle)
        if line.gain is not None:
            yield from _interval(line.gain, "gain", scales[-1], middle)


def _companions(group: Group, place: int) -> int:
    """How many rows belong to an attack: itself and its controls."""
    rest = group.lines[place + 1 :]
    return 1 + next((number for number, line in enumerate(rest) if line.series == "attack"), len(rest))


def _limit(limit: Limit, scale: Scale, top: float, bottom: float) -> Iterable[Markup]:
    across = scale.at(limit.value)
    yield tag("line", tag("title", limit.text), x1=across, x2=across, y1=top, y2=bottom, class_=f"limit {limit.verb}")
    arrow = "M0,-3.5 L-6,0 L0,3.5 Z" if limit.below else "M0,-3.5 L6,0 L0,3.5 Z"
    yield tag("svg", tag("path", d=arrow), x=across, y=top, class_=f"hold limit-head {limit.verb}")


def _interval(value: Estimate | Missing, series: str, scale: Scale, middle: float) -> Iterable[Markup]:
    if isinstance(value, Missing):
        yield tag("text", tag("title", value.reason), value.kind, x=percent(scale.left), y=middle + 4, class_="missing")
        return
    said = tag("title", f"{SERIES[series]}: {number(value.point, scale.unit)} {interval_words(value, scale.unit)}")
    if value.lower is not None and value.upper is not None:
        ends = (scale.at(value.lower), scale.at(value.upper))
        yield tag("line", said, x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_=f"reach {series}")
        for end in ends:
            yield tag("line", x1=end, x2=end, y1=middle - 4, y2=middle + 4, class_=f"reach {series}")
    yield _mark(series, scale.at(value.point), middle, said)


def _mark(series: str, across: str, down: float, *said: Markup) -> Markup:
    shapes = {
        "attack": tag("circle", r=5),
        "model": tag("circle", r=5),
        "blind": tag("circle", r=4),
        "baseline": tag("path", d="M0,-5.5 L5.5,0 L0,5.5 L-5.5,0 Z"),
        "gain": tag("path", d="M-4.5,-4.5 H4.5 V4.5 H-4.5 Z"),
    }
    return tag("svg", *said, shapes[series], x=across, y=down, class_=f"hold mark {series}")


def _axis(scale: Scale, top: int, bottom: int, *, named: bool = True) -> Iterable[Markup]:
    middle = scale.ticks.index(0.0) if 0.0 in scale.ticks else 0
    for place, tick in enumerate(scale.ticks):
        across = scale.at(tick)
        yield tag("line", x1=across, x2=across, y1=top, y2=bottom + 4, class_="grid zero" if tick == 0 else "grid")
        often = " odd" if (place - middle) % 2 else ""  # narrow screens show every other word
        yield tag("text", scale.words(tick), x=across, y=bottom + 17, class_="tick" + often)
    if named:
        yield tag("text", unit_words(scale.unit), x=percent(scale.right), y=bottom + 31, class_="tick unit")


# -- leakage against utility ---------------------------------------------------------------------------------------

NEAR = 0.07  # of a chart: spots closer than this would cover each other
TOP, TALL, FOOT = 26, 250, 42


@dataclass(frozen=True)
class Spot:
    """One defense: what it leaks, and what the model is still good for."""

    number: int
    leak: Estimate
    utility: Estimate


def frontier(spots: Sequence[Spot], leak_unit: str, utility_unit: str, names: tuple[str, str]) -> Markup:
    """Leakage to the right, utility upwards; the numbers are those of the table."""
    across = scale_for(_extent((spot.leak for spot in spots), (), gain=False), leak_unit, (0.13, 0.96))
    up = scale_for(_extent((spot.utility for spot in spots), (), gain=False), utility_unit, (0.0, 1.0), zero=False)

    def height(value: float) -> float:
        return TOP + (TALL - TOP) * (1 - up.share(value))

    parts = list(_axis(across, TOP, TALL, named=False))
    for tick in up.ticks:
        parts.append(tag("line", x1="13%", x2="96%", y1=height(tick), y2=height(tick), class_="grid"))
        parts.append(tag("text", up.words(tick), x="12%", y=height(tick) + 4, class_="tick left"))
    for spot in spots:
        x, y = across.at(spot.leak.point), height(spot.utility.point)
        if spot.leak.lower is not None and spot.leak.upper is not None:
            parts.append(
                tag(
                    "line",
                    x1=across.at(spot.leak.lower),
                    x2=across.at(spot.leak.upper),
                    y1=y,
                    y2=y,
                    class_="reach faint",
                )
            )
        if spot.utility.lower is not None and spot.utility.upper is not None:
            ends = {"y1": height(spot.utility.lower), "y2": height(spot.utility.upper)}
            parts.append(tag("line", x1=x, x2=x, class_="reach faint", **ends))
    for same in _together(spots, across, up):
        spot, label = same[0], " ".join(str(each.number) for each in same)
        said = f"{label}: {names[0]} {number(spot.leak.point, leak_unit)}, {names[1]} {number(spot.utility.point, utility_unit)}"
        wide = 11 + 7 * len(label)
        ball = (
            tag("title", said),
            tag("rect", x=-wide / 2, y=-9, width=wide, height=18, rx=9),
            tag("text", label, y=4),
        )
        parts.append(tag("svg", *ball, x=across.at(spot.leak.point), y=height(spot.utility.point), class_="hold spot"))
    parts.append(tag("text", f"{names[1]}, {unit_words(utility_unit)} ↑", x="0", y=10, class_="head"))
    parts.append(tag("text", f"{names[0]}, {unit_words(leak_unit)} →", x="96%", y=TALL + 33, class_="head end"))
    return tag(
        "svg", *parts, class_="chart", width="100%", height=TALL + FOOT, role="img",
        aria_label=f"{names[0]} against {names[1]}; the table below holds the same figures.",
    )  # fmt: skip


def _together(spots: Sequence[Spot], across: Scale, up: Scale) -> Iterable[list[Spot]]:
    """Spots that would cover each other, as one."""
    found: list[list[Spot]] = []
    for spot in spots:
        for same in found:
            aside = abs(across.share(spot.leak.point) - across.share(same[0].leak.point))
            if aside < NEAR and abs(up.share(spot.utility.point) - up.share(same[0].utility.point)) < NEAR:
                same.append(spot)
                break
        else:
            found.append([spot])
    return found
