"""The core serves every modality alike: nothing below the operators knows one by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mialang
from mialang.meaning.library import standard_library

ROOT = Path(mialang.__file__).parent
ROOMS = ("syntax", "meaning", "threat", "plan", "engine")
DECLARED = re.compile(r"^  modality = (\w+)$", re.MULTILINE)
MODALITIES = frozenset(
    name for path in standard_library().rglob("*.mia") for name in DECLARED.findall(path.read_text())
)
# A word of its own (`image`, `images`), a module (`std.image`, `image.Digits`), or part of an identifier (`image_size`). Two of
# the names are also plain words: a spec has a text and a plan is a graph, so alone these say nothing about a modality.
PLAIN = frozenset({"text", "graph"})


def _patterns() -> Iterator[str]:
    for name in MODALITIES:
        yield rf"\bstd\.{name}\b"
        yield rf"\b{name}\.[A-Z]\w*"
        yield rf"\boperators[./]{name}\b"
        if name not in PLAIN:
            yield rf"{name}"


NAMED = re.compile("|".join(_patterns()), re.IGNORECASE)


def mentions(source: str) -> Iterator[str]:
    """Constants, names and imports that mention a modality; and comparisons with one, whatever the word.

    Doc strings may give examples.
    """
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as word) if NAMED.search(word) and id(node) not in docs:
                yield word
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) if NAMED.search(word):
                yield word
            case ast.ImportFrom(module=str() as word) if NAMED.search(word):
                yield word
            case ast.Compare(comparators=comparators):
                values = [each for one in comparators for each in ast.walk(one) if isinstance(each, ast.Constant)]
                yield from (each.value for each in values if each.value in MODALITIES)
            case ast.MatchValue(value=ast.Constant(value=str() as word)) if word in MODALITIES:
                yield word


def test_the_library_names_its_modalities() -> None:
    assert {"image", "text", "graph"} <= MODALITIES


@pytest.mark.parametrize(
    "path", [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))], ids=lambda path: path.name
)
def test_the_core_mentions_no_modality(path: Path) -> None:
    assert list(mentions(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line", ['x = "std.text"', 'if m == "graph": pass', "from mialang.operators.text import a", "image_size = 1"]
)
def test_a_mention_is_found(line: str) -> None:
    assert list(mentions(line))
