"""The entry point: one application, its commands, and did-you-mean for all of them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mialang
from mialang.cli import look, planning, running, writing
from mialang.diagnostics import did_you_mean


class Commands(TyperGroup):
    """Commands that suggest the nearest one for a slip."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find a command; an unknown one is answered with the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            if name.endswith(".mia"):
                ctx.fail(f"`{name}` is a spec; say what to do with it: mialang run {name}")
            near = did_you_mean(name, self.list_commands(ctx)) or "`mialang --help` lists them"
            ctx.fail(f"there is no command `{name}`; {near}")
        found: tuple[Any, Any, list[str]] = super().resolve_command(ctx, args)
        return found


app = typer.Typer(
    cls=Commands,
    help="Threat models as code: declarative model-inversion audits for image, text and graph models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (writing, planning, running, look):
    for command in module.COMMANDS:
        app.command(command.__name__.rstrip("_"))(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mialang {mialang.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Threat models as code: declarative model-inversion audits for image, text and graph models."""
    del version


def entry() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
