"""Recovered texts beside the private ones and beside the blind control, word by word; masked unless they may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from mialang.operators.text.words import words_of
from mialang.plan.model import Arm, Node
from mialang.report.phrases import NOT_EVALUATED
from mialang.report.rendering import render
from mialang.report.sections.exhibit import Exhibit, Stand

Array = np.ndarray[Any, np.dtype[Any]]
ROWS = 8  # of a card; the rest is folded away
MOST = 200  # texts folded away in one exhibit
STRETCH = 6  # words in a row that count as copied, where an output claims no record
LONGEST = 60  # words of a text that are drawn
PREFIXES = "prefixes"  # the item that grants beginnings of passages


@dataclass(frozen=True)
class Word:
    """A word, or that there is one.

    Attributes:
        text: the word; empty where it may not be shown, so that the page does not hold it.
        matched: whether it stands on the other side too.
    """

    text: str
    matched: bool


@dataclass(frozen=True)
class Passage:
    """A text word by word, or in words why there is none.

    Attributes:
        count: how many words it has, those that are not drawn included.
        matched: how many of them stand on the other side too.
    """

    words: tuple[Word, ...] = ()
    count: int = 0
    matched: int = 0
    missing: str = ""
    note: str = ""


@dataclass(frozen=True)
class RecordRow:
    """One output: of which record, beside the record and beside what the blind control made of it."""

    unit: str
    output: Passage
    private: Passage | None
    blind: Passage | None


@dataclass(frozen=True)
class RepeatView:
    """More outputs of one repeat."""

    title: str
    rows: tuple[RecordRow, ...]


@dataclass(frozen=True)
class Card:
    """One attack in one cell."""

    name: str
    cells: tuple[str, ...]
    rows: tuple[RecordRow, ...] = ()
    missing: str = ""
    reason: str = ""
    rest: tuple[RepeatView, ...] = ()
    has_blind: bool = True
    has_private: bool = True


@dataclass(frozen=True)
class _Outputs:
    """The outputs of one arm, and the units that they claim to be: None where they claim none.

    Attributes:
        unit: what a unit is called: `record`, or `passage`.
        truths: what is private about each unit, by number: the record itself, or how the passage goes on.
        private: the private texts of the arm's own repeat.
    """

    texts: tuple[str, ...]
    units: tuple[int, ...]
    attempted: tuple[int, ...] | None
    revealed: frozenset[int]
    unit: str
    truths: tuple[str, ...]
    private: str


def introduction(*, reveal: bool) -> Markup:
    """What a reader must know before the first card."""
    return render("texts_note.html", reveal=reveal, stretch=STRETCH)


def show(exhibit: Exhibit) -> Markup:
    """All cards of an attack block."""
    reader = _Reader(exhibit)
    attacks = _gathered(reader.card(stand, "attack") for stand in exhibit.stands("attack"))
    baselines = _gathered(reader.card(stand, "baseline") for stand in exhibit.stands("baseline"))
    return render("texts.html", attacks=attacks, baselines=baselines, reveal=exhibit.reveal)


def _gathered(cards: Iterable[Card]) -> list[Card]:
    """The cards, with what is missing for one reason told once."""
    found: dict[object, Card] = {}
    for number, card in enumerate(cards):
        alike = (card.name, card.missing, card.reason) if card.missing else number
        before = found.get(alike)
        found[alike] = card if before is None else replace(before, cells=(*before.cells, *card.cells))
    return list(found.values())


class _Reader:
    """Makes the cards of one exhibit; the private records are read once."""

    def __init__(self, exhibit: Exhibit) -> None:
        self.exhibit = exhibit
        self.left = MOST
        self._texts: dict[str, tuple[str, ...]] = {}
        self._stretches: dict[str, frozenset[tuple[str, ...]]] = {}

    def card(self, stand: Stand, arm: str) -> Card:
        """One attack in one cell: the first outputs of the first repeat, others folded away."""
        first = stand.arms[0]
        cells = tuple(stand.cells)
        outputs, missing, reason = self._outputs(first)
        if outputs is None:
            return Card(stand.name, cells, missing=missing, reason=reason)
        counter = self.exhibit.counterpart(first) if arm == "attack" else None
        blind, blind_missing, blind_reason = self._outputs(counter) if counter is not None else (None, "", "")
        without = Passage(missing=blind_missing, note=blind_reason)
        rows = tuple(
            replace(
                row, blind=(self._of(blind, place) if blind is not None else without) if counter is not None else None
            )
            for place, row in enumerate(self._rows(outputs)[:ROWS])
        )
        return Card(
            stand.name,
            cells,
            rows,
            rest=tuple(self._rest(stand)),
            has_blind=counter is not None,
            has_private=outputs.attempted is not None,
        )

    def _of(self, blind: _Outputs, place: int) -> Passage:
        rows = self._rows(blind)
        return rows[place].output if place < len(rows) else Passage(missing="no output")

    def _rest(self, stand: Stand) -> list[RepeatView]:
        views = []
        for arm in stand.arms:
            outputs, _, _ = self._outputs(arm)
            if outputs is None or not self.left:
                continue
            skipped = ROWS if arm is stand.arms[0] else 0
            rows = self._rows(outputs)[skipped : skipped + self.left]
            self.left -= len(rows)
            if rows:
                views.append(RepeatView(f"repeat {arm.repeat + 1}", rows))
        return views

    # -- rows ------------------------------------------------------------------------------------------------------

    def _rows(self, outputs: _Outputs) -> tuple[RecordRow, ...]:
        most = ROWS + MOST
        if outputs.attempted is None:
            return tuple(
                RecordRow(f"output {place + 1}", self._passage(text, self._copied(text, outputs.private)), None, None)
                for place, text in enumerate(outputs.texts[:most])
            )
        by_unit = {unit: place for place, unit in reversed(list(enumerate(outputs.units)))}
        return tuple(self._row(outputs, unit, by_unit.get(unit)) for unit in outputs.attempted[:most])

    def _row(self, outputs: _Outputs, unit: int, place: int | None) -> RecordRow:
        truth = outputs.truths[unit] if unit < len(outputs.truths) else ""
        name = f"{outputs.unit} {unit}"
        note = "leaked, not counted" if unit in outputs.revealed else ""
        if place is None:
            return RecordRow(name, Passage(missing="no output", note=note), self._passage(truth, []), None)
        text = outputs.texts[place]
        written, there = words_of(text), words_of(truth)
        output = self._passage(text, [word in set(there) for word in written], note)
        return RecordRow(name, output, self._passage(truth, [word in set(written) for word in there]), None)

    def _passage(self, text: str, matched: Sequence[bool], note: str = "") -> Passage:
        words = words_of(text)
        marks = [*matched, *([False] * (len(words) - len(matched)))]
        drawn = tuple(
            Word(word if self.exhibit.reveal else "", mark) for word, mark in zip(words[:LONGEST], marks, strict=False)
        )
        return Passage(drawn, len(words), sum(marks), "" if words else "no words", note)

    def _copied(self, text: str, private: str) -> list[bool]:
        """Which words of an output stand in a stretch that the private texts hold word for word."""
        if private not in self._stretches:
            lines = self._strings(private)
            self._stretches[private] = frozenset(each for line in lines for each in _stretches(words_of(line)))
        words = words_of(text)
        marks = [False] * len(words)
        for place, stretch in enumerate(_stretches(words)):
            if stretch in self._stretches[private]:
                marks[place : place + STRETCH] = [True] * STRETCH
        return marks

    # -- what was written --------------------------------------------------------------------------------------------

    def _outputs(self, arm: Arm) -> tuple[_Outputs | None, str, str]:
        """The outputs of an arm, or the word for what is missing and why."""
        record = self.exhibit.record
        if arm.node is None:
            return None, NOT_EVALUATED if arm.arm == "attack" else "not available", arm.reason
        found = record.arrays(arm.node)
        if found is None:
            return None, "failed", record.reasons.get(arm.node, "it was not run")
        arrays, facts = found
        if "values.bytes" not in arrays:
            return None, "not available", "its outputs are no texts"
        upstream = record.upstream(arm.node)
        private = self._secret_of(upstream)
        leaked = [node for node in upstream if node.role == "held"]
        claims = any(node.params["records"].get("$node") in (self.exhibit.secret, private) for node in leaked)
        given = next((node for node in upstream if node.role == "grant" and node.params["item"] == PREFIXES), None)
        units = tuple(int(unit) for unit in arrays["group"].tolist())
        attempted = tuple(int(unit) for unit in facts["attempted"]) if claims or given is not None else None
        truths = self._strings(private) if given is None else self._suffixes(given, private)
        revealed = self._revealed([node.id for node in leaked])
        unit = "record" if given is None else "passage"
        return _Outputs(strings(arrays, "values."), units, attempted, revealed, unit, truths, private), "", ""

    def _secret_of(self, upstream: Sequence[Node]) -> str:
        """The node of the private texts that an arm rests on: those of its own repeat, where they are drawn anew."""
        secret = self.exhibit.secret
        if secret is None:
            return ""
        plan = self.exhibit.record.plan
        alike = (plan.nodes[secret].label, plan.nodes[secret].operator)
        return next((node.id for node in upstream if (node.label, node.operator) == alike), secret)

    def _strings(self, node: str) -> tuple[str, ...]:
        """The texts that a node made; none where it made none."""
        if node not in self._texts:
            found = self.exhibit.record.arrays(node) if node else None
            self._texts[node] = strings(found[0]) if found is not None else ()
        return self._texts[node]

    def _suffixes(self, grant: Node, private: str) -> tuple[str, ...]:
        """How the passages go on whose beginnings were granted."""
        found = self.exhibit.record.arrays(grant.params["of"]["$node"])
        lines = self._strings(private)
        if found is None or not lines:
            return ()
        ends = zip(found[0]["places"].tolist(), found[0]["stops"].tolist(), strict=True)
        return tuple(lines[place][stop:] for place, stop in ends)

    def _revealed(self, leaked: Sequence[str]) -> frozenset[int]:
        """The records that some leaked pairs give away."""
        found = [self.exhibit.record.arrays(name) for name in leaked]
        return frozenset(int(unit) for each in found if each is not None for unit in each[1].get("units", ()))


def strings(arrays: Mapping[str, Array], prefix: str = "") -> tuple[str, ...]:
    """Texts as artefacts keep them: all in a row in UTF-8, with the end of each."""
    data = arrays[f"{prefix}bytes"].tobytes()
    ends = [0, *(int(end) for end in arrays[f"{prefix}ends"])]
    return tuple(data[start:end].decode("utf-8", "replace") for start, end in pairwise(ends))


def _stretches(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(words[at : at + STRETCH]) for at in range(len(words) - STRETCH + 1))
