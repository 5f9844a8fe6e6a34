"""Language models answer what their network says, whatever stands beside, and survive the store byte for byte."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.text.decoding import Decoding, cooling_token, largest, likeliest_token, random_token

from .asked import handle
from .small_language_model import TEXT, model, tokenizer


def test_answers_are_logarithms_of_probabilities_of_what_follows():
    rows, _ = tokenizer().batch(TEXT, longest=20)
    logs = model().answer("next_token_logprobs", rows)
    assert logs.shape == (*rows.shape, len(tokenizer()))
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(rows.shape))
    # What comes later changes nothing earlier.
    changed = rows.clone()
    changed[:, -1] = 5
    torch.testing.assert_close(model().answer("next_token_logprobs", changed)[:, :-1], logs[:, :-1])


@given(st.integers(1, 40), st.integers(0, 3))
def test_exactly_the_k_likeliest_are_shown(k, ties):
    logs = torch.randn(3, 4, 30, generator=torch.Generator().manual_seed(k)).log_softmax(-1)
    logs[..., : ties + 1] = logs[..., :1]
    shown = largest(logs, k)
    assert ((~shown.isinf()).sum(-1) == min(k, 30)).all()
    assert torch.where(shown.isinf(), -math.inf, logs).equal(shown)
    assert (shown.max(-1).values == logs.max(-1).values).all()


def test_a_limited_handle_shows_no_more_than_is_granted():
    rows, _ = tokenizer().batch(TEXT, longest=10)
    answer = handle(model(), k=5.0).ask("next_token_logprobs", rows)
    assert ((~answer.isinf()).sum(-1) == 5).all()
    assert not handle(model()).ask("next_token_logprobs", rows).isinf().any()


def test_a_question_longer_than_the_context_is_refused_in_words():
    with pytest.raises(OperatorError, match="longer than the 48 that this model reads"):
        model().answer("next_token_logprobs", torch.zeros(1, 49, dtype=torch.long))
    with pytest.raises(OperatorError, match="longer than"):
        model().answer("sampled_text", ["the"], decoding=likeliest_token(), tokens=48, seed=0)


def test_prompts_of_unequal_length_are_continued_as_if_each_were_alone():
    prompts = ["the", "the code of the vault is 12", "", "who holds the key"]
    together = model(sharp=3.0).answer("sampled_text", prompts, decoding=likeliest_token(), tokens=8, seed=0)
    alone = [
        model(sharp=3.0).answer("sampled_text", [prompt], decoding=likeliest_token(), tokens=8, seed=0)[0]
        for prompt in prompts
    ]
    assert list(together) == alone
    assert len(set(together)) > 1


def test_greedy_text_is_the_argmax_of_the_log_probabilities():
    cutter, tokens = tokenizer(), [tokenizer().end, *tokenizer().encode(["the code"])[0]]
    for _ in range(6):
        logs = model(sharp=3.0).answer("next_token_logprobs", torch.tensor([tokens]))
        tokens.append(int(logs[0, -1].argmax()))
    [written] = model(sharp=3.0).answer("sampled_text", ["the code"], decoding=likeliest_token(), tokens=6, seed=0)
    assert written == cutter.decode([tokens[-6:]])[0]


def test_equal_seeds_write_equal_texts_and_other_seeds_others():
    def ask(seed):
        return model().answer("sampled_text", [""] * 4, decoding=random_token(top_k=40, top_p=1.0, temperature=1.0),
                              tokens=10, seed=seed)  # fmt: skip

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)
    assert len(set(ask(1))) == 4


def test_the_store_gives_the_same_model_back():
    before = model(sharp=2.0)
    after = restore("language_model", before.arrays(), before.facts())
    assert after.identity == before.identity
    rows, _ = tokenizer().batch(TEXT, longest=12)
    assert after.answer("next_token_logprobs", rows).equal(before.answer("next_token_logprobs", rows))
    assert model(1).identity != model(0).identity


# -- decoding --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(0, 1000),
    st.one_of(st.none(), st.integers(1, 12)),
    st.floats(0.05, 1.0),
    st.floats(0.2, 3.0),
)
def test_a_rule_keeps_the_likeliest_tokens_and_their_order(seed, top_k, top_p, temperature):
    logs = torch.randn(4, 10, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    made = Decoding(top_k, top_p, temperature).logprobs(logs, 0)
    torch.testing.assert_close(made.exp().sum(-1), torch.ones(4))
    kept = ~made.isinf()
    assert kept.any(-1).all()
    assert (kept.sum(-1) <= (top_k or 10)).all()
    for row in range(4):
        assert logs[row][kept[row]].min() >= logs[row][~kept[row]].max() if (~kept[row]).any() else True
        shares = (logs[row] / temperature).softmax(0).sort(descending=True).values
        if top_k is None and int(kept[row].sum()) > 1:
            assert float(shares[: int(kept[row].sum()) - 1].sum()) < top_p + 1e-5


def test_a_temperature_falls_in_a_straight_line():
    rule = cooling_token(start=10.0, over=20, top_k=None, temperature=1.0)
    assert [rule.at(step) for step in (0, 10, 20, 40)] == [10.0, 5.5, 1.0, 1.0]
    assert Decoding(temperature=0.7).at(0) == 0.7


def test_rules_that_leave_nothing_are_refused():
    for wrong in ({"top_p": 0.0, "temperature": 1.0}, {"top_p": 1.0, "temperature": 0.0}):
        with pytest.raises(OperatorError, match="leaves no token to choose"):
            random_token(top_k=None, **wrong)
