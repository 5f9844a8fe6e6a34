"""`--isolate`: which attack steps run behind a boundary, and what is said where there is none."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mialang.cli.console import Exit, say, show_findings
from mialang.cli.usage import choice
from mialang.diagnostics import error

if TYPE_CHECKING:
    from mialang.engine.work import Settings
    from mialang.plan.model import Plan

CODE = "E0802"


class Isolation(StrEnum):
    """Which attack steps run in a process of their own, behind a boundary."""

    AUTO = "auto"
    PROCESS = "process"
    NONE = "none"


IsolateOption = Annotated[
    Isolation,
    typer.Option(
        "--isolate",
        help="Which attack steps run behind a boundary: those with code of other packages, all, or none.",
        parser=choice(Isolation),
        metavar="auto|process|none",
    ),
]


def look_for_boundary(plan: Plan, settings: Settings, stream: TextIO) -> None:
    """Say so where a boundary is wanted and there is none; end where code that nobody vouches for would run without."""
    from mialang.engine.isolation.choice import strangers  # noqa: PLC0415
    from mialang.plan.selection import needed_by_selection  # noqa: PLC0415

    foreign = frozenset().union(*strangers(needed_by_selection(plan), settings.trusted).values())
    if settings.isolate == "none" or (settings.isolate == "auto" and not foreign):
        return
    from mialang.engine.isolation.boundary import available  # noqa: PLC0415

    boundaries = available()
    if any(boundary.stands for boundary in boundaries):
        return
    reasons = [f"{name}: {why}" for name, why in boundaries[0].missing]
    if unvouched := sorted(foreign - set(settings.vouched)):
        names = ", ".join(f"`{name}`" for name in unvouched)
        finding = error(CODE, f"there is no boundary here behind which the attacks of {names} could run")
        for reason in reasons:
            finding = finding.note(reason)
        trust = " ".join(f"--trust {name}" for name in unvouched)
        show_findings([finding.help(f"if you trust them, say so for this run: `{trust}`")], sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    say("warning: attacks run without a boundary; the report says `isolation: none`", stream)
    for reason in reasons:
        say(f"  = note: {reason}", stream)
