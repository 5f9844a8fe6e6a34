"""What leaks of a store: vectors without records, records with vectors, and their decoys."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

from mialang.operators.candidates import Candidates
from mialang.operators.errors import OperatorError
from mialang.operators.leaks import Embeddings, leaked_pairs, same_encoder, same_width, stored_embeddings
from mialang.operators.run import Run
from mialang.operators.universe import unrevealed


@dataclass
class Words:
    inputs: tuple[str, ...]

    def __len__(self):
        return len(self.inputs)


class Encoder:
    """Embeds the number at the end of a text; asked for a leaked thing, it answers as the store does."""

    identity = "numbers"

    def __init__(self):
        self.names = []

    def ask(self, name, x):
        self.names.append(name)
        return torch.tensor([[float(text.split()[-1]), 1.0] for text in x])


RECORDS = Words(tuple(f"record {n}" for n in range(20)))


def test_vectors_of_all_records_leak_in_their_places():
    encoder = Encoder()
    made = stored_embeddings(of=encoder, records=RECORDS, size=None, permuted=False, turn=0, run=Run(seed=0))
    assert made.vectors[:, 0].tolist() == list(range(20))
    assert (made.identity, made.units) == ("numbers", tuple(range(20)))
    assert encoder.names == ["stored_embeddings"]  # so that defenses of the store act, and those of questions do not


def test_the_decoy_puts_every_vector_elsewhere():
    made = stored_embeddings(of=Encoder(), records=RECORDS, size=None, permuted=True, turn=0, run=Run(seed=0))
    assert sorted(made.vectors[:, 0].tolist()) == list(range(20))
    assert all(value != place for place, value in enumerate(made.vectors[:, 0].tolist()))


def pairs(k, *, permuted=False, turn=0):
    return leaked_pairs(of=Encoder(), records=RECORDS, size=k, permuted=permuted, turn=turn, run=Run(seed=7))


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_fewer_pairs_are_the_first_of_more(turn):
    known = [set(pairs(k, turn=turn).reveals()) for k in (1, 3, 9, 20)]
    assert [len(each) for each in known] == [1, 3, 9, 20]
    assert all(small < large for small, large in pairwise(known))


def test_pairs_fit_together_and_repeats_draw_others():
    made = pairs(9)
    assert [f"record {unit}" for unit in made.units] == list(made.inputs)
    assert made.answers[:, 0].tolist() == [float(unit) for unit in made.units]
    assert pairs(9, turn=1).units != made.units


@pytest.mark.parametrize("k", [1, 5, 19])
def test_decoy_pairs_have_the_same_records_and_none_of_their_vectors(k):
    true, decoy = pairs(k), pairs(k, permuted=True)
    assert decoy.inputs == true.inputs
    assert decoy.units == true.units
    assert all(value != unit for value, unit in zip(decoy.answers[:, 0].tolist(), decoy.units, strict=True))


def test_what_a_grant_reveals_is_no_recovery():
    units = torch.arange(4).repeat_interleave(2)
    made = Candidates(tuple("abcdefgh"), units, torch.zeros(8), units, (0, 1, 2, 3, 4))
    given = pairs(2)
    run = Run(seed=0)
    left = unrevealed(of=made, granted=[type(given)(given.inputs, given.answers, "embedding", (), "", (1, 4))], run=run)
    assert left.values == ("a", "b", "e", "f", "g", "h")
    assert left.attempted == (0, 2, 3)
    assert run.notes == {"units_revealed": 2}


def test_embeddings_come_back_from_plain_arrays():
    made = Embeddings(torch.randn(3, 5), "me")
    back = Embeddings.restore(made.arrays(), made.facts())
    assert torch.equal(back.vectors, made.vectors)
    assert back.identity == "me"


def test_another_encoder_and_another_width_are_refused_in_words():
    same_encoder("a", "a", "the decoder")
    with pytest.raises(OperatorError, match="another encoder"):
        same_encoder("a", "b", "the decoder")
    with pytest.raises(OperatorError, match="takes vectors of 384 numbers, and these have 768"):
        same_width(384, 768, "the decoder")
