"""The automaton does what Lark does with the same grammar: the same tokens, the same children of every rule."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark, Token, Tree

from mialang.syntax.automaton import Stack, UnexpectedError
from mialang.syntax.grammar import TABLES, automaton, lex, soften, tables, with_lark

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("stdlib/**/*.mia"), *ROOT.glob("specs/**/*.mia"), *ROOT.glob("tests/good/*.mia")])
PIECES = ["a", "b.c", "1", "2.5", "3 %", '"t"', '"""d"""', "true", "not", "and", "in", "..", "==", "+", "-", "*", "(", ")",
          "[", "]", "{", "}", ",", "=", ":", "data", "param", "let", "require", "at 95 % confidence", "where", "import", "\n"]  # fmt: skip


@cache
def lark() -> Lark:
    """The same grammar, run by Lark."""
    return with_lark((ROOT / "mialang" / "syntax" / "mia.lark").read_text(encoding="utf-8"))


def by_lark(text: str) -> Any:
    """The tree that Lark makes; None where it refuses. Soft keywords are read as the parser reads them."""
    parser = lark().parse_interactive("", start="start")
    try:
        for token in lex(text):
            read = soften(token, parser.choices(), text)
            parser.feed_token(Token(read.type, str(read)))
        return plain(parser.feed_eof(Token("$END", "")))
    except Exception:  # noqa: BLE001 - whatever Lark refuses with
        return None


def by_automaton(text: str) -> Any:
    """The tree that the automaton makes; None where it refuses."""
    rules = automaton().rules
    stack = Stack(automaton(), lambda rule, children: (rules[rule].method, children))
    try:
        for token in lex(text):
            stack.feed(soften(token, automaton().states[stack.waiting], text))
        return plain(stack.feed(next(lex("a")).read_as("$END", "")))
    except UnexpectedError:
        return None


def plain(value: Any) -> Any:
    """A tree of either as tuples."""
    if isinstance(value, Tree):
        return (str(value.data), [plain(child) for child in value.children])
    if isinstance(value, tuple):
        return (value[0], [plain(child) for child in value[1]])
    return str(value)


def test_the_tables_kept_are_those_of_the_grammar() -> None:
    """Lark numbers states by chance, so tables are compared by what they are made of."""
    kept, made = (
        json.loads(text) for text in ((ROOT / "mialang" / "syntax" / TABLES).read_text(encoding="utf-8"), tables())
    )
    assert kept["stamp"] == made["stamp"], "run `python -m mialang.syntax`"
    for part in ("scanner", "words"):
        assert kept["tables"][part] == made["tables"][part]
    assert sorted(map(str, kept["tables"]["rules"])) == sorted(map(str, made["tables"]["rules"]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_become_the_trees_that_lark_makes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    made = by_automaton(text)
    assert made is not None
    assert made == by_lark(text)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_any_text_is_taken_or_refused_as_lark_does(text: str) -> None:
    assert by_automaton(text) == by_lark(text)
