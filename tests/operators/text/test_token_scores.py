"""Scores of texts: sums over exactly their tokens, whatever stands beside them in a batch."""

from __future__ import annotations

import math
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.handles import Meter, RefusedError
from mialang.operators.algebra import Point
from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.sampling import Samples, ranked
from mialang.operators.text.token_scores import (
    TokenScores,
    compressed_bytes,
    lowest_nll,
    nll,
    own_logprobs,
    share_of_rest,
    token_logprobs,
)
from mialang.operators.text.tokenizer import trained_tokenizer

from .asked import handle
from .small_language_model import TEXT, Told, model, tokenizer


def texts(*lines):
    return Samples.of(lines, torch.zeros(len(lines)))


def at(score, *lines):
    return score(Point(lines, torch.zeros(len(lines)), None, torch.Generator()))


def test_a_text_has_the_sum_of_exactly_its_tokens():
    """A released benchmark sums one token of the prefix and leaves the last of the suffix out."""
    lines = ("the code of the vault", "who", "nobody knows the code of the door")
    found = token_logprobs(of=handle(model(sharp=2.0)), about=texts(*lines), letters="as_written", run=Run(0))
    for row, line in enumerate(lines):
        tokens = torch.tensor([[tokenizer().end, *tokenizer().encode([line])[0]]])
        logs = model(sharp=2.0).answer("next_token_logprobs", tokens)
        own = [float(logs[0, place, tokens[0, place + 1]]) for place in range(tokens.shape[1] - 1)]
        assert found.lengths[row] == len(own)
        assert found.logprobs[row, : len(own)].tolist() == pytest.approx(own, abs=1e-5)
        assert (found.logprobs[row, len(own) :] == 0).all()
        assert float(at(nll(of=found, per="text"), line)) == pytest.approx(-sum(own), abs=1e-4)
        assert float(at(nll(of=found, per="token"), line)) == pytest.approx(-sum(own) / len(own), abs=1e-4)


def test_one_question_per_text_and_none_more():
    meter = Meter(cap=3)
    asked = handle(model(), meter=meter)
    found = token_logprobs(of=asked, about=texts(*TEXT), letters="lower", run=Run(0))
    assert meter.asked == 3
    with pytest.raises(RefusedError):
        token_logprobs(of=asked, about=texts("one more"), letters="as_written", run=Run(0))
    again = restore("token_scores", found.arrays(), found.facts())
    assert again.lines == found.lines
    assert again.logprobs.equal(found.logprobs)


def test_lower_case_scores_stay_with_the_text_as_written():
    found = token_logprobs(of=handle(model()), about=texts("THE CODE"), letters="lower", run=Run(0))
    small = token_logprobs(of=handle(model()), about=texts("the code"), letters="as_written", run=Run(0))
    assert found.lines == ("THE CODE",)
    assert found.logprobs.equal(small.logprobs)


@given(st.integers(1, 30), st.integers(0, 50))
def test_hidden_tokens_share_what_the_shown_leave(k, seed):
    logs = torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(-1)
    kept = logs.topk(k, dim=-1).indices
    shown = torch.full_like(logs, -math.inf).scatter(-1, kept, logs.gather(-1, kept))
    rest = share_of_rest(shown).exp() * (40 - k)
    torch.testing.assert_close(rest + shown.exp().sum(-1), torch.ones(2, 5), atol=1e-4, rtol=1e-4)
    tokens = torch.randint(40, (2, 5), generator=torch.Generator().manual_seed(seed))
    own, missing = own_logprobs(shown, tokens)
    true = logs[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
    assert own[~missing].equal(true[~missing])
    assert not own.isinf().any()


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(-5, -0.01), min_size=1, max_size=12), min_size=1, max_size=4), st.integers(1, 15))
def test_the_surest_window_is_the_least_mean_of_so_many_tokens(rows, width):
    longest = max(map(len, rows))
    logs = torch.tensor([row + [0.0] * (longest - len(row)) for row in rows])
    names = tuple(f"text {n}" for n in range(len(rows)))
    scores = TokenScores(names, logs, torch.tensor([len(row) for row in rows]), "")
    found = at(lowest_nll(of=scores, width=width), *names)
    for value, row in zip(found.tolist(), rows, strict=True):
        size = min(width, len(row))
        least = min(-sum(row[start : start + size]) / size for start in range(len(row) - size + 1))
        assert value == pytest.approx(least, abs=1e-4)


def test_compressed_bytes_are_those_of_zlib():
    lines = ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "q8#kz!", "")
    assert at(compressed_bytes(), *lines).tolist() == [len(zlib.compress(line.encode())) for line in lines]


def test_rankings_put_the_likeliest_first_and_keep_ties():
    """A released tool keeps candidates by perplexity, so that one of two equal ones is lost."""
    logs = torch.tensor([[-2.0], [-1.0], [-2.0]])
    scores = TokenScores(("b", "a", "c"), logs, torch.ones(3, dtype=torch.long), "")
    found = ranked(of=texts("b", "a", "c"), by=-nll(of=scores, per="token"), run=Run(0))
    assert found.texts == ("a", "b", "c")
    assert found.scores.tolist() == [-1.0, -2.0, -2.0]


def test_means_over_tokens_of_different_tokenizers_are_refused_and_sums_are_not():
    other = Told(lambda x: torch.zeros(*x.shape, 280).log_softmax(-1), trained_tokenizer(TEXT[:2], size=280))
    lines = TEXT[:2]
    own = token_logprobs(of=handle(model()), about=texts(*lines), letters="as_written", run=Run(0))
    far = token_logprobs(of=handle(other), about=texts(*lines), letters="as_written", run=Run(0))
    with pytest.raises(OperatorError, match="different tokenizers"):
        at(nll(of=far, per="token") / nll(of=own, per="token"), *lines)
    assert at(nll(of=far, per="text") / nll(of=own, per="text"), *lines).shape == (2,)
    assert at(nll(of=own, per="token") - nll(of=own, per="token"), *lines).abs().max() == 0


def test_texts_that_nobody_asked_about_have_no_score():
    own = token_logprobs(of=handle(model()), about=texts("the code"), letters="as_written", run=Run(0))
    with pytest.raises(OperatorError, match="belong to other texts"):
        at(nll(of=own, per="token"), "the door")
