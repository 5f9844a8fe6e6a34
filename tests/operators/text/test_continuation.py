"""Continuations: all that are likely enough and no others, without drawing once."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.handles import Meter
from mialang.operators.candidates import Candidates
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.canaries import canaries, planted
from mialang.operators.text.continuation import continued, likely_continuations
from mialang.operators.text.decoding import Decoding, likeliest_token
from mialang.operators.text.memorisation import extraction_rate
from mialang.operators.text.prefixes import prefixes
from mialang.operators.text.sampling import Samples
from mialang.operators.text.texts import Texts

from .asked import handle
from .small_language_model import TEXT, Told, model, tokenizer

SECRET = Texts(TEXT)


def passages(count=4, words=3, follow=3, seed=0):
    return prefixes(of=SECRET, count=count, words=words, follow=follow, run=Run(seed))


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 6), st.integers(0, 9))
def test_prefixes_are_whole_words_that_stand_in_the_text_with_enough_after_them(count, words, follow, seed):
    found = prefixes(of=SECRET, count=count, words=words, follow=follow, run=Run(seed))
    for line, place, end, suffix in zip(found.lines, found.places, found.ends, found.suffixes(SECRET), strict=True):
        record = SECRET.lines[place]
        assert record[:end].endswith(line)
        assert record == record[: end - len(line)] + line + suffix
        assert len(line.split()) == words
        assert len(suffix.split()) >= follow
        assert not suffix or suffix[0] == " "
    assert len({(place, end) for place, end in zip(found.places, found.ends, strict=True)}) == len(found)
    room = sum(max(0, len(line.split()) - words - follow + 1) for line in SECRET.lines)
    assert len(found) == min(count, room)
    assert found.reveals() == ()


def test_no_passage_comes_from_a_canary():
    drawn = canaries(template="one two three four five six {}", digits=4, insertions=[20], each=1, run=Run(0))
    text = planted(of=Texts(("the code of the door is somewhere",)), canaries=drawn, run=Run(0))
    found = prefixes(of=text, count=50, words=2, follow=2, run=Run(0))
    assert len(found) == 4
    assert {text.lines[place] for place in found.places} == {"the code of the door is somewhere"}


def test_a_text_without_a_record_long_enough_is_refused():
    with pytest.raises(OperatorError, match="no record has 60 words"):
        prefixes(of=SECRET, count=3, words=30, follow=30, run=Run(0))


def chain(shares):
    """A model whose next token depends on the last one: token t is followed by a and b with given shares."""
    cutter = tokenizer()
    a, b = (cutter.encode([letter])[0][0] for letter in "ab")

    def logprobs(rows):
        made = torch.full((*rows.shape, len(cutter)), -math.inf)
        share = torch.where(rows == a, shares[0], torch.where(rows == b, shares[1], shares[2]))
        made[..., a], made[..., b] = share.log(), (1 - share).log()
        return made

    return Told(logprobs), a, b


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(0.02, 0.98)] * 3), st.integers(1, 5), st.integers(1, 300), st.floats(0.05, 0.95))
def test_exactly_the_continuations_that_draws_bring_up_are_found(shares, tokens, draws, chance):
    told, _, _ = chain(tuple(map(torch.tensor, shares)))
    about = passages()
    found = likely_continuations(
        of=handle(told),
        about=about,
        tokens=tokens,
        by=Decoding(),
        draws=draws,
        chance=chance,
        at_most=100_000,
        run=Run(0),
    )
    expected = {}
    for letters in itertools.product("ab", repeat=tokens):
        p, last = 1.0, ""
        for letter in letters:
            share = shares[0] if last == "a" else shares[1] if last == "b" else shares[2]
            p *= share if letter == "a" else 1 - share
            last = letter
        expected["".join(letters)] = p
    bound = 1 - (1 - chance) ** (1 / draws)
    for unit in about.units:
        mine = {
            value: float(score)
            for value, score, group in zip(found.values, found.scores, found.group, strict=True)
            if group == unit
        }
        for value, p in expected.items():
            if abs(p - bound) > 1e-4 * bound:
                assert (value in mine) == (p >= bound)
            if value in mine:
                assert mine[value] == pytest.approx(p, rel=1e-3)
    assert found.attempted == about.units


def test_the_likeliest_beginnings_go_first_where_questions_are_few():
    told, _, _ = chain(tuple(map(torch.tensor, (0.7, 0.6, 0.8))))
    meter = Meter(cap=4 * 12)
    found = likely_continuations(
        of=handle(told, meter=meter),
        about=passages(),
        tokens=6,
        by=Decoding(),
        draws=10_000,
        chance=0.5,
        at_most=12,
        run=Run(0),
    )
    assert meter.asked <= 4 * 12
    assert all(value.startswith("a") for value in found.values)
    assert torch.bincount(found.group).max() <= 2


def test_a_prefix_that_leaves_no_room_is_refused():
    with pytest.raises(OperatorError, match="longer than the 48"):
        likely_continuations(
            of=handle(model()), about=passages(), tokens=47, by=Decoding(), draws=2, chance=0.5, at_most=10, run=Run(0)
        )


def test_continuing_greedily_is_a_question_per_passage():
    meter = Meter(cap=4)
    found = continued(
        of=handle(model(sharp=3.0), meter=meter), about=passages(), tokens=5, by=likeliest_token(), run=Run(0)
    )
    assert meter.asked == 4
    assert tuple(found.group.tolist()) == found.attempted == (0, 1, 2, 3)


def test_a_passage_counts_iff_some_output_is_how_it_goes_on():
    about = passages(count=3)
    suffixes = about.suffixes(SECRET)

    def given_back(values, units):
        made = torch.tensor(units)
        return Candidates(tuple(values), made, torch.zeros(len(values)), made, about.units)

    right, wrong = suffixes[0][:6], "nothing like it"
    measured = extraction_rate(
        of=given_back([wrong, right, "", suffixes[1] + "x"], [0, 0, 1, 1]), secret=SECRET, prefixes=about, run=Run(0)
    )
    values, items = measured.fields[""]
    assert values == [1.0, 0.0, 0.0]
    assert items == ["passage 0", "passage 1", "passage 2"]


def test_what_continues_nothing_has_no_rate():
    measured = extraction_rate(of=Samples.of(["x"], torch.zeros(1)), secret=SECRET, prefixes=passages(), run=Run(0))
    assert "no passages" in measured.reasons[""]


def test_passages_of_different_lengths_do_not_disturb_each_other():
    teller = model(sharp=8.0)

    def found(about):
        made = likely_continuations(
            of=handle(teller),
            about=about,
            tokens=4,
            by=Decoding(),
            draws=200,
            chance=0.5,
            at_most=1_000,
            run=Run(0),
        )
        each = {unit: {} for unit in about.units}
        for value, score, unit in zip(made.values, made.scores.tolist(), made.group.tolist(), strict=True):
            each[unit][value] = score
        return list(each.values())

    some = passages(count=9)
    lengths = {len(row) for row in teller.tokenizer.encode(some.lines)}
    assert len(lengths) > 1
    together = found(some)
    assert any(together)
    for unit in some.units:
        alone = replace(
            some,
            lines=some.lines[unit : unit + 1],
            places=some.places[unit : unit + 1],
            ends=some.ends[unit : unit + 1],
        )
        (mine,) = found(alone)
        assert mine == pytest.approx(together[unit], rel=1e-3)
