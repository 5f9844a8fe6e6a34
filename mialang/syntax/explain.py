"""What to say at a syntax error: a message for every waiting state, and a few slips worth a sentence of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Token

from mialang.diagnostics import Diagnostic, error
from mialang.source import Source, Span
from mialang.syntax.grammar import grammar, lex, parse_table, soften

VALUES = {"INT", "NUMBER", "QUANTITY", "TRUE", "FALSE", "LSQB", "STRING", "MINUS"}
KEYWORDS = {"IMPORT", "PARAM", "LET", "VERB", "NOT", "TRUE", "FALSE", "AS", "WHERE", "BECAUSE", "AND", "OR", "IN"}
RULE_OR_BRACKET = {"VERB", "LPAR", "LSQB", "LBRACE"}
PARTNER = {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}


@dataclass(frozen=True)
class Message:
    """The words for one waiting state."""

    title: str
    help: str


@dataclass(frozen=True)
class Situation:
    """Where the parser stood when a token did not fit."""

    source: Source
    token: Token
    before: tuple[Token, ...]
    brackets: tuple[Token, ...]
    waiting: int
    values: tuple[Any, ...]

    @property
    def previous(self) -> Token | None:
        """The token before the offending one, if the parser took it."""
        return self.before[-1] if self.before else None

    @property
    def span(self) -> Span:
        """The offending token; at the end of the file, the last character."""
        start = self.token.start_pos or 0
        if self.token.type == "$END":
            return Span(self.source, max(0, start - 1), start)
        return Span(self.source, start, self.token.end_pos or start)

    @property
    def found(self) -> str:
        """The offending token in words."""
        if self.token.type == "$END":
            return "the end of the file"
        text = str(self.token)
        return f"`{text if len(text) <= 24 else text[:20] + '…'}`".replace("\n", " ")

    def accepts(self) -> set[str]:
        """The terminals that the table allows in the waiting state."""
        return set(parse_table().states[self.waiting])

    def in_rule(self) -> bool:
        """Whether the parser is in the condition of a rule and not inside a bracket opened there."""
        tokens = [value.type for value in self.values if isinstance(value, Token) and value.type in RULE_OR_BRACKET]
        return tokens[-1:] == ["VERB"]

    def opened(self) -> Token | None:
        """The innermost open bracket."""
        return self.brackets[-1] if self.brackets else None


def explain(situation: Situation) -> Diagnostic:
    """Return the finding for a token that does not fit."""
    for slip in SLIPS:
        if finding := slip(situation):
            return finding
    message = message_for(situation.waiting)
    words = {
        "found": situation.found,
        "previous": str(situation.previous) if situation.previous is not None else "",
        "name": str(situation.previous) if situation.previous is not None else "",
        "context": "",
        "separate": "put the next entry on a new line, or an operator between two values",
    }
    opened = situation.opened()
    if opened is not None and opened.type in ("LPAR", "LSQB"):
        words["context"] = f" inside `{opened}`"
        words["separate"] = f"separate items with commas, or close the bracket with `{PARTNER[opened.type]}`"
    finding = error("E0100", _fill(message.title, words), situation.span).help(_fill(message.help, words))
    if words["context"] and opened is not None and "{context}" in message.title:
        finding = finding.also(_span(situation, opened), "opened here")
    return finding


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _span(situation: Situation, token: Token) -> Span:
    return Span(situation.source, token.start_pos or 0, token.end_pos or 0)


def _unclosed(situation: Situation) -> Diagnostic | None:
    if situation.token.type == "UNCLOSED":
        return error("E0102", "this text is never closed", situation.span, "the quote opens here").help(
            'add a closing `"` on the same line; longer texts stand between `"""`'
        )
    if situation.token.type == "UNCLOSED_DOC":
        start = situation.span.start
        span = Span(situation.source, start, start + 3)
        return error("E0102", "this doc string is never closed", span, "it opens here").help('add a closing `"""`')
    return None


def _unknown(situation: Situation) -> Diagnostic | None:
    if situation.token.type != "UNKNOWN":
        return None
    hints = {
        "'": 'text stands between double quotes: `"…"`',
        ";": "entries need no semicolon: end the line instead",
        "&": "write `and`",
        "|": "write `or`",
        "!": "write `not`, or `!=`",
        "$": "names are written as they are, without `$`",
        "^": "powers are not part of the language",
    }
    finding = error("E0101", f"{situation.found} means nothing in a spec", situation.span)
    return finding.help(hints.get(str(situation.token), "remove it; comments start with `#`"))


def _end_inside(situation: Situation) -> Diagnostic | None:
    opened = situation.opened()
    if situation.token.type != "$END" or opened is None:
        return None
    return (
        error("E0103", f"the file ends while `{opened}` is still open", situation.span, "the file ends here")
        .also(_span(situation, opened), "opened here")
        .help(f"add the missing `{PARTNER[opened.type]}`")
    )


def _stray_bracket(situation: Situation) -> Diagnostic | None:
    closing = {"RBRACE": "LBRACE", "RPAR": "LPAR", "RSQB": "LSQB"}
    if situation.token.type not in closing:
        return None
    opened = situation.opened()
    if opened is not None and opened.type == closing[situation.token.type]:
        return None
    if opened is None:
        return error("E0103", f"{situation.found} closes nothing", situation.span, "no bracket is open here").help(
            "remove it, or open the bracket that it should close"
        )
    return (
        error(
            "E0103", f"{situation.found} closes `{opened}`", situation.span, f"expected `{PARTNER[opened.type]}` first"
        )
        .also(_span(situation, opened), "opened here")
        .help(f"close `{opened}` with `{PARTNER[opened.type]}`")
    )


def _keyword_as_name(situation: Situation) -> Diagnostic | None:
    accepted = situation.accepts()
    if situation.token.type in KEYWORDS and "NAME" in accepted and not accepted & {"INT", "VERB"}:
        return error(
            "E0107", f"{situation.found} is a word of the language", situation.span, "a name is needed here"
        ).help("choose another name")
    return None


def _missing_equals(situation: Situation) -> Diagnostic | None:
    if situation.token.type in VALUES and situation.previous is not None and situation.previous.type == "NAME":
        accepted = situation.accepts()
        if "EQUAL" in accepted and "LBRACE" in accepted:
            name, value = situation.previous, situation.token
            return error("E0110", f"`{name}` has a value but no `=`", situation.span, "the value starts here").help(
                f"write `{name} = {value} …`" if value.type == "LSQB" else f"write `{name} = {value}`"
            )
    if situation.token.type in {"DOT", "LPAR", "LSQB"} and len(situation.before) > 1:
        name, start = situation.before[-2:]
        if (name.type, start.type) == ("NAME", "NAME") and situation.accepts() >= {"COLON", "LBRACE"}:
            span = Span(situation.source, start.start_pos or 0, situation.span.end)
            return error("E0110", f"`{name}` has a value but no `=`", span, "the value starts here").help(
                f"write `{name} = {start}{situation.token}…`"
            )
    return None


def _single_equals(situation: Situation) -> Diagnostic | None:
    if situation.token.type == "EQUAL" and "COMPARE" in situation.accepts() and situation.in_rule():
        return error("E0111", "`=` gives a value; here two values are compared", situation.span).help("write `==`")
    return None


def _listed(situation: Situation) -> Diagnostic | None:
    opened = situation.opened()
    if situation.token.type != "COMMA" or opened is None or opened.type != "LPAR":
        return None
    before = situation.source.text[: opened.start_pos].rstrip()[-1:]
    if before.isalnum() or before in ("_", ")", "]"):
        return None
    return (
        error("E0113", "parentheses group one value", situation.span, "a second value would start here")
        .also(_span(situation, opened), "opened here")
        .help("write a list in square brackets: `[a, b]`")
    )


def _chained(situation: Situation) -> Diagnostic | None:
    if situation.token.type != "COMPARE" or "COMPARE" not in situation.accepts():
        return None
    return error("E0112", "comparisons do not chain", situation.span, "the second comparison").help(
        "join two comparisons with `and`: `0 <= x and x <= 1`"
    )


SLIPS = (
    _unclosed,
    _unknown,
    _end_inside,
    _stray_bracket,
    _keyword_as_name,
    _missing_equals,
    _single_equals,
    _listed,
    _chained,
)


@cache
def entries() -> tuple[tuple[tuple[str, ...], Message], ...]:
    """The entries of `messages.txt`: example beginnings and the message for the states they lead to."""
    text = (files("mialang.syntax") / "messages.txt").read_text(encoding="utf-8")
    return tuple(_entries(text))


def _entries(text: str) -> Iterator[tuple[tuple[str, ...], Message]]:
    sentences: list[str] = []
    title = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("> "):
            title = line[2:]
        elif line.startswith("= "):
            yield tuple(sentences), Message(title, line[2:])
            sentences = []
        else:
            sentences.append(line)


@cache
def _messages() -> dict[int, Message]:
    found: dict[int, Message] = {}
    for sentences, message in entries():
        for sentence in sentences:
            found[state_after(sentence)] = message
    return found


def state_after(sentence: str) -> int:
    """The waiting state that a beginning of a file leads to."""
    parser: Any = grammar().parse_interactive("", start="start")
    for token in lex("" if sentence == "(nothing)" else sentence):
        parser.feed_token(soften(token, parser.parser_state.position))
    position: int = parser.parser_state.position
    return position


def message_for(state: int) -> Message:
    """The hand-written message for a waiting state."""
    return _messages()[state]
