"""Templates: where they lie, how they escape, and the few filters that they need."""

from __future__ import annotations

import re
from functools import cache
from textwrap import dedent
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

QUOTED = re.compile(r"`([^`]*)`")


def coded(text: str) -> Markup:
    """A text with what stands in back quotes set as code."""
    return Markup(QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def breakable(text: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))  # noqa: S704 - escaped before


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 cell`, `3 cells`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mialang.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(coded=coded, breakable=breakable, dedented=dedent)
    environment.globals.update(counted=counted)
    return environment


def render(template: str, **values: Any) -> Markup:
    """Fill a template; every value that is not markup already is escaped."""
    return Markup(_environment().get_template(template).render(**values))  # noqa: S704 - the environment escapes


def style() -> Markup:
    """The style sheet of the page."""
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), "style.css")[0])  # noqa: S704 - our own file
