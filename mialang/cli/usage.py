"""Requests that cannot be read, as findings: a wrong command, a wrong option, a value that an option does not take."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import typer

from mialang.diagnostics import Diagnostic, closest, did_you_mean, error

CODE = "E0802"
Choice = TypeVar("Choice", bound=Enum)
EXTRA = re.compile(r"unexpected extra argument\(?s?\)? \((.+)\)")
NOT_ONE = re.compile(r"'(?P<given>.*)' is not one of (?P<known>'.*')")


class UnusableError(typer.BadParameter):
    """A value that an option does not take; carries the next step."""

    def __init__(self, title: str, help_: str) -> None:
        super().__init__(title)
        self.title = title
        self.help = help_


def choice(among: type[Choice]) -> Callable[[str | Choice], Choice]:
    """A reader of one of a few words."""

    def read(text: str | Choice) -> Choice:
        if isinstance(text, among):
            return text
        known = [each.value for each in among]
        if text in known:
            return among(text)
        raise UnusableError(*_not_one(str(text), known))

    return read


def _not_one(given: str, known: list[str]) -> tuple[str, str]:
    shown = ", ".join(f"`{each}`" for each in known)
    near = closest(given, known)
    return f"`{given}` is none of {shown}", f"did you mean `{near[0]}`?" if near else f"write one of {shown}"


def whole(least: int) -> Callable[[str | int], int]:
    """A reader of whole numbers from a least one on."""

    def read(text: str | int) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", str(text).strip()) else None
        if number is None or number < least:
            raise UnusableError(
                f"`{text}` is no whole number of at least {least}", f"write for example `{max(least, 4)}`"
            )
        return number

    return read


def folder(option: str) -> Callable[[str | Path], Path]:
    """A reader of folders, which have names: an empty one would be the working directory."""

    def read(text: str | Path) -> Path:
        if not str(text).strip():
            raise UnusableError("the name of a folder is empty", f"write `{option} DIR`, or leave `{option}` out")
        return Path(text)

    return read


def usage_finding(problem: Exception) -> Diagnostic | None:
    """The finding for a request that the command line could not read; None where a problem is something else.

    Told apart by what they carry and not by class: typer brings its own copy of click, or uses the installed one,
    depending on its version.
    """
    if not hasattr(problem, "format_message") or not hasattr(problem, "exit_code"):
        return None
    context: Any = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "mialang"
    if isinstance(problem, UnusableError):
        return error(CODE, f"{_named(problem)}{problem.title}").help(problem.help)
    if hasattr(problem, "possibilities"):
        option = str(getattr(problem, "option_name", ""))
        return error(CODE, f"`{command}` has no option `{option}`").help(
            did_you_mean(option, _options(context)) or f"`{command} --help` says what it takes"
        )
    if type(problem).__name__ == "MissingParameter":
        name = _parameter(problem)
        return error(CODE, f"`{command}` lacks its `{name}`").help(
            f"write `{' '.join([command, *_arguments(context)])}`; `{command} --help` says more"
        )
    if type(problem).__name__ == "BadOptionUsage":
        option = str(getattr(problem, "option_name", ""))
        return error(CODE, f"`{option}` needs a value after it").help(
            f"write `{option} VALUE`; `mialang COMMAND --help` says which"
        )
    if (extra := EXTRA.search(str(problem))) is not None:
        return error(CODE, f"`{command}` takes nothing beyond what it has, and `{extra[1]}` is left over").help(
            f"leave it out; `{command} --help` says what it takes"
        )
    message = problem.format_message().removeprefix("Value error, ").rstrip(".")
    if (found := NOT_ONE.search(message)) is not None:
        title, help_ = _not_one(found["given"], re.findall(r"'([^']*)'", found["known"]))
        return error(CODE, f"{_named(problem)}{title}").help(help_)
    return error(CODE, message).help(f"`{command} --help` says what it takes")


def _parameter(problem: Exception) -> str:
    """The option or argument at fault, as it is written; empty where none is."""
    parameter = getattr(problem, "param", None)
    if parameter is None:
        return ""
    name: str = parameter.opts[-1] if parameter.opts else parameter.name
    return name if name.startswith("-") else _place(parameter)


def _place(argument: Any) -> str:
    """What stands for an argument in the help: `SPEC`."""
    return str(argument.metavar or argument.name).strip("{}[].").upper()


def _arguments(context: Any) -> list[str]:
    """The arguments of a command in order, as the help writes them."""
    parameters = context.command.params if context is not None else []
    return [_place(each) for each in parameters if each.param_type_name == "argument"]


def _named(problem: Exception) -> str:
    name = _parameter(problem)
    return f"`{name}`: " if name else ""


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    return [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
