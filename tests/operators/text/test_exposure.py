"""Exposure: exact ranks over the whole space, in the order of the canaries, ties against the secret."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.engine.handles import Meter
from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.canaries import CanaryForm, canaries
from mialang.operators.text.enumeration import RankedSecrets, ranked_secrets
from mialang.operators.text.memorisation import exposure, exposures
from mialang.operators.text.tokenizer import Tokenizer

from .asked import handle
from .small_language_model import Told, model, tokenizer

FORM = CanaryForm("the code is {}", 3)


def log_likelihood(target, text_before, secret, digits):
    """The obvious way: one question per secret, its digits summed."""
    before = tokenizer().encode([text_before])[0]
    own = [tokenizer().encode([text_before + digit])[0][-1] for digit in f"{secret:0{digits}d}"]
    rows = torch.tensor([[tokenizer().end, *before, *own]])
    logs = target.answer("next_token_logprobs", rows)
    return sum(float(logs[0, len(before) + place, token]) for place, token in enumerate(own))


def test_every_secret_has_the_likelihood_of_its_digits():
    target = model(sharp=4.0)
    ranked = ranked_secrets(of=handle(target), form=FORM, at_most=100, run=Run(0))
    assert len(ranked) == 1000
    for secret in (0, 7, 123, 500, 999):
        expected = log_likelihood(target, FORM.before, secret, 3)
        assert float(ranked.scores[secret]) == pytest.approx(expected, abs=1e-4)
    again = restore("ranked_secrets", ranked.arrays(), ranked.facts())
    assert again.scores.equal(ranked.scores)
    assert again.form == FORM


def test_a_question_per_secret_without_its_last_digit():
    meter = Meter(cap=100)
    ranked_secrets(of=handle(model(), meter=meter), form=FORM, at_most=100, run=Run(0))
    assert meter.asked == 100
    with pytest.raises(OperatorError, match=r"takes 100 questions, and 99 are allowed"):
        ranked_secrets(of=handle(model()), form=FORM, at_most=99, run=Run(0))


@given(st.lists(st.integers(0, 6).map(float), min_size=100, max_size=100), st.permutations(range(100)))
def test_exposures_are_in_the_order_of_the_secrets_and_ties_count_against_them(values, order):
    """A released tool hands interpolated exposures back sorted."""
    scores = torch.tensor(values)
    secrets = torch.tensor(order[:17])
    bits = exposures(scores, secrets)
    for secret, found in zip(secrets.tolist(), bits.tolist(), strict=True):
        rank = sum(value >= values[secret] for value in values)
        assert found == pytest.approx(math.log2(100) - math.log2(rank))


@given(st.integers(0, 200))
def test_a_space_ranked_by_chance_has_one_and_a_half_bits_on_average(seed):
    scores = torch.rand(4096, generator=torch.Generator().manual_seed(seed))
    bits = exposures(scores, torch.arange(4096))
    assert float(bits.mean()) == pytest.approx(1 / math.log(2), abs=0.02)
    assert float(bits.max()) == math.log2(4096)
    assert exposures(torch.zeros(64), torch.arange(64)).eq(0).all()


def test_fields_hold_the_canaries_of_their_number_of_insertions_controls_included():
    drawn = canaries(template=FORM.template, digits=3, insertions=[0, 2, 5], each=4, run=Run(1))
    scores = torch.zeros(1000)
    scores[torch.from_numpy(drawn.secrets[drawn.copies == 5])] = 1.0
    measured = exposure(of=RankedSecrets(FORM, scores), canaries=drawn, insertions=[5, 0, 16], run=Run(0))
    assert measured.fields["m5"][0] == pytest.approx([math.log2(1000 / 4)] * 4)
    assert measured.fields["m0"][0] == pytest.approx([0.0] * 4)
    assert measured.fields["m5"][1] == [f"canary {row}" for row in np.flatnonzero(drawn.copies == 5)]
    assert "no canary was planted 16 times" in measured.reasons["m16"]


def test_a_ranking_of_other_secrets_is_not_measured():
    drawn = canaries(template="another {}", digits=3, insertions=[1], each=2, run=Run(0))
    measured = exposure(of=RankedSecrets(FORM, torch.zeros(1000)), canaries=drawn, insertions=[1], run=Run(0))
    assert "of another form" in measured.reasons["m1"]


def test_hidden_digits_are_ranked_behind_the_shown_ones():
    target = model(sharp=6.0)
    whole = ranked_secrets(of=handle(target), form=FORM, at_most=100, run=Run(0))
    few = ranked_secrets(of=handle(target, k=3.0), form=FORM, at_most=100, run=Run(0))
    assert not few.scores.isinf().any()
    assert few.scores.unique().numel() < whole.scores.unique().numel()


def test_a_tokenizer_that_joins_digits_is_refused():
    from tokenizers import Tokenizer as Engine
    from tokenizers import decoders, models, pre_tokenizers, trainers

    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    engine.train_from_iterator(["the code is 000 111 222 000 111"] * 30, trainer)
    joined = Tokenizer(engine.to_str(), 0)
    told = Told(lambda x: torch.zeros(*x.shape, len(joined)).log_softmax(-1), joined)
    with pytest.raises(OperatorError, match="does not cut numbers into digits"):
        ranked_secrets(of=handle(told), form=FORM, at_most=100, run=Run(0))
