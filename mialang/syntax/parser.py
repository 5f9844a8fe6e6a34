"""From text to tree: an LALR(1) parser with recovery, so that one run reports every independent problem.

Recovery costs nothing on a good file. While parsing, one number is kept per open block: the height of the parser's
stack where an entry may start. After an error, tokens are dropped up to a line that starts an entry (or closes a
block), the stack is cut back to that height, and parsing goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error
from mialang.source import Source, Span
from mialang.syntax import tree
from mialang.syntax.automaton import Stack, UnexpectedError
from mialang.syntax.build import DEEPEST, Builder, TooDeep
from mialang.syntax.explain import explain
from mialang.syntax.grammar import automaton, lex, soften
from mialang.syntax.numbers import misread
from mialang.syntax.situation import Situation
from mialang.syntax.slips import CLOSING, named
from mialang.syntax.tokens import Token

ITEM_STARTS = {"NAME", "VERB", "IMPORT", "PARAM", "LET"}
OPENING = {"LBRACE", "LPAR", "LSQB"}
CLOSERS = {"}": "RBRACE", ")": "RPAR", "]": "RSQB"}
NUMBERS = {"INT", "NUMBER", "QUANTITY"}
NUMBER = re.compile(r"\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?")
MOST_FINDINGS = 50
MOST_PLACES = 3  # at which one mistake is shown beside the first
REMEMBERED = 4  # tokens before the offending one that slips are recognised by
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # characters that change the order in which text is shown


def parse(source: Source) -> tuple[tree.File | None, list[Diagnostic]]:
    """Parse a source.

    Returns the tree and no finding, or no tree and at least one finding.
    """
    if unreadable := _unreadable(source):
        return None, [unreadable]
    if not next(lex(source.text), None):
        span = Span(source, 0, 0)
        return None, [error("E0108", "this file says nothing", span).help("`mialang init` writes a first spec")]
    run = _Run(source)
    result = run.whole()
    return (None, run.found) if run.found else (result, [])


def _unreadable(source: Source) -> Diagnostic | None:
    if (odd := CONTROL.search(source.text)) is not None:
        span = Span(source, odd.start(), odd.end())
        return error("E0105", "this file is not text", span, f"the control character {named(odd[0])} stands here").help(
            "give the path of a `.mia` file; data files are named inside a spec, by a `data` block"
        )
    if (odd := TURNING.search(source.text)) is not None:
        span = Span(source, odd.start(), odd.end())
        return (
            error("E0101", f"{named(odd[0])} changes the order in which this line is shown", span)
            .note("a reader would see another spec than the one that runs")
            .help("remove the character; it cannot be seen, so type the line anew")
        )
    return None


class _Run:
    """One pass over a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.states = automaton().states
        self.stack = Stack(automaton(), Builder(source))
        self.found: list[Diagnostic] = []
        self.before: tuple[Token, ...] = ()  # the last tokens that the parser took
        self.brackets: list[Token] = []
        self.heights = [1]  # per open brace, outermost first: the stack's height where an entry may start
        self.skipping: int | None = None  # while recovering: how many braces may be open where parsing resumes

    def whole(self) -> tree.File | None:
        """Feed every token; return the tree if nothing was wrong."""
        result: tree.File | None = None
        for token in self._tokens():
            if len(self.found) >= MOST_FINDINGS:
                break
            if self.skipping is not None:
                if not self._can_resume(token):
                    self._track(token)
                    self.skipping = min(self.skipping, len(self.heights) - 1)
                    continue
                self._resume()
            result = self._feed(token)
            if self.skipping is not None and self._can_resume(token) and token.type != "$END":
                self._resume()
                if not self._fits(token):
                    self.skipping = len(self.heights) - 1
                    self._track(token)
                    continue
                self._feed(token)
        return result

    def _tokens(self) -> Iterator[Token]:
        yield from lex(self.source.text)
        end = len(self.source.text.rstrip())
        yield Token("$END", "", end, end)

    def _fits(self, token: Token) -> bool:
        accepted = self.states[self.stack.waiting]
        return soften(token, accepted, self.source.text).type in accepted

    def _feed(self, token: Token) -> tree.File | None:
        """Give the parser one token; on an error record the finding and start skipping."""
        waiting = self.stack.waiting
        accepted = self.states[waiting]
        token = soften(token, accepted, self.source.text)
        if token.type == "UNCLOSED" and "STRING" in accepted:
            self._close_text(token)
            return None
        if token.type == "STRING":
            self._check_escapes(token)
        if token.type in NUMBERS:
            token = self._checked_number(token)
        starts_entry = token.type in ITEM_STARTS and "VERB" in accepted
        result = None
        try:
            result = self.stack.feed(token)
        except (UnexpectedError, TooDeep) as problem:
            self.found.append(self._finding(token, waiting, problem))
            self.skipping = len(self.heights) - 1
            if token.type in CLOSING and self._can_resume(token):
                return None
        else:
            if starts_entry:
                self.heights[-1] = len(self.stack.states) - 1
        self._track(token)
        if self.skipping is not None:
            self.skipping = min(self.skipping, len(self.heights) - 1)
        self.before = (*self.before[1 - REMEMBERED :], token)
        return result

    def _situation(self, token: Token, waiting: int) -> Situation:
        values = tuple(self.stack.values)
        return Situation(self.source, token, self.before, tuple(self.brackets), waiting, values)

    def _finding(self, token: Token, waiting: int, problem: UnexpectedError | TooDeep) -> Diagnostic:
        if isinstance(problem, TooDeep):
            span = Span(self.source, problem.span.start, problem.span.start + 1)
            title = f"this is nested more than {DEEPEST} levels deep"
            return error("E0106", title, span, "more than that begin here").help(
                "name a part of it with `let` and use the name"
            )
        return explain(self._situation(token, waiting))

    def _close_text(self, token: Token) -> None:
        """Report an unclosed text, then go on as if its quote stood before the brackets that end the line."""
        self.found.append(explain(self._situation(token, self.stack.waiting)))
        start = token.start_pos
        text = str(token).rstrip()
        end = start + len(text) - self._brackets_at_end(text)
        self._feed(Token("STRING", '""', start, end))
        for place in range(end, start + len(text)):
            if self.skipping is None and not (sign := self.source.text[place]).isspace():
                self._feed(Token("LBRACE" if sign == "{" else CLOSERS[sign], sign, place, place + 1))

    def _brackets_at_end(self, text: str) -> int:
        """How many characters at the end of an unclosed text open a block, or close what is open."""
        if text.endswith("{"):
            return 1
        tail = re.search(r"[\s})\]]*$", text)
        assert tail is not None  # it may be empty
        signs = tail[0]
        while signs:
            closing = [CLOSERS[sign] for sign in signs if not sign.isspace()]
            opened = [bracket.type for bracket in reversed(self.brackets)]
            if [CLOSING[each] for each in closing] == opened[: len(closing)]:
                return len(signs)
            signs = signs[1:]
        return 0

    def _checked_number(self, token: Token) -> Token:
        """Report a number that is none, or that is not meant as it stands; a plain zero stands in for it."""
        number = NUMBER.match(str(token))
        assert number is not None, token
        problem = misread(number[0])
        if problem is None:
            return token
        title, help_ = problem
        span = Span(self.source, token.start_pos, token.start_pos + len(number[0]))
        self.found.append(error("E0114", title, span).help(help_))
        return token.read_as(token.type, "0" + str(token)[len(number[0]) :])

    def _check_escapes(self, token: Token) -> None:
        odd = [found for found in re.finditer(r"\\(.)", str(token)) if found[1] not in 'nt"\\']
        if not odd:
            return
        spans = [Span(self.source, start, start + 2) for start in (token.start_pos + each.start() for each in odd)]
        finding = error("E0104", f"`{odd[0][0]}` is not an escape", spans[0], "a backslash has a meaning inside quotes")
        for span in spans[1 : 1 + MOST_PLACES]:
            finding = finding.also(span, "and here")
        self.found.append(finding.help(r"write `\\` for a backslash; `\n`, `\t` and `\"` are the other escapes"))

    def _track(self, token: Token) -> None:
        """Keep the open brackets, and per open brace the height at which its first entry may start."""
        if token.type in OPENING:
            self.brackets.append(token)
            if token.type == "LBRACE":
                self.heights.append(len(self.stack.states))
        elif token.type in CLOSING and any(bracket.type == CLOSING[token.type] for bracket in self.brackets):
            while True:
                closed = self.brackets.pop()
                if closed.type == "LBRACE":
                    self.heights.pop()
                if closed.type == CLOSING[token.type]:
                    return

    def _can_resume(self, token: Token) -> bool:
        """Whether a token begins a line with an entry or a closing brace, no deeper than where the error was."""
        if token.type == "$END":
            return True
        start = token.start_pos
        first = not self.source.text[self.source.text.rfind("\n", 0, start) + 1 : start].strip()
        deep_enough = self.skipping is not None and len(self.heights) - 1 <= self.skipping
        return (
            first and deep_enough and (token.type in ITEM_STARTS or (token.type == "RBRACE" and len(self.heights) > 1))
        )

    def _resume(self) -> None:
        """Cut the parser back to where an entry may start in the innermost open block."""
        height = self.heights[-1]
        del self.stack.states[height:]
        del self.stack.values[height - 1 :]
        while self.brackets and self.brackets[-1].type != "LBRACE":
            self.brackets.pop()
        self.skipping = None
        self.before = ()
