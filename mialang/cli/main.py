"""The entry point: one application, its commands, and did-you-mean for all of them."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mialang
from mialang.cli import comparing, explaining, keeping, look, planning, running, writing
from mialang.cli.console import Exit, show_findings
from mialang.cli.usage import UnusableError, usage_finding
from mialang.diagnostics import did_you_mean, error


class Commands(TyperGroup):
    """Commands that suggest the nearest one for a slip."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find a command; an unknown one is answered with the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            if name.endswith(".mia"):
                raise UnusableError(
                    f"`{name}` is a spec and no command", f"say what to do with it: `mialang run {name}`"
                )
            near = did_you_mean(name, self.list_commands(ctx)) or "`mialang --help` lists them"
            raise UnusableError(f"there is no command `{name}`", near)
        found: tuple[Any, Any, list[str]] = super().resolve_command(ctx, args)
        return found


HELP = "Threat models as code: declarative model-inversion audits for image, text and graph models."
SHARED: dict[str, Any] = {
    "cls": Commands,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
COMMANDS = {
    command.__name__.rstrip("_"): command
    for module in (writing, planning, running, look, explaining, comparing)
    for command in module.COMMANDS
}


def application(wanted: str) -> typer.Typer:
    """The command line. Where one command is wanted, that one only: setting all of them up takes longer than a check."""
    app = typer.Typer(
        help=HELP,
        add_completion=False,
        pretty_exceptions_enable=False,
        epilog="Begin with: mialang init && mialang check audit.mia && mialang run audit.mia. "
        "Exit: 0 pass, 1 a gate failed, 2 the spec is wrong, 3 inconclusive, 4 something broke.",
        **SHARED,
    )
    app.callback()(_options)
    for name, command in COMMANDS.items():
        if wanted == name or wanted not in COMMANDS:
            app.command(name)(command)
    if wanted not in COMMANDS:
        keeper = typer.Typer(
            name="store", help="Look after a store: list, check and clean it, take runs out and in.", **SHARED
        )
        for command in keeping.COMMANDS:
            keeper.command(command.__name__.rstrip("_"))(command)
        app.add_typer(keeper)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mialang {mialang.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


def entry() -> None:
    """Run the command line as a process of its own.

    Looking for memory that could be freed takes a tenth of a short command's time, at its end above all.
    """
    if sys.argv[1:2] == ["check"]:
        gc.disable()
    try:
        main()
    finally:
        gc.freeze()


def main() -> None:
    """Run the command line; ends by `SystemExit`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] or ["--help"]
    try:
        code = application(arguments[0])(arguments, prog_name="mialang", standalone_mode=False)
    except OSError as problem:
        place = f"`{problem.filename}`: " if problem.filename else ""
        finding = error("E0801", f"the machine refused: {place}{problem.strerror or problem}")
        show_findings([finding.help("check that the place exists, may be written to, and has space left")], sys.stderr)
        sys.exit(Exit.BROKEN)
    except Exception as problem:
        if (found := usage_finding(problem)) is None:
            raise
        show_findings([found], sys.stderr)
        sys.exit(Exit.SPEC_WRONG)
    sys.exit(code or Exit.PASS)
