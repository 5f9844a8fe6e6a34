"""Canaries: distinct secrets, planted exactly as often as asked, among records that keep their order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.canaries import canaries, planted
from mialang.operators.text.texts import Texts

FORM = "the code is {}."


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
    st.integers(1, 4),
    st.integers(2, 4),
    st.integers(0, 99),
)
def test_every_canary_is_planted_as_often_as_asked(insertions, each, digits, seed):
    drawn = canaries(template=FORM, digits=digits, insertions=insertions, each=each, run=Run(seed))
    assert len(set(drawn.secrets.tolist())) == len(drawn) == each * len(insertions)
    assert Counter(drawn.copies.tolist()) == dict.fromkeys(insertions, each)
    plain = Texts(tuple(f"record {n}" for n in range(10)))
    made = planted(of=plain, canaries=drawn, run=Run(seed))
    counts = Counter(line for line in made.lines if not line.startswith("record"))
    assert counts == {line: copies for line, copies in zip(drawn.lines, drawn.copies.tolist(), strict=True) if copies}
    assert tuple(line for line in made.lines if line.startswith("record")) == plain.lines
    assert all(len(line) == len(FORM) - 2 + digits for line in drawn.lines)


def test_other_seeds_draw_other_secrets():
    one, other = (canaries(template=FORM, digits=6, insertions=[1], each=8, run=Run(seed)) for seed in (1, 2))
    assert set(one.secrets) != set(other.secrets)


def test_the_form_tells_no_secret():
    drawn = canaries(template=FORM, digits=4, insertions=[0, 1], each=3, run=Run(0))
    assert drawn.form.facts() == {"template": FORM, "digits": 4}
    assert drawn.form.arrays() == {}
    again = restore("canaries", drawn.arrays(), drawn.facts())
    assert again.lines == drawn.lines
    assert np.array_equal(again.copies, drawn.copies)


@pytest.mark.parametrize("template", ["no place", "two {} places {}"])
def test_a_template_has_one_place_for_the_secret(template):
    with pytest.raises(OperatorError, match="needs one place for the secret"):
        canaries(template=template, digits=4, insertions=[1], each=1, run=Run(0))


def test_a_space_too_small_for_controls_is_refused():
    with pytest.raises(OperatorError, match="too many for 100 secrets of 2 digits"):
        canaries(template=FORM, digits=2, insertions=[0, 1, 2], each=20, run=Run(0))
