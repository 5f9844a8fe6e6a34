"""Commands about the store: `store ls`, `verify`, `gc`, `export`, `import`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mialang.cli.console import Exit, Format, refuse, say, show_findings, store_folder
from mialang.cli.kept import damaged_run, no_run
from mialang.cli.planning import StoreOption
from mialang.cli.usage import whole
from mialang.cli.writing import Output

if TYPE_CHECKING:
    from mialang.engine.runs import Run
    from mialang.engine.store import Store

CODE = "E0810"
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
STEP = 1024

RunName = Annotated[str, typer.Argument(help="A run's name, its beginning, or `last`.", metavar="RUN")]


def ls(store: StoreOption = None, output: Output = Format.TEXT) -> None:
    """List the runs that a store keeps, how they ended, and how much room everything takes."""
    from mialang.engine.index import summaries  # noqa: PLC0415
    from mialang.engine.upkeep import sizes  # noqa: PLC0415

    with _opened(store) as keep:
        runs = summaries(keep)
        room = sizes(keep)
    if output is Format.JSON:
        say(
            json.dumps(
                {"runs": runs, "sizes": {name: {"count": n, "bytes": size} for name, (n, size) in room.items()}},
                indent=1,
            )
        )
        return
    for run in runs:
        say(_line(run))
    if not runs:
        say("no runs")
    words = [
        f"{count:,} {name if count != 1 else name[:-1]} ({in_units(size)})" for name, (count, size) in room.items()
    ]
    say(", ".join(words))


def verify(store: StoreOption = None) -> None:
    """Read every byte of a store and name what is torn, damaged or missing; ends with 4 where something is."""
    from mialang.engine.upkeep import damages, sizes  # noqa: PLC0415

    with _opened(store) as keep:
        found = 0
        for damage in damages(keep):
            found += 1
            say(f"damaged: {damage}")
        room = sizes(keep)
    if found:
        say(f"{found} damaged; what a run needs of that is computed again by itself")
        raise typer.Exit(Exit.BROKEN)
    say(f"{room['blobs'][0]:,} results, {room['actions'][0]:,} records and {room['runs'][0]:,} runs are whole")


def gc(
    store: StoreOption = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep", help="Give up all runs but the newest N.", parser=whole(0), metavar="N")
    ] = None,
    drop: Annotated[list[str], typer.Option("--drop", help="Give up a run.", metavar="RUN")] = [],  # noqa: B006 - typer copies it
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this, only say what would go.")] = False,
) -> None:
    """Say what no kept run needs, and remove it with `--delete`. Runs are given up only if named."""
    from mialang.engine.runs import Run  # noqa: PLC0415
    from mialang.engine.upkeep import garbage, remove  # noqa: PLC0415

    with _opened(store) as keep, keep.cleaned():
        runs = Run.every(keep)
        given_up = {run.id: run for run in (runs[: max(0, len(runs) - keep_last)] if keep_last is not None else [])}
        given_up |= {run.id: run for run in (_run(keep, name) for name in drop)}
        found = garbage(keep, tuple(given_up.values()))
        for run in found.runs:
            say(f"run {run.id}")
        verb = "removed" if delete else "would be removed"
        if delete:
            remove(keep, found)
    say(
        f"{len(found.runs)} runs and {len(found.files):,} files ({in_units(found.bytes)}) {verb}; "
        f"{found.kept:,} results are needed by {len(runs) - len(found.runs)} runs and stay"
    )
    if not delete and (found.runs or found.files):
        say("to remove them, add `--delete`")


def export(
    run: RunName,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    store: StoreOption = None,
) -> None:
    """Write a run with all its results into one file, for another store; it holds reconstructions in full."""
    from mialang.engine.archive import pack_run  # noqa: PLC0415

    with _opened(store) as keep:
        found = _run(keep, run)
        if not found.outcome():
            refuse(
                f"the run `{found.id}` never ended",
                "run its spec again: what is finished is kept",
                Exit.BROKEN,
                "E0811",
            )
        try:
            count = pack_run(keep, found, file)
        except OSError as problem:
            refuse(
                f"`{file}` cannot be written: {problem.strerror}", "choose a place that you may write to", Exit.BROKEN
            )
    say(f"wrote {file}: run {found.id} with {count:,} results, {in_units(file.stat().st_size)}")


def import_(
    file: Annotated[Path, typer.Argument(help="A file written by `mialang store export`.", metavar="FILE")],
    store: StoreOption = None,
) -> None:
    """Take a run out of a file into a store; every name and digest is checked first."""
    from mialang.engine.archive import ArchiveError, unpack_run  # noqa: PLC0415
    from mialang.engine.store import Store  # noqa: PLC0415

    if not file.is_file():
        refuse(f"there is no file `{file}`", "`mialang store export RUN FILE` writes one")
    with _opened(store, Store(store_folder(store))) as keep:
        keep.prepare()
        try:
            with keep.used():
                taken = unpack_run(keep, file)
        except ArchiveError as problem:
            refuse(str(problem), "have it exported again, and compare the files' digests on both sides", number=CODE)
    say(f"run {taken.run}: {taken.results:,} results taken in, {taken.known:,} were known")
    if taken.other:
        say(f"warning: {taken.other:,} of these were different; this store keeps its own")


@contextmanager
def _opened(given: Path | None, new: Store | None = None) -> Iterator[Store]:
    """The store that is asked for; ends with a finding where it cannot be used."""
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415

    keep = new or Store(store_folder(given))
    if new is None and not (keep.root / "format").exists():
        refuse(
            f"there is no store `{keep.root}`",
            "`mialang run SPEC` makes one; `--store DIR` looks elsewhere",
            number=CODE,
        )
    try:
        yield keep.readable()
    except StoreError as problem:
        refuse(
            str(problem),
            problem.help or "look at it with `mialang store verify`, or choose another with `--store DIR`",
            Exit.BROKEN,
            CODE,
        )


def _run(store: Store, name: str) -> Run:
    from mialang.engine.runs import Run  # noqa: PLC0415
    from mialang.engine.store import StoreError  # noqa: PLC0415

    try:
        return Run.find(store, name)
    except StoreError as problem:
        finding, code = no_run(store, name, problem), Exit.SPEC_WRONG
    except (ValueError, KeyError, OSError):
        finding, code = damaged_run(name), Exit.BROKEN
    show_findings([finding], sys.stderr)
    raise typer.Exit(code)


def in_units(size: int) -> str:
    """A number of bytes as people read it."""
    amount, unit = float(size), 0
    while amount >= STEP and unit < len(UNITS) - 1:
        amount, unit = amount / STEP, unit + 1
    return f"{size:,} {UNITS[0]}" if unit == 0 else f"{amount:.1f} {UNITS[unit]}"


def _line(run: dict[str, Any]) -> str:
    nodes = f"{run['nodes']} nodes" + (f", {run['failed']} failed" if run["failed"] else "")
    return f"{run['run']:26}  {run['status'] or 'unknown':13}  {nodes:22}  {in_units(run['bytes']):>10}  {run['spec']}"


COMMANDS = (ls, verify, gc, export, import_)
