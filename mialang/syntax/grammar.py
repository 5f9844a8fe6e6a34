"""The compiled grammar: terminals and the tables of the parser.

Lark compiles the grammar, which takes longer than checking a spec, so the tables are kept beside it in
`mia.tables.json`. They are used only if they were made from the same grammar; otherwise the grammar is compiled anew.
After changing the grammar, `python -m mialang.syntax` writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mialang.syntax.automaton import Automaton, Reduction
from mialang.syntax.tokens import Token

if TYPE_CHECKING:
    from lark import Lark
    from lark.grammar import Rule

SOFT_KEYWORDS = {"AT", "CONFIDENCE", "MIA"}
BEFORE_NUMBER = re.compile(r"\s+\d")
IGNORED = {"WHITESPACE", "COMMENT"}
TABLES = "mia.tables.json"
LAYOUT = 2  # of the tables; raised where their form changes


def _text(name: str) -> str:
    return (files("mialang.syntax") / name).read_text(encoding="utf-8")


def _stamp(grammar_text: str) -> str:
    return f"{LAYOUT} {hashlib.sha256(grammar_text.encode()).hexdigest()}"


@cache
def automaton() -> Automaton:
    """The tables of `mia.lark`, as kept where they are current."""
    text = _text("mia.lark")
    try:
        kept = json.loads(_text(TABLES))
    except (OSError, ValueError):
        kept = {}
    tables = kept["tables"] if kept.get("stamp") == _stamp(text) else compiled(text)
    return Automaton(
        states=tables["states"],
        rules=[
            Reduction(origin, method, size, tuple((place, inner) for place, inner in kept), *flags)
            for origin, method, size, kept, *flags in tables["rules"]
        ],
        start=tables["start"],
        end=tables["end"],
        scanner=[(name, pattern) for name, pattern in tables["scanner"]],
        words=tables["words"],
    )


def with_lark(text: str) -> Lark:
    """Compile a grammar with Lark."""
    from lark import Lark  # noqa: PLC0415 - slow, and needed only where the tables are not current

    return Lark(text, parser="lalr", lexer="basic", start=["start", "not_a_program"], maybe_placeholders=False)


def compiled(text: str) -> dict[str, Any]:
    """Compile a grammar to tables, as JSON."""
    from lark.lexer import PatternStr  # noqa: PLC0415 - as above
    from lark.parsers.lalr_analysis import Shift  # noqa: PLC0415 - as above

    lark = with_lark(text)
    table = lark.parser.parser._parse_table  # noqa: SLF001 - lark offers no public way
    numbers = {rule: number for number, rule in enumerate(lark.rules)}
    terminals = sorted(
        lark.terminals,
        key=lambda each: (-each.priority, -each.pattern.max_width, -len(each.pattern.value), each.name),
    )
    return {
        "states": [
            {
                symbol: target if action is Shift else -1 - numbers[target]
                for symbol, (action, target) in sorted(table.states[state].items())
            }
            for state in range(len(table.states))
        ],
        "rules": [_reduction(rule) for rule in lark.rules],
        "start": table.start_states["start"],
        "end": table.end_states["start"],
        "scanner": [[each.name, each.pattern.to_regexp()] for each in terminals],
        "words": {
            each.pattern.value: each.name
            for each in terminals
            if isinstance(each.pattern, PatternStr) and each.name in SOFT_KEYWORDS
        },
    }


def _reduction(rule: Rule) -> list[Any]:
    """What `Reduction` holds of a rule: origin, method, size, kept, whole, spliced, collapses, passes."""
    from lark.grammar import Terminal  # noqa: PLC0415 - as above

    kept = [
        [place, not symbol.is_term and symbol.name.startswith("_")]
        for place, symbol in enumerate(rule.expansion)
        if not (isinstance(symbol, Terminal) and symbol.filter_out)
    ]
    size = len(rule.expansion)
    whole = len(kept) == size and not any(spliced for _, spliced in kept)
    collapses = bool(rule.options.expand1) and not rule.alias
    return [
        rule.origin.name,
        rule.alias or rule.origin.name,
        size,
        kept,
        whole,
        rule.origin.name.startswith("_"),
        collapses,
        collapses and whole and size == 1,
    ]


def tables() -> str:
    """The tables of the grammar as JSON, with a stamp that says what they were made from."""
    text = _text("mia.lark")
    made = {"stamp": _stamp(text), "tables": compiled(text)}
    return json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n"


@cache
def _scanner() -> re.Pattern[str]:
    """One pattern for all terminals, tried in Lark's order."""
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in automaton().scanner))


def lex(text: str, *, everything: bool = False) -> Iterator[Token]:
    """Cut any text into tokens. Never fails: what means nothing becomes `UNKNOWN` and its like.

    Args:
        text: what to cut.
        everything: keep comments and white space too.
    """
    words = automaton().words
    for found in _scanner().finditer(text):
        kind = found.lastgroup or "UNKNOWN"
        if kind in IGNORED and not everything:
            continue
        value = found[0]
        if kind == "NAME":
            kind = words.get(value, kind)
        yield Token(kind, value, found.start(), found.end())


def significant(text: str) -> list[tuple[str, str]]:
    """The tokens that carry meaning, comments included: what a formatter must keep."""
    return [(token.type, str(token)) for token in lex(text, everything=True) if token.type != "WHITESPACE"]


def soften(token: Token, accepted: Container[str], text: str = "") -> Token:
    """Read a soft keyword as a plain name where the parser does not wait for it.

    `at` and `mia` are keywords only before a number, so `text`, the whole source, is looked at where it is given.
    """
    if token.type not in SOFT_KEYWORDS:
        return token
    if token.type in accepted and (token.type == "CONFIDENCE" or not text or BEFORE_NUMBER.match(text, token.end_pos)):
        return token
    return token.read_as("NAME")
