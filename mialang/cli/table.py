"""The table at the end of a run: what was measured, cell by cell, each attack beside its controls."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from mialang.report.phrases import named
from mialang.report.summary import Row, figure_words, rows

if TYPE_CHECKING:
    from mialang.report.record import Record

HEADINGS = ("value", "blind control", "gain", "best baseline")
GAP = "  "


def figure_lines(record: Record) -> list[str]:
    """The lines of the table; the first names the columns, where an attack was measured.

    A cell is a line of its own above its attacks, since a defense with its settings is longer than a column should be.
    A measurement of models has one line a cell.
    """
    known = list(rows(record))
    attacks = [row for row in known if row.instance]
    cells = [HEADINGS, *map(_figures, attacks)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    label = max((len(row.instance) for row in attacks), default=0) + 4
    lines = [_line("", HEADINGS, label, widths)] if attacks else []
    for name, measured in groupby(known, key=_name):
        lines.append(name)
        group = list(measured)
        if not group[0].instance:
            wide = max(len(named(row.cell)) for row in group)
            lines += [f"  {named(row.cell).ljust(wide)}{GAP}{_figures(row)[0]}" for row in group]
            continue
        for where in dict.fromkeys(named(row.cell) for row in group):
            lines.append(f"  {where}")
            lines += [
                _line(f"    {row.instance}", _figures(row), label, widths) for row in group if named(row.cell) == where
            ]
    return lines


def _name(row: Row) -> str:
    field = f".{row.field}" if row.field else ""
    return f"{row.measurement.name}{field} ({row.measurement.metric})"


def _figures(row: Row) -> tuple[str, ...]:
    unit = row.measurement.unit
    best = figure_words(row.baseline, unit)
    if row.baseline is not None and row.baseline.baseline:
        best += f" {row.baseline.baseline}"
    return figure_words(row.value, unit), figure_words(row.blind, unit), figure_words(row.gain, unit), best


def _line(label: str, cells: tuple[str, ...], width: int, widths: list[int]) -> str:
    padded = [label.ljust(width), *(cell.ljust(each) for cell, each in zip(cells, widths, strict=True))]
    return GAP.join(padded).rstrip()
