"""Commands that look: `report`, `attacks`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mialang.cli.console import Exit, checked, refuse, say
from mialang.cli.kept import CODE, RUN_AGAIN, record_of
from mialang.cli.planning import StoreOption
from mialang.diagnostics import did_you_mean

if TYPE_CHECKING:
    from mialang.report.record import Record

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
    from mialang.engine.store import StoreError  # noqa: PLC0415
    from mialang.report.junit import as_junit  # noqa: PLC0415
    from mialang.report.page import as_page  # noqa: PLC0415
    from mialang.report.sarif import as_sarif  # noqa: PLC0415

    record = record_of(store, run)
    if not record.outcome:
        refuse(
            f"the run `{record.run.id}` never ended",
            RUN_AGAIN,
            Exit.BROKEN,
            CODE,
        )
    unwritten = ""
    try:
        if html is not None:
            write_whole(html, as_page(record, reveal=reveal).encode())
        elif not sarif and not junit:
            unwritten = _into_the_run(record, as_page(record, reveal=reveal))
        if sarif is not None:
            write_whole(sarif, json.dumps(as_sarif(record), indent=1).encode())
        if junit is not None:
            write_whole(junit, as_junit(record).encode())
    except StoreError as problem:
        refuse(str(problem), "run its spec again: what is missing or damaged is computed anew", Exit.BROKEN, "E0810")
    except OSError as problem:
        refuse(f"the report cannot be written: {problem.strerror}", "choose a place that you may write to", Exit.BROKEN)
    written = [path for path in (html, sarif, junit) if path is not None]
    summary_words(record, sys.stdout, unwritten or ", ".join(map(str, written)))


def _into_the_run(record: Record, page: str) -> str:
    """Keep the page with its run; in words, why that cannot be, for a store that may only be read can still be shown."""
    from mialang.engine.files import write_whole  # noqa: PLC0415

    try:
        write_whole(record.run.folder / "report.html", page.encode())
    except OSError as problem:
        return f"not written, for the store cannot be written ({problem.strerror}); `--html FILE` puts it elsewhere"
    return ""


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
    if not name and not Path(path).exists() and not path.endswith(".mia"):
        specs = sorted(each.name for each in Path().glob("*.mia"))
        near = specs[0] if specs else "audit.mia"
        refuse(
            f"`--against {against}` names no spec",
            f"a threat is named with its spec: `--against {near}#{path or 'THREAT'}`",
            number="E0802",
        )
    audit, _ = checked(Path(path), (), sys.stderr, whole=False)
    if not name and len(audit.threats) == 1:
        name = next(iter(audit.threats))
    if name not in audit.threats:
        title = f"`{path}` has no threat `{name}`" if name else f"`{path}` has {len(audit.threats)} threats"
        known = f"write `--against {path}#THREAT`; threats are {', '.join(f'`{each}`' for each in audit.threats)}"
        refuse(
            title, (did_you_mean(name, audit.threats) if name else known) or "write a `threat` block", number="E0802"
        )
    say(fit_words(audit, audit.threats[name]))


COMMANDS = (report, attacks)
