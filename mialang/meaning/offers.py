"""What the standard library offers where a name is unknown or a value is missing: the import to write, the types to choose from."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from mialang.diagnostics import closest, listed
from mialang.meaning.library import PRELUDE, VOCABULARY, declared_in, files_of, known_modules
from mialang.meaning.registry import Registry
from mialang.meaning.types import Type

OFFERING = {
    "access": "std.access",
    "defense": "std.defense",
    "recipe": "std.attack",
    "metric": "std.metric",
    "extent": "std.extent",
}
MAKES = re.compile(r"^operator +(\w+) *: *(\w+)", re.MULTILINE)
CLOSE = 0.75  # how alike a word that is not imported must be to be offered
ENOUGH = 8  # names worth listing


@cache
def words_to_import() -> dict[str, str]:
    """The module of every word of the standard library that must be imported before it can be named."""
    return {
        word: module
        for module in known_modules()
        if module != VOCABULARY and module not in PRELUDE
        for path in files_of(module)
        for word in declared_in(path)
    }


@cache
def _makers(path: Path) -> tuple[tuple[str, str], ...]:
    return tuple(MAKES.findall(path.read_text(encoding="utf-8")))


def import_of(word: str) -> str:
    """The import that would make a word known; empty where the library has no such word."""
    if f"std.{word}" in known_modules():
        return f"add `import std.{word}`"
    module = words_to_import().get(word)
    return f"add `import {module} {{ {word} }}`" if module else ""


def near_import(word: str) -> str:
    """The word of the library that an unknown one may be a slip of, with its import."""
    known = words_to_import()
    near = closest(word, known, alike=CLOSE)
    return f"did you mean `{near[0]}`? Then add `import {known[near[0]]} {{ {near[0]} }}`" if near else ""


def offered(wanted: Type) -> str:
    """What the library offers of a sort; empty where there is nothing to list."""
    module = OFFERING.get(wanted.bare().name)
    names = sorted(word for word, home in words_to_import().items() if home == module)
    return f"`{module}` offers {listed(names)}" if names and module else ""


def makers_of(kind: str, registry: Registry) -> str:
    """Which operators of the library make a value of a kind; empty where none does."""
    found = []
    for module in known_modules():
        prefix = "" if module == VOCABULARY else f"{module.rpartition('.')[2]}."
        for path in files_of(module):
            found += [f"{prefix}{name}(…)" for name, returns in _makers(path) if registry.is_a(returns, kind)]
    if not found:
        return ""
    more = ", …" if len(found) > ENOUGH else ""
    return "write for example " + listed(found[:ENOUGH]) + more
