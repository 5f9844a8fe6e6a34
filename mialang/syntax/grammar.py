"""The compiled grammar: tokens and the parse table.

Compiling the grammar takes longer than checking a spec, so its tables are kept beside it in `mia.tables.json`. They
are used only if they were made from the same grammar by the same version of Lark; otherwise the grammar is compiled.
After changing the grammar, `python -m mialang.syntax` writes them anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import lark
from lark import Lark, Token
from lark.grammar import Rule
from lark.lexer import PatternStr, TerminalDef
from lark.parse_tree_builder import ParseTreeBuilder
from lark.parsers.lalr_analysis import ParseTableBase
from lark.tree import Tree

SOFT_KEYWORDS = {"AT", "CONFIDENCE", "MIA"}
BEFORE_NUMBER = re.compile(r"\s+\d")
IGNORED = {"WHITESPACE", "COMMENT"}
TABLES = "mia.tables.json"


def _text(name: str) -> str:
    return (files("mialang.syntax") / name).read_text(encoding="utf-8")


def _stamp(grammar_text: str) -> dict[str, str]:
    return {"grammar": hashlib.sha256(grammar_text.encode()).hexdigest(), "lark": lark.__version__}


@cache
def grammar() -> Lark:
    """The grammar of `mia.lark`, from its tables where they are current."""
    text = _text("mia.lark")
    try:
        kept = json.loads(_text(TABLES))
    except (OSError, ValueError):
        kept = {}
    if kept.get("stamp") == _stamp(text):
        return Lark.__new__(Lark)._load(_with_numbers(kept["tables"]))  # noqa: SLF001 - as Lark's own stand-alone parsers do
    return compiled(text)


def compiled(text: str) -> Lark:
    """Compile a grammar."""
    return Lark(text, parser="lalr", lexer="basic", start=["start", "not_a_program"], maybe_placeholders=False)


def tables() -> str:
    """The tables of the grammar as JSON, with a stamp that says what they were made from."""
    text = _text("mia.lark")
    data, memo = compiled(text).memo_serialize([TerminalDef, Rule])
    return (
        json.dumps(
            {"stamp": _stamp(text), "tables": {"data": data, "memo": memo}}, separators=(",", ":"), sort_keys=True
        )
        + "\n"
    )


def _with_numbers(value: Any) -> Any:
    """JSON turns numbers that are keys into texts; turn them back."""
    if isinstance(value, dict):
        return {int(key) if key.isdigit() else key: _with_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    return value


@cache
def parse_table() -> ParseTableBase[int]:
    """The LALR(1) table: `states[state][symbol] -> (action, target)`."""
    table: ParseTableBase[int] = grammar().parser.parser._parse_table  # noqa: SLF001 - lark offers no public way
    return table


@cache
def tree_builder() -> ParseTreeBuilder:
    """What turns methods named after rules into callbacks of the parser."""
    return ParseTreeBuilder(grammar().rules, Tree, False, False, False)  # type: ignore[no-untyped-call]


@cache
def _scanner() -> tuple[re.Pattern[str], dict[str, str]]:
    """One pattern for all terminals, tried in Lark's order; and the words that would be names otherwise."""
    terminals = sorted(
        grammar().terminals,
        key=lambda each: (-each.priority, -each.pattern.max_width, -len(each.pattern.value), each.name),
    )
    pattern = "|".join(f"(?P<{each.name}>{each.pattern.to_regexp()})" for each in terminals)
    return re.compile(pattern), {
        each.pattern.value: each.name
        for each in terminals
        if isinstance(each.pattern, PatternStr) and each.name in SOFT_KEYWORDS
    }


def lex(text: str, *, everything: bool = False) -> Iterator[Token]:
    """Cut any text into tokens. Never fails: what means nothing becomes `UNKNOWN` and its like.

    Args:
        text: what to cut.
        everything: keep comments and white space too.
    """
    pattern, words = _scanner()
    for found in pattern.finditer(text):
        kind = found.lastgroup or "UNKNOWN"
        if kind in IGNORED and not everything:
            continue
        value = found.group()
        if kind == "NAME":
            kind = words.get(value, kind)
        yield Token(kind, value, found.start(), end_pos=found.end())


def significant(text: str) -> list[tuple[str, str]]:
    """The tokens that carry meaning, comments included: what a formatter must keep."""
    return [(token.type, str(token)) for token in lex(text, everything=True) if token.type != "WHITESPACE"]


def soften(token: Token, state: int, text: str = "") -> Token:
    """Read a soft keyword as a plain name where the parser does not wait for it.

    `at` and `mia` are keywords only before a number, so `text`, the whole source, is looked at where it is given.
    """
    if token.type not in SOFT_KEYWORDS:
        return token
    waited_for = token.type in parse_table().states[state]
    if waited_for and (token.type == "CONFIDENCE" or not text or BEFORE_NUMBER.match(text, token.end_pos or 0)):
        return token
    return Token.new_borrow_pos("NAME", str(token), token)
