"""The compiled grammar: tokens and the parse table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from lark import Lark, Token
from lark.parse_tree_builder import ParseTreeBuilder
from lark.parsers.lalr_analysis import ParseTableBase
from lark.tree import Tree

SOFT_KEYWORDS = {"AT", "CONFIDENCE", "MIA"}
BEFORE_NUMBER = re.compile(r"\s+\d")


@cache
def grammar() -> Lark:
    """The grammar of `mia.lark`, compiled."""
    text = (files("mialang.syntax") / "mia.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer="basic", start=["start", "not_a_program"], maybe_placeholders=False)


@cache
def parse_table() -> ParseTableBase[int]:
    """The LALR(1) table: `states[state][symbol] -> (action, target)`."""
    table: ParseTableBase[int] = grammar().parser.parser._parse_table  # noqa: SLF001 - lark offers no public way
    return table


@cache
def tree_builder() -> ParseTreeBuilder:
    """What turns methods named after rules into callbacks of the parser."""
    return ParseTreeBuilder(grammar().rules, Tree, False, False, False)  # type: ignore[no-untyped-call]


def lex(text: str, *, everything: bool = False) -> Iterator[Token]:
    """Cut any text into tokens. Never fails: what means nothing becomes `UNKNOWN` and its like.

    Args:
        text: what to cut.
        everything: keep comments and white space too.
    """
    return grammar().lex(text, dont_ignore=everything) if text else iter(())


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
