"""What is asked again stays; what is asked once makes room."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.text.recall import Recall


def asked(keys, recall):
    worked = []

    def work(key):
        worked.append(key)
        return torch.tensor(float(key))

    for key in keys:
        assert float(recall(str(key), lambda key=key: work(key))) == key
    return worked


@given(st.lists(st.integers(0, 9)), st.integers(1, 3), st.integers(1, 3))
def test_answers_are_always_those_of_their_key(keys, once, again):
    worked = asked(keys, Recall(once, again))
    assert set(worked) == set(keys)


def test_guesses_asked_once_do_not_drive_out_texts_asked_again():
    recall = Recall(2, 2)
    assert asked([0, 1, 0, 1], recall) == [0, 1]
    assert asked([*range(10, 30), 0, 1], recall) == list(range(10, 30))
