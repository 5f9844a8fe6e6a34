"""Where the parser stood when a token did not fit: what slips are recognised by, and what messages are filled with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mialang.source import Source, Span
from mialang.syntax.grammar import automaton
from mialang.syntax.tokens import Token

RULE_OR_BRACKET = {"VERB", "LPAR", "LSQB", "LBRACE"}
EXPECTING = {"EQUAL", "COLON", "DOT", "UPTO", "PLUS", "MINUS", "TIMES", "COMPARE", "NOT", "AND", "OR", "IN", "AS", "AT",
             "WHERE", "BECAUSE", "VERB", "IMPORT", "LET", "PARAM"}  # fmt: skip


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
        start = self.token.start_pos
        if self.token.type == "$END":
            return Span(self.source, max(0, start - 1), start)
        return Span(self.source, start, self.token.end_pos or start)

    @property
    def place(self) -> Span:
        """Where to point: at the offending token, or at a sign that is left without what it needs at the end of its line."""
        previous = self.previous
        if previous is None or self.on_one_line(previous, self.token):
            return self.span
        wanting = previous.type in EXPECTING or self.accepts() == {"CONFIDENCE"}
        return self.span_of(previous) if wanting else self.span

    def on_one_line(self, first: Token, second: Token) -> bool:
        """Whether nothing breaks the line between two tokens."""
        return "\n" not in self.source.text[first.end_pos : second.start_pos]

    def adjacent(self, first: Token, second: Token) -> bool:
        """Whether two tokens stand without a space between them."""
        return first.end_pos == second.start_pos

    def last(self, number: int) -> tuple[Token, ...]:
        """The last tokens before the offending one; empty where there are fewer."""
        return self.before[-number:] if len(self.before) >= number else ()

    @property
    def found(self) -> str:
        """The offending token in words."""
        if self.token.type == "$END":
            return "the end of the file"
        text = str(self.token)
        return f"`{text if len(text) <= 24 else text[:20] + '…'}`".replace("\n", " ")

    def accepts(self) -> set[str]:
        """The terminals that the table allows in the waiting state."""
        return set(automaton().states[self.waiting])

    def in_rule(self) -> bool:
        """Whether the parser is in the condition of a rule and not inside a bracket opened there."""
        tokens = [value.type for value in self.values if isinstance(value, Token) and value.type in RULE_OR_BRACKET]
        return tokens[-1:] == ["VERB"]

    def span_of(self, token: Token) -> Span:
        """Where a token stands."""
        return Span(self.source, token.start_pos, token.end_pos)

    def opened(self) -> Token | None:
        """The innermost open bracket."""
        return self.brackets[-1] if self.brackets else None
