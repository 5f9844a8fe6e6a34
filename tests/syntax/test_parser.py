"""The text side is total: any text gives a tree or findings, never an exception, and time grows linearly."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.diagnostics.render import as_json, as_text
from mialang.source import Source
from mialang.syntax import parse, tree
from mialang.syntax.grammar import lex
from tests.strategies import programs, soup


def check_total(text: str) -> None:
    source = Source("x.mia", text)
    parsed, found = parse(source)
    assert (parsed is None) == bool(found)
    for finding in found:
        assert finding.primary is not None
        assert 0 <= finding.primary.span.start <= finding.primary.span.end <= len(text) + 1
        assert finding.title in as_text(finding)
        assert as_json(finding)["at"]["line"] >= 1


@given(st.text(max_size=80))
def test_any_text_is_answered(text: str) -> None:
    check_total(text)


@settings(max_examples=400)
@given(soup)
def test_any_heap_of_tokens_is_answered(text: str) -> None:
    check_total(text)


@given(st.text(max_size=80))
def test_the_lexer_loses_nothing(text: str) -> None:
    assert "".join(lex(text, everything=True)) == text


@settings(max_examples=200)
@given(programs)
def test_programs_parse_and_every_node_spans_its_text(text: str) -> None:
    source = Source("x.mia", text)
    parsed, found = parse(source)
    assert parsed is not None, [as_text(finding) for finding in found]
    for node in tree.walk(parsed):
        assert 0 <= node.span.start <= node.span.end <= len(text)
        if isinstance(node, tree.Name):
            assert node.span.text == node.text


BROKEN = """
target victim : image.Classifier {
  model  image.lenet()
  epochs 20
  trained = secret
}

attack gmi : GMI {
  latent = (100, 3
  steps  = 1_500
}

gate "private digits stay private {
  require leak.top1 = 0.1
  require 0 <= leak.top1 <= 10 %
  warn leak.top5 <= 40 % ?
}

let x = "\\q"
budget { time = 2 h
"""


def test_one_run_reports_every_independent_problem() -> None:
    _, found = parse(Source("x.mia", BROKEN))
    assert [(finding.code, finding.primary.span.place()) for finding in found if finding.primary] == [
        ("E0110", "x.mia:3:10"),
        ("E0110", "x.mia:4:10"),
        ("E0113", "x.mia:9:16"),
        ("E0102", "x.mia:13:6"),
        ("E0111", "x.mia:14:21"),
        ("E0112", "x.mia:15:26"),
        ("E0101", "x.mia:16:26"),
        ("E0104", "x.mia:19:10"),
        ("E0103", "x.mia:20:19"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "E0108"), (" \n# nothing\n", "E0108"), ("\x00\x01PNG", "E0105"), ("let x = " + "(" * 500, "E0103"),
     ("let x = " + "-" * 300 + "1", "E0106"), ("let x = " + "[" * 200 + "]" * 200, "E0106"), ("}", "E0103"),
     ("data let { }", "E0107"), ('let x = """abc', "E0102"), ("let x = (1]", "E0103")],
)  # fmt: skip
def test_hostile_files_get_a_finding(text: str, code: str) -> None:
    _, found = parse(Source("x.mia", text))
    assert code in {finding.code for finding in found}


def test_strings_resolve_their_escapes() -> None:
    parsed, _ = parse(Source("x.mia", r'let x = "a\n\t\"\\b"'))
    assert parsed is not None
    (let,) = parsed.items
    assert isinstance(let, tree.Let)
    assert let.value == tree.String(let.span, 'a\n\t"\\b')


def test_time_grows_linearly() -> None:
    entry = 'data d : image.Digits {\n  split = "train"\n  classes = 0..4\n}\n'

    def seconds(copies: int) -> float:
        source = Source("x.mia", entry * copies)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            parsed, _ = parse(source)
            best = min(best, time.perf_counter() - start)
            assert parsed is not None
        return best

    seconds(10)
    assert seconds(800) < 8 * seconds(200)


@pytest.mark.parametrize(("written", "meant"), [("=", "=="), ("=<", "<="), ("=>", ">=")])
def test_a_comparison_that_is_written_the_wrong_way_is_turned_round(written: str, meant: str) -> None:
    _, found = parse(Source("x.mia", f'mia 1\ngate "g" {{ require leak.top1 {written} 3 % }}\n'))
    assert [each.code for each in found] == ["E0111"]
    assert f"write `{meant}`" in found[0].helps
