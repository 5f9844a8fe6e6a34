"""`--select`: expressions in, a plan with what is wanted of it out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mialang.cli.console import Exit, say, show_findings, store_folder
from mialang.cli.kept import damaged_run, no_run
from mialang.diagnostics import Diagnostic

if TYPE_CHECKING:
    from mialang.engine.work import Settings as WorkSettings
    from mialang.plan.model import Plan
    from mialang.plan.selection import Past

SelectOption = Annotated[
    list[str],
    typer.Option(
        "--select",
        help="Only a part: NAME, +NAME with what it needs, NAME+ with what needs it, kind:attack, cell:AXIS=VALUE, "
        "changed:RUN, failed:RUN. Given again, it adds up.",
        metavar="WHAT",
    ),
]


def selected(plan: Plan, wanted: list[str], store: Path | None, work: WorkSettings) -> Plan:
    """Mark what is wanted of a plan, and end where nothing is: with 0 where an earlier run left nothing to do."""
    from mialang.plan.selection import select  # noqa: PLC0415

    made, findings = select(plan, wanted, lambda name: _past(store_folder(store), name, work))
    if findings and not any(finding.is_error for finding in findings):
        for finding in findings:
            say("; ".join((finding.title, *finding.helps)), sys.stderr)
        raise typer.Exit(Exit.PASS)
    if findings:
        show_findings(findings, sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    return made


def _past(folder: Path, name: str, work: WorkSettings) -> Past | Diagnostic:
    """An earlier run, as far as a selection asks for it."""
    from mialang.engine.runs import Run  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.plan.selection import Past  # noqa: PLC0415

    store = Store(folder)
    try:
        run = Run.find(store.readable(), name)
        nodes, outcome = run.plan().nodes, run.outcome()
    except StoreError as problem:
        return no_run(store, name, problem)
    except (ValueError, KeyError, OSError):
        return damaged_run(name)
    made = outcome.get("nodes", {})
    stale = {each for each, what in made.items() if store.find(what["key"], work.look)[0] is None}
    undone = {each for each, node in nodes.items() if each not in made and not node.passes_on}
    return Past(frozenset(nodes.keys() - stale), frozenset(undone))
