"""Where modules are found: the standard library, packages that offer some, and files next to a spec."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import mialang

ENTRY_POINT_GROUP = "mialang.library"
SUFFIX = ".mia"
PRELUDE = ("std.kind", "std.observable", "std.extent", "std.item")
VOCABULARY = "std.vocabulary"


@cache
def standard_library() -> Path:
    """The folder of the standard library: inside an installed wheel, or at the top of a checkout."""
    package = Path(mialang.__file__).parent
    installed = package / "_stdlib"
    return installed if installed.is_dir() else package.parent / "stdlib"


@cache
def error_pages() -> Path:
    """The folder of the pages about each error code, found like the standard library."""
    package = Path(mialang.__file__).parent
    installed = package / "_errors"
    return installed if installed.is_dir() else package.parent / "docs" / "errors"


@cache
def package_library(name: str) -> Path | None:
    """The folder of `.mia` files that an installed package offers under a name, without importing the package."""
    # Only a spec that imports from a package pays for looking through the installed ones.
    from importlib.metadata import entry_points  # noqa: PLC0415
    from importlib.util import find_spec  # noqa: PLC0415

    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            found = find_spec(entry.value.partition(":")[0])
            locations = list(found.submodule_search_locations or []) if found else []
            return Path(locations[0]) if locations else None
    return None


@cache
def files_of(module: str) -> tuple[Path, ...]:
    """The files of a module by its dotted name, sorted; empty where there is no such module.

    `std.image` is the file `image.mia` or every file in the folder `image/`.
    """
    root_name, *parts = module.split(".")
    root = standard_library() if root_name == "std" else package_library(root_name)
    if root is None:
        return ()
    place = root.joinpath(*parts)
    if parts and place.with_suffix(SUFFIX).is_file():
        return (place.with_suffix(SUFFIX),)
    return tuple(sorted(place.rglob(f"*{SUFFIX}"))) if place.is_dir() else ()


def library_name(path: Path) -> str:
    """What a file of the library is called in messages: `std/attack/GMI.mia`."""
    root = standard_library()
    return f"std/{path.relative_to(root).as_posix()}" if path.is_relative_to(root) else path.name


def is_library(name: str) -> bool:
    """Whether a file is one of the standard library, by what it is called in messages."""
    return name.startswith("std/")


DECLARED = re.compile(r"^(?:operator|recipe|defense|metric|kind|observable|extent|item|access) +(\w+)", re.MULTILINE)


@cache
def declared_in(path: Path) -> tuple[str, ...]:
    """The names that a file declares, read off its text without parsing it."""
    return tuple(DECLARED.findall(path.read_text(encoding="utf-8")))


def known_modules() -> list[str]:
    """The modules of the standard library."""
    root = standard_library()
    names = {f"std.{path.stem}" for path in root.glob(f"*{SUFFIX}")}
    names |= {f"std.{path.name}" for path in root.iterdir() if path.is_dir()}
    return sorted(names)


def starter_spec() -> str:
    """The text of a first spec: the quickstart that ships with the project."""
    package = Path(mialang.__file__).parent
    installed = package / "_specs"
    folder = installed if installed.is_dir() else package.parent / "specs"
    return (folder / "quickstart.mia").read_text(encoding="utf-8")
