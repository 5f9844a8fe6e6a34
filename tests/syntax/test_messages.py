"""Every state in which the parser waits for a token has exactly one hand-written message."""

from __future__ import annotations

import heapq

import pytest

from mialang.source import Source
from mialang.syntax import parse
from mialang.syntax.explain import entries, message_for, state_after
from mialang.syntax.grammar import automaton


def waiting_states() -> set[int]:
    """The states that the parser can be in when it asks for the next token: the start, and after each shifted token."""
    table = automaton()
    reached, pending = {table.start}, [table.start]
    waiting = {table.start}
    while pending:
        state = heapq.heappop(pending)
        for symbol, target in table.states[state].items():
            if target < 0 or target == table.end:
                continue
            if symbol.isupper():
                waiting.add(target)
            if target not in reached:
                reached.add(target)
                heapq.heappush(pending, target)
    return waiting


def test_no_waiting_state_lacks_a_message() -> None:
    covered = {state_after(sentence) for sentences, _ in entries() for sentence in sentences}
    assert waiting_states() <= covered


def test_no_state_has_two_messages() -> None:
    seen: dict[int, str] = {}
    for sentences, message in entries():
        for sentence in sentences:
            assert seen.setdefault(state_after(sentence), message.title) == message.title, sentence


@pytest.mark.parametrize("sentences", [sentences for sentences, _ in entries()], ids=lambda value: value[0])
def test_each_beginning_followed_by_nonsense_is_explained(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        beginning = "" if sentence == "(nothing)" else sentence
        for nonsense in ("not", "..", "]", "as", "confidence !", "1 2"):
            tree, found = parse(Source("x.mia", f"{beginning}\n{nonsense}"))
            assert (tree is None) == bool(found)
            for finding in found:
                assert "{" not in finding.title.replace("`{", ""), finding.title
                assert finding.helps, finding.title
    assert message_for(state_after(sentences[0])).title
