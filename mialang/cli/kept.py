"""Runs that a store keeps: one by its name, or the words why there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mialang.cli.console import Exit, show_findings, store_folder
from mialang.diagnostics import Diagnostic, closest, error

if TYPE_CHECKING:
    from mialang.engine.store import Store, StoreError
    from mialang.report.record import Record

CODE = "E0811"
RUN_AGAIN = "run its spec again: what is finished is kept"


def record_of(store: Path | None, name: str) -> Record:
    """A run by its name, the beginning of it, or `last`; end where there is none, or where it cannot be read."""
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.report.record import Record  # noqa: PLC0415

    keep = Store(store_folder(store))
    try:
        return Record.load(keep.readable(), name)
    except StoreError as problem:
        finding, code = no_run(keep, name, problem), Exit.SPEC_WRONG
    except (ValueError, KeyError, OSError):
        finding, code = damaged_run(name), Exit.BROKEN
    show_findings([finding], sys.stderr)
    raise typer.Exit(code)


def no_run(store: Store, name: str, problem: StoreError) -> Diagnostic:
    """The finding where a run is not there; the problem says what was found instead."""
    if problem.help:
        return error("E0810", str(problem)).help(problem.help)
    known = sorted(each.name for each in (store.root / "runs").glob("*") if (each / "plan.json").exists())
    if not known and not (store.root / "format").exists():
        finding = error(CODE, f"no run is kept in `{store.root}`")
        return finding.help("`mialang run SPEC` makes one; `--store DIR` looks elsewhere")
    finding = error(CODE, str(problem))
    if sum(each.startswith(name) for each in known) > 1:
        return finding.help("write more of the name of one of them; `last` is the newest")
    if near := closest(name, known):
        return finding.help(f"did you mean `{near[0]}`?")
    return finding.help(
        f"the newest run is `{known[-1]}`, and `last` stands for it" if known else "`mialang run SPEC` makes one"
    )


def damaged_run(name: str) -> Diagnostic:
    """The finding where a run is there and cannot be read."""
    return error(CODE, f"the run `{name}` is damaged: its plan or outcome cannot be read").help(RUN_AGAIN)
