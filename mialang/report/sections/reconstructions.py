"""What came back, beside what was private: one way of showing it per kind of artefact. Only this table knows the kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

from mialang.report.record import Record
from mialang.report.sections import graphs, images, texts
from mialang.report.sections.exhibit import Exhibit, exhibits


class Showing(Protocol):
    """A way of showing what attacks made of one kind of private record: a module with these two functions.

    What is hidden must be absent from the markup that they return, not merely covered.
    """

    def introduction(self, *, reveal: bool) -> Markup:
        """What a reader must know before the first exhibit."""

    def show(self, exhibit: Exhibit) -> Markup:
        """One attack block."""


SHOWN: Mapping[str, Showing] = {"images": images, "graph": graphs, "texts": texts}


@dataclass(frozen=True)
class ReconstructionView:
    """The outputs of one attack block; `missing` says why they are not shown."""

    attack: str
    shown: Markup | None
    missing: str


@dataclass(frozen=True)
class ReconstructionsView:
    """What the section says."""

    introductions: tuple[Markup, ...]
    attacks: tuple[ReconstructionView, ...]


def view(record: Record, *, reveal: bool) -> ReconstructionsView:
    """What the section says."""
    found = list(exhibits(record, reveal=reveal))
    kinds = [kind for kind in dict.fromkeys(each.kind for each in found) if kind in SHOWN]
    introductions = tuple(SHOWN[kind].introduction(reveal=reveal) for kind in kinds)
    return ReconstructionsView(introductions, tuple(map(_shown, found)))


def _shown(exhibit: Exhibit) -> ReconstructionView:
    if exhibit.secret is None:
        return ReconstructionView(exhibit.attack, None, "the spec names no private records")
    if exhibit.kind not in SHOWN:
        return ReconstructionView(
            exhibit.attack, None, f"this report has no picture of artefacts of kind `{exhibit.kind}`"
        )
    return ReconstructionView(exhibit.attack, SHOWN[exhibit.kind].show(exhibit), "")
