"""Decoding: what may follow and how often it does."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.text.decoding import likeliest_token, random_token


@given(
    st.lists(st.lists(st.sampled_from([-math.inf, -3.0, -2.0, -1.0]), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_of_equals_the_first_ones_are_kept(rows: list[list[float]], k: int) -> None:
    rows = [[0.0, *row] for row in rows]  # something is always likely
    kept = random_token(top_k=k, top_p=1.0, temperature=1.0).logprobs(torch.tensor(rows), 0)
    for row, made in zip(rows, kept, strict=True):
        first = sorted(range(7), key=lambda token: (-row[token], token))[:k]
        assert {token for token in range(7) if made[token] > -math.inf} == {
            token for token in first if row[token] > -math.inf
        }
        assert abs(float(made.exp().sum()) - 1) < 1e-5


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    shares = torch.tensor([0.1, 0.0, 0.5, 0.4, 0.0])
    rule = random_token(top_k=None, top_p=1.0, temperature=1.0)
    logs, chances = shares.log().expand(100_000, 5), rule.chances(100_000, torch.Generator().manual_seed(0))
    drawn = rule.choose(logs, 0, chances)
    counts = torch.bincount(drawn, minlength=5) / 100_000
    assert counts[1] == counts[4] == 0
    assert torch.allclose(counts, shares, atol=0.006)  # four standard errors of the largest
    assert torch.equal(drawn, rule.choose(logs, 0, rule.chances(100_000, torch.Generator().manual_seed(0))))


def test_a_greedy_rule_leaves_nothing_to_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    rule = likeliest_token()
    logs = torch.tensor([[0.2, 0.8], [0.7, 0.3]]).log()
    assert rule.choose(logs, 0, rule.chances(2, generator)).tolist() == [1, 0]
    assert torch.equal(generator.get_state(), before)
