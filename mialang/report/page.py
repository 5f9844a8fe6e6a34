"""The report as one self-contained page: no script, nothing loaded from elsewhere, and nothing private unless revealed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

import mialang
from mialang.report.record import Record
from mialang.report.rendering import counted, render, style
from mialang.report.sections import attacks, cost, judgement, measured, reconstructions, specification, threats

STAMP = re.compile(r"(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})\d{2}-")


@dataclass(frozen=True)
class Section:
    """One section: its anchor, its heading, and its markup."""

    anchor: str
    title: str
    body: Markup


def as_page(record: Record, *, reveal: bool = False) -> str:
    """The page of a run.

    Args:
        record: the run.
        reveal: show reconstructions and private records in full; otherwise they are not in the page at all.
    """
    verdict = judgement.view(record)
    drawn: list[tuple[str, str, str, Any]] = [
        ("verdict", "Verdict", "verdict.html", verdict),
        ("threats", "Threats", "threats.html", threats.view(record)),
        ("evidence", "Evidence", "evidence.html", measured.view(record)),
        ("reconstructions", "Reconstructions", "reconstructions.html", reconstructions.view(record, reveal=reveal)),
        ("cost", "Cost and questions", "cost.html", cost.view(record)),
        ("attacks", "Attacks", "attacks.html", attacks.view(record)),
        ("specification", "Spec and plan", "specification.html", specification.view(record)),
    ]
    name = PurePath(record.plan.spec_name).name
    sections = [Section(anchor, title, render(template, view=view)) for anchor, title, template, view in drawn]
    return str(
        render("page.html", style=style(), name=name, doc=record.plan.doc, mark=verdict.mark, facts=_facts(record),
               sections=sections, reveal=reveal, version=mialang.__version__)
    )  # fmt: skip


def _facts(record: Record) -> list[str]:
    plan = record.plan
    stamp = STAMP.match(record.run.id)
    facts = ["{}-{}-{} {}:{}".format(*stamp.groups())] if stamp else []
    facts += [counted(len(plan.threats), "threat"), counted(len(plan.attacks), "attack")]
    facts += [counted(plan.cells, "cell"), counted(plan.repeats, "repeat"), f"seed {plan.seed}", f"run {record.run.id}"]
    return facts
