"""What to say at a syntax error: a slip that is recognised, else the message of the waiting state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mialang.diagnostics import Diagnostic, error
from mialang.syntax.automaton import Stack
from mialang.syntax.grammar import automaton, lex, soften
from mialang.syntax.situation import Situation
from mialang.syntax.slips import PARTNER, SLIPS


@dataclass(frozen=True)
class Message:
    """The words for one waiting state."""

    title: str
    help: str


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
    finding = error("E0100", _fill(message.title, words), situation.place).help(_fill(message.help, words))
    if words["context"] and opened is not None and "{context}" in message.title:
        finding = finding.also(situation.span_of(opened), "opened here")
    return finding


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


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
    stack = Stack(automaton())
    for token in lex("" if sentence == "(nothing)" else sentence):
        stack.feed(soften(token, automaton().states[stack.waiting]))
    return stack.waiting


def message_for(state: int) -> Message:
    """The hand-written message for a waiting state."""
    return _messages()[state]
