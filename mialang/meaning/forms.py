"""Forms: texts that must be written in some way to mean anything, as addresses, requests and names of variables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mialang.diagnostics.secrets import looks_secret
from mialang.meaning.misfit import Misfit
from mialang.meaning.types import Type
from mialang.meaning.words import enumerated

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STEP = re.compile(r"[^.\[\]]+(?:\[\])?|\[\]")
SPACE = re.compile(r"\s")
IN_THE_OPEN = "what a spec says stands in its plan and its report for everyone to read"
NAMED = 'set an environment variable to it, and write the name of that: `key = "EXAMPLE_KEY"`'


def _variable(text: str, wanted: Type) -> Misfit | None:
    del wanted
    if NAME.fullmatch(text):
        return None
    return Misfit("E0217", "this is no name of an environment variable", NAMED, IN_THE_OPEN, secret=True)


def _url(text: str, wanted: Type) -> Misfit | None:
    del wanted
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, or a port that is no number
        return _no_address(text)
    if parts.username is not None or any(looks_secret(value) for _, value in parse_qsl(parts.query)):
        return _secret()
    return None if fits and not SPACE.search(text) else _no_address(text)


def _no_address(text: str) -> Misfit:
    title = "this is no address of a service" if text else "the address is empty"
    return Misfit("E0216", title, "write for example `https://example.org/v1/embeddings`")


def _template(text: str, wanted: Type) -> Misfit | None:
    places = [f"${argument.name}" for argument in wanted.arguments]
    example = f'write for example `{{\\"inputs\\": \\"{places[0]}\\"}}`'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Misfit("E0216", "this request is no JSON", example)
    if not any(text in places for text in _texts(found)):
        shown = enumerated(f'"{place}"' for place in places).replace(" and ", " or ")
        return Misfit("E0216", f"this request has no place for what is asked about: {shown}", example)
    return None


def _texts(part: Any) -> Iterator[str]:
    """The texts in a piece of JSON, names of entries aside."""
    match part:
        case str():
            yield part
        case dict():
            for value in part.values():
                yield from _texts(value)
        case list():
            for value in part:
                yield from _texts(value)


def _answer_path(text: str, wanted: Type) -> Misfit | None:
    del wanted
    if not text or all(STEP.fullmatch(step) and step == step.strip() for step in text.split(".")):
        return None  # without a path the answer itself is meant
    return Misfit(
        "E0216",
        f"`{text}` is no path into an answer",
        "write names with dots between them, `[]` for every entry of a list: `data[].scores`",
    )


def _secret() -> Misfit:
    return Misfit("E0217", "a key or a password stands in this text", NAMED, IN_THE_OPEN, secret=True)


def malformed(text: str, wanted: Type) -> Misfit | None:
    """Why a text has not the form of a type; None where it has."""
    return _secret() if looks_secret(text) else FORMS[wanted.name](text, wanted)


FORMS: dict[str, Callable[[str, Type], Misfit | None]] = {
    "variable": _variable,
    "url": _url,
    "template": _template,
    "answer_path": _answer_path,
}
