"""Commands around writing a spec: `init`, `check`, `fmt`, `explain`, `schema`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from mialang.cli.console import (
    PIPED,
    Exit,
    Format,
    count_words,
    findings_json,
    read_source,
    refuse,
    say,
    settings_of,
    show_findings,
    write_text,
)
from mialang.cli.usage import choice
from mialang.diagnostics import Diagnostic, closest

Specs = Annotated[list[Path], typer.Argument(help="`.mia` files.", metavar="SPEC", readable=False)]
Settings = Annotated[list[str], typer.Option("--set", help="Override a `param`: NAME=VALUE.", metavar="NAME=VALUE")]
Output = Annotated[
    Format, typer.Option("--format", help="For people or for machines.", parser=choice(Format), metavar="text|json")
]


def check(specs: Specs, settings: Settings = [], output: Output = Format.TEXT) -> None:  # noqa: B006 - typer copies it
    """Report every finding in one run; runs nothing. `-` is standard input.

    Neither torch nor the network is needed. Ends with 2 where there is an error, with 0 where there are warnings at most.
    """
    from mialang.meaning.check import check as check_spec  # noqa: PLC0415

    overrides = settings_of(settings)
    everything: list[Diagnostic] = []
    for path in specs:
        source, problem = read_source(path)
        findings = [problem] if problem is not None else []
        if source is not None:
            _, findings = check_spec(source, path, overrides)
        everything += findings
        if output is Format.TEXT:
            show_findings(findings)
            say(f"{path}: {count_words(findings)}")
    if output is Format.JSON:
        say(findings_json(everything))
    if any(finding.is_error for finding in everything):
        raise typer.Exit(Exit.SPEC_WRONG)


def fmt(
    specs: Specs,
    check_only: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where a file would change.")
    ] = False,
) -> None:
    """Lay files out in the one layout; only white space changes.

    With `--check`, ends with 1 where a file would change.
    """
    from mialang.syntax import parse  # noqa: PLC0415
    from mialang.syntax.format import format_text  # noqa: PLC0415

    code = Exit.PASS
    for path in specs:
        if path == PIPED:
            refuse("`fmt` lays out files, and `-` is none", "give the path of a `.mia` file")
        source, problem = read_source(path)
        findings = [problem] if problem is not None else []
        if source is not None:
            _, findings = parse(source)
        if findings or source is None:
            show_findings(findings, sys.stderr)
            code = Exit.SPEC_WRONG
            continue
        laid_out = format_text(source.text)
        if laid_out == source.text:
            continue
        if check_only:
            say(f"{path}: would change")
            code = code or Exit.GATE_FAILED
        else:
            write_text(path, laid_out)
            say(f"{path}: laid out")
    raise typer.Exit(code)


def explain(
    code: Annotated[
        str | None,
        typer.Argument(help="The code of a finding, such as E0301; without one, all are listed.", metavar="CODE"),
    ] = None,
) -> None:
    """Explain a finding: what it means, an example, the way out."""
    from mialang.meaning.library import error_pages  # noqa: PLC0415

    pages = {path.stem: path for path in sorted(error_pages().glob("*.md")) if re.fullmatch(r"[EW]\d{4}", path.stem)}
    if code is None:
        for path in pages.values():
            say(path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "))
        return
    wanted = code.strip().strip("[]").upper()
    if wanted not in pages:
        refuse(
            f"there is no finding `{code}`",
            _which_code(wanted, list(pages)),
            number="E0802",
        )
    say(pages[wanted].read_text(encoding="utf-8").rstrip())


def _which_code(wanted: str, known: list[str]) -> str:
    """The code that may have been meant: one that looks like it, or those about the same thing, which begin alike."""
    if near := closest(wanted, known):
        return f"did you mean `{near[0]}`?"
    alike = [each for each in known if each.startswith(wanted[:3])]
    listed = (
        f"codes that begin like it are {', '.join(f'`{each}`' for each in alike)}; "
        if len(wanted) > 2 and alike
        else ""
    )
    return f"{listed}`mialang explain` lists all findings"


def schema() -> None:
    """Print the JSON schema of a plan and of what `.mia` files declare."""
    from mialang.meaning.schema_export import language_schema  # noqa: PLC0415
    from mialang.plan.emit.plan_json import plan_schema  # noqa: PLC0415

    say(json.dumps({"plan": plan_schema(), "language": language_schema()}, indent=1))


STARTER = "quickstart.mia"


def init(
    path: Annotated[Path, typer.Argument(help="The spec to write.", metavar="SPEC")] = Path("audit.mia"),
) -> None:
    """Write a first spec, and keep the store out of version control. A name without an ending gets `.mia`.

    The spec is the quickstart: an audit of a digit classifier that runs in a minute or two. `.mialang/`, the store, is
    added to the working directory's `.gitignore`, since it will hold private records and what was recovered of them.
    """
    from mialang.meaning.library import starter_spec  # noqa: PLC0415

    if path.is_dir():
        refuse(f"`{path}` is a folder", f"name the spec in it: `mialang init {path / 'audit.mia'}`")
    if not path.suffix:
        path = path.with_suffix(".mia")  # what specs are known by
    if path.exists():
        refuse(f"`{path}` exists already", "choose another name: `mialang init NAME.mia`")
    write_text(path, starter_spec())
    ignore = Path(".gitignore")
    kept = ignore.read_text(encoding="utf-8", errors="surrogateescape") if ignore.exists() else ""
    if ".mialang/" not in kept.splitlines():
        with ignore.open("a", encoding="utf-8") as file:
            file.write(("\n" if kept and not kept.endswith("\n") else "") + ".mialang/\n")
    say(f"wrote {path}; next: mialang check {path} && mialang run {path}")


COMMANDS = (init, check, fmt, explain, schema)
