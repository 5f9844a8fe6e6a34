"""The formatter changes white space and nothing else, and changes nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from mialang.source import Source
from mialang.syntax import parse
from mialang.syntax.format import format_text
from mialang.syntax.grammar import significant
from tests.strategies import programs

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("stdlib/**/*.mia"), *ROOT.glob("specs/**/*.mia"), *ROOT.glob("tests/good/**/*.mia")])


def check(text: str) -> None:
    laid_out = format_text(text)
    assert significant(laid_out) == significant(text)
    assert parse(Source("a", laid_out)) == parse(Source("b", text))
    assert format_text(laid_out) == laid_out


@settings(max_examples=400)
@given(programs)
def test_tokens_and_tree_survive_and_twice_is_once(text: str) -> None:
    check(text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_shipped_is_laid_out(path: Path) -> None:
    text = path.read_text()
    check(text)
    assert format_text(text) == text, f"run `mialang fmt {path.relative_to(ROOT)}`"


def test_the_layout() -> None:
    untidy = """
param a:int(1..)=3
param longer : list[ int ] = [1,2]
data d:x.Y{split="t" classes=0..4}   # note



threat t {

x=1
longer_name = f( a , b=-2 )
gate "g" { require a<=1
at 95 % confidence
where  a==2 }
nested = f({
k = 1
})

}
"""
    assert (
        format_text(untidy)
        == """\
param a      : int(1..)  = 3
param longer : list[int] = [1, 2]
data d : x.Y { split = "t"  classes = 0..4 }  # note

threat t {
  x           = 1
  longer_name = f(a, b = -2)
  gate "g" { require a <= 1
        at 95 % confidence
        where a == 2 }
  nested = f({
    k = 1
  })
}
"""
    )
