"""Commands that look: `report`, `attacks`, `why`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mialang.cli.console import Exit, checked, refuse, say, store_folder
from mialang.cli.planning import StoreOption
from mialang.diagnostics import did_you_mean

RunName = Annotated[str, typer.Argument(help="A run's name, its beginning, or `last`.", metavar="RUN")]


def report(  # noqa: PLR0913 - one per option
    run: RunName = "last",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page here instead of into the run.", metavar="FILE")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write what does not hold as SARIF 2.1.0.", metavar="FILE")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write every rule and cell as JUnit XML.", metavar="FILE")
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show reconstructions in full in the page.")] = False,
    store: StoreOption = None,
) -> None:
    """Show a run again, and write it as a page, as SARIF or as JUnit; runs nothing.

    Ends with 0 whatever the verdict is. The page is written into the run unless another place or only another form is
    asked for. SARIF and JUnit never hold reconstructions, so `--reveal` changes the page alone.
    """
    from mialang.cli.words import summary_words  # noqa: PLC0415
    from mialang.engine.files import write_whole  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.report.junit import as_junit  # noqa: PLC0415
    from mialang.report.page import as_page  # noqa: PLC0415
    from mialang.report.record import Record  # noqa: PLC0415
    from mialang.report.sarif import as_sarif  # noqa: PLC0415

    try:
        record = Record.load(Store(store_folder(store)), run)
    except StoreError as problem:
        refuse(str(problem), "runs are listed in `runs/` of the store; `last` is the newest", Exit.SPEC_WRONG, "E0811")
    if not record.outcome:
        refuse(
            f"the run `{record.run.id}` never ended",
            "run its spec again: what is finished is kept",
            Exit.BROKEN,
            "E0811",
        )
    page = html or (None if sarif or junit else record.run.folder / "report.html")
    try:
        if page is not None:
            write_whole(page, as_page(record, reveal=reveal).encode())
        if sarif is not None:
            write_whole(sarif, json.dumps(as_sarif(record), indent=1).encode())
        if junit is not None:
            write_whole(junit, as_junit(record).encode())
    except OSError as problem:
        refuse(f"the report cannot be written: {problem.strerror}", "choose a place that you may write to", Exit.BROKEN)
    written = [path for path in (page, sarif, junit) if path is not None]
    summary_words(record, sys.stdout, ", ".join(map(str, written)))


def attacks(
    against: Annotated[
        str | None, typer.Option("--against", help="A threat of a spec: SPEC#THREAT.", metavar="SPEC#THREAT")
    ] = None,
) -> None:
    """List the attacks of the library; with `--against`, say which fit a threat and what the others lack."""
    from mialang.cli.words import attack_words, fit_words  # noqa: PLC0415

    if against is None:
        say(attack_words())
        return
    path, _, name = against.partition("#")
    audit, _ = checked(Path(path), (), sys.stderr)
    if not name and len(audit.threats) == 1:
        name = next(iter(audit.threats))
    if name not in audit.threats:
        refuse(f"`{path}` has no threat `{name}`", did_you_mean(name, audit.threats), Exit.SPEC_WRONG, "E0201")
    say(fit_words(audit, audit.threats[name]))


def why(
    run: RunName,
    node: Annotated[str, typer.Argument(help="A node, or the beginning of its name or label.", metavar="NODE")],
    store: StoreOption = None,
) -> None:
    """Say what a node of a run is, what it rests on, what it found, and why it was or was not computed."""
    from mialang.cli.words import why_words  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.report.record import Record  # noqa: PLC0415

    try:
        record = Record.load(Store(store_folder(store)), run)
    except StoreError as problem:
        refuse(str(problem), "runs are listed in `runs/` of the store; `last` is the newest", Exit.SPEC_WRONG, "E0811")
    nodes = record.plan.nodes
    found = [name for name in nodes if name == node] or [name for name in nodes if name.startswith(node)]
    if not found:
        labels = {each.label for each in nodes.values()}
        refuse(f"the run has no node `{node}`", did_you_mean(node, labels | set(nodes)), Exit.SPEC_WRONG, "E0811")
    for name in found[:10]:
        say(why_words(record, name))
    if len(found) > 10:
        say(f"… and {len(found) - 10} more nodes that begin with `{node}`")


COMMANDS = (report, attacks, why)
