"""Reconstructed images beside the nearest private image of their class and beside the blind control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from mialang.plan.model import Arm
from mialang.report.phrases import NOT_EVALUATED
from mialang.report.pictures import LEVELS, SIDE, Array, Records, rows_by_unit, scaled, shown
from mialang.report.rendering import render
from mialang.report.sections.exhibit import Exhibit, Stand

RANK = 4  # n, channels, height, width
UNITS = 10  # rows of a card; the rest is folded away
MOST_REDUCED, MOST_REVEALED = 1200, 300  # pictures folded away in one exhibit


@dataclass(frozen=True)
class Picture:
    """A picture, or in words why there is none."""

    address: str = ""
    alt: str = ""
    note: str = ""
    missing: str = ""


@dataclass(frozen=True)
class UnitRow:
    """One unit: what the attack made of it, the nearest private image, and what the blind control made of it."""

    unit: str
    output: Picture
    private: Picture
    blind: Picture | None


@dataclass(frozen=True)
class RepeatView:
    """All outputs of one repeat, unit by unit."""

    title: str
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]


@dataclass(frozen=True)
class Card:
    """One attack in one cell."""

    name: str
    cells: tuple[str, ...]
    rows: tuple[UnitRow, ...] = ()
    missing: str = ""
    reason: str = ""
    rest: tuple[RepeatView, ...] = ()
    has_blind: bool = True


@dataclass
class _Room:
    """How many more pictures may be folded away, and how many found no place."""

    left: int
    without: int = 0

    def take(self, wanted: int) -> int:
        """Take places for some pictures; returns how many there are."""
        given = min(wanted, self.left)
        self.left -= given
        self.without += wanted - given
        return given


@dataclass
class _Outputs:
    """The outputs of one arm."""

    values: Array
    labels: Array
    rows: dict[int, list[int]]
    attempted: tuple[int, ...]


def introduction(*, reveal: bool) -> Markup:
    """What a reader must know before the first card."""
    return render("images_note.html", reveal=reveal, side=SIDE, levels=LEVELS)


def show(exhibit: Exhibit) -> Markup:
    """All cards of an attack block."""
    gallery = _Gallery(exhibit)
    attacks = _gathered(gallery.card(stand, "attack") for stand in exhibit.stands("attack"))
    baselines = _gathered(gallery.card(stand, "baseline") for stand in exhibit.stands("baseline"))
    return render(
        "images.html", attacks=attacks, baselines=baselines, unit=exhibit.unit, reveal=exhibit.reveal,
        without=gallery.room.without,
    )  # fmt: skip


def _gathered(cards: Iterable[Card]) -> list[Card]:
    """The cards, with what is missing for one reason told once."""
    found: dict[object, Card] = {}
    for number, card in enumerate(cards):
        alike = (card.name, card.missing, card.reason) if card.missing else number
        before = found.get(alike)
        found[alike] = card if before is None else replace(before, cells=(*before.cells, *card.cells))
    return list(found.values())


class _Gallery:
    """Makes the cards of one exhibit; the private records are read once."""

    def __init__(self, exhibit: Exhibit) -> None:
        self.exhibit = exhibit
        self.room = _Room(MOST_REVEALED if exhibit.reveal else MOST_REDUCED)
        found = exhibit.record.arrays(exhibit.secret) if exhibit.secret is not None else None
        self.private = Records.of(*found) if found is not None else None
        self.names = (
            {int(label): str(name) for label, name in found[1].get("names", {}).items()} if found is not None else {}
        )

    def card(self, stand: Stand, arm: str) -> Card:
        """One attack in one cell: the first output of each unit in the first repeat, the others folded away."""
        first = stand.arms[0]
        cells = tuple(stand.cells)
        outputs, missing, reason = self._outputs(first)
        if outputs is None:
            return Card(stand.name, cells, missing=missing, reason=reason)
        counter = self.exhibit.counterpart(first) if arm == "attack" else None
        blind, blind_missing, blind_reason = self._outputs(counter) if counter is not None else (None, "", "")
        rows = tuple(
            UnitRow(
                self._unit(unit),
                self._output(stand.name, outputs, unit),
                self._nearest(outputs, unit),
                self._control(blind, unit, blind_missing, blind_reason) if counter is not None else None,
            )
            for unit in outputs.attempted[:UNITS]
        )
        return Card(stand.name, cells, rows, rest=tuple(self._rest(stand)), has_blind=counter is not None)

    # -- pictures --------------------------------------------------------------------------------------------------

    def _unit(self, unit: int) -> str:
        """The name of a class may itself be private (a person's), so that it is shown only where all is."""
        named = self.names.get(unit, "") if self.exhibit.reveal and self.exhibit.unit == "class" else ""
        return f"{self.exhibit.unit} {unit}" + (f" ({named})" if named not in ("", str(unit)) else "")

    def _picture(self, values: Array, alt: str, note: str = "") -> Picture:
        reveal = self.exhibit.reveal
        return Picture(
            shown(values, reveal=reveal),
            alt + ("" if reveal else f", reduced to at most {SIDE} by {SIDE} pixels"),
            note,
        )

    def _output(self, name: str, outputs: _Outputs, unit: int) -> Picture:
        rows = outputs.rows.get(unit, [])
        if not rows:
            return Picture(missing="no output")
        return self._picture(outputs.values[rows[0]], f"{name}: {self._unit(unit)}")

    def _nearest(self, outputs: _Outputs, unit: int) -> Picture:
        rows = outputs.rows.get(unit, [])
        if not rows:
            return Picture()
        if self.private is None:
            return Picture(missing="not available")
        near = self.private.nearest(outputs.values[rows[0]], int(outputs.labels[rows[0]]))
        if near is None:
            return Picture(missing="none of its class")
        return self._picture(
            self.private.picture(near.row), f"nearest private record of {self._unit(unit)}", f"Δ {near.distance:.2f}"
        )

    def _control(self, blind: _Outputs | None, unit: int, missing: str, reason: str) -> Picture:
        if blind is None:
            return Picture(missing=missing, note=reason)
        made = self._output("blind control", blind, unit)
        near = self._nearest(blind, unit)
        return Picture(made.address, made.alt, near.note or made.note, made.missing)

    def _rest(self, stand: Stand) -> list[RepeatView]:
        views = []
        for arm in stand.arms:
            outputs, _, _ = self._outputs(arm)
            if outputs is None:
                continue
            lines = []
            for unit in outputs.attempted:
                rows = outputs.rows.get(unit, [])
                given = self.room.take(len(rows))
                pictures = tuple(
                    self._picture(outputs.values[row], f"{stand.name}: {self._unit(unit)}, output {place}")
                    for place, row in enumerate(rows[:given], start=1)
                )
                if pictures or not rows:
                    lines.append((self._unit(unit), pictures))
            views.append(RepeatView(f"repeat {arm.repeat + 1}", tuple(lines)))
        return [view for view in views if any(pictures for _, pictures in view.rows)]

    def _outputs(self, arm: Arm) -> tuple[_Outputs | None, str, str]:
        """The outputs of an arm, or the word for what is missing and why."""
        record = self.exhibit.record
        if arm.node is None:
            return None, NOT_EVALUATED if arm.arm == "attack" else "not available", arm.reason
        found = record.arrays(arm.node)
        if found is None:
            return None, "failed", record.reasons.get(arm.node, "it was not run")
        arrays, facts = found
        if arrays["values"].ndim != RANK:
            return None, "not available", "its outputs are no images"
        return _read(arrays, facts), "", ""


def _read(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> _Outputs:
    group = arrays.get("group", arrays["labels"])
    rows = rows_by_unit(group)
    attempted = tuple(int(unit) for unit in facts.get("attempted", rows))
    return _Outputs(scaled(arrays["values"], 1.0), arrays["labels"], rows, attempted)
