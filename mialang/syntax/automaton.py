"""The automaton that parses: tables of an LALR(1) grammar and the stack that runs them.

Lark compiles the grammar; importing it takes longer than checking a spec, so running the tables is done here. What a
rule's children are follows Lark: a rule whose name begins with `_` hands its children to its parent, a rule marked `?`
vanishes where it has a single child, and terminals without a name of their own are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mialang.syntax.tokens import Token

Children = list[Any]
Build = Callable[[int, Children], Any]


class UnexpectedError(Exception):
    """A token that the waiting state does not take."""


@dataclass(frozen=True)
class Reduction:
    """What to do with the values on the stack where a rule is complete.

    Attributes:
        origin: the symbol that the rule makes.
        method: name of the callback that makes its value.
        size: how many values it takes off the stack.
        kept: places of the values that are children, and whether each is a rule that hands over its own children.
        whole: whether its children are just what it takes.
        spliced: whether its children go to its parent.
        collapses: whether a single child stands for it.
        passes: whether it takes nothing but that child.
    """

    origin: str
    method: str
    size: int
    kept: tuple[tuple[int, bool], ...]
    whole: bool
    spliced: bool
    collapses: bool
    passes: bool


@dataclass(frozen=True)
class Automaton:
    """The tables.

    Attributes:
        states: per state and symbol: the state to go to, or `-1 - n` to reduce by rule n.
        rules: the rules by number.
        start: the state before the first token.
        end: the state after a whole text.
        scanner: one regular expression per terminal in the order in which they are tried.
        words: the texts that are terminals of their own, read as names elsewhere.
    """

    states: Sequence[Mapping[str, int]]
    rules: Sequence[Reduction]
    start: int
    end: int
    scanner: Sequence[tuple[str, str]]
    words: Mapping[str, str]


class Stack:
    """A parse under way.

    Attributes:
        states: the states entered, the waiting one last.
        values: what was read, one value fewer than states.
    """

    def __init__(self, automaton: Automaton, build: Build | None = None) -> None:
        """Begin.

        Args:
            automaton: the tables.
            build: makes the value of rule n from its children; without it, values are not kept.
        """
        self._automaton = automaton
        self._build = build
        self.states = [automaton.start]
        self.values: list[Any] = []

    @property
    def waiting(self) -> int:
        """The state that waits for the next token."""
        return self.states[-1]

    def feed(self, token: Token) -> Any:
        """Take a token. Returns the value of the whole text for `$END`, else nothing.

        Raises:
            UnexpectedError: the waiting state does not take it; the rules completed before it stay reduced.
        """
        states, values = self.states, self.values
        table, rules = self._automaton.states, self._automaton.rules
        symbol = token.type
        while True:
            target = table[states[-1]].get(symbol)
            if target is None:
                raise UnexpectedError(symbol)
            if target >= 0:
                states.append(target)
                values.append(token)
                return None
            number = -1 - target
            rule = rules[number]
            if rule.passes:
                states.pop()
            elif size := rule.size:
                taken = values[-size:]
                del states[-size:], values[-size:]
                values.append(self._value(number, rule, taken))
            else:
                values.append(self._value(number, rule, []))
            states.append(table[states[-1]][rule.origin])
            if symbol == "$END" and states[-1] == self._automaton.end:
                return values[-1]

    def _value(self, number: int, rule: Reduction, taken: Children) -> Any:
        if self._build is None:
            return None
        if rule.whole and not (rule.spliced or rule.collapses):
            return self._build(number, taken)
        children: Children = []
        for place, spliced in rule.kept:
            value = taken[place]
            if not spliced:
                children.append(value)
            elif children:
                children += value
            else:
                children = value  # grown in place: a list of n entries is made in n steps
        if rule.spliced:
            return children
        if rule.collapses and len(children) == 1:
            return children[0]
        return self._build(number, children)
