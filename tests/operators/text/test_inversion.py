"""Searches by embeddings, alignment of spaces, baselines, and defenses on representations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mialang.operators.algebra import Point
from mialang.operators.asking import Pairs
from mialang.operators.candidates import Candidates
from mialang.operators.defenses.representations import noise_embeddings, round_embeddings
from mialang.operators.errors import OperatorError
from mialang.operators.leaks import Embeddings
from mialang.operators.nearness import embedding_cosine, embedding_distance
from mialang.operators.objectives import confidence
from mialang.operators.optimisers import adam
from mialang.operators.run import Run
from mialang.operators.search import descend
from mialang.operators.selection import best
from mialang.operators.text.alignment import align
from mialang.operators.text.baselines import frequent_words, nearest_text
from mialang.operators.text.relaxation import read_tokens, simplex_tokens
from mialang.operators.text.texts import Texts
from mialang.operators.text.words import words_of

from .small_encoder import open_handle, sentences, small_lsa


def leaked(texts):
    return Embeddings(small_lsa().answer("embedding", texts), small_lsa().identity)


def run():
    return Run(seed=0)


# -- searches by embeddings ----------------------------------------------------------------------------------------------


def test_an_objective_over_vectors_has_one_unit_a_record():
    goal = leaked(sentences().lines[:5])
    loss = embedding_distance(of=open_handle(small_lsa()), to=goal, measure="cosine")
    assert (0.5 * loss + 1).units() == (0, 1, 2, 3, 4)
    assert (0.5 * loss + 1).formula() == "0.5 * embedding_distance(target) + 1"


def test_records_and_classes_are_not_mixed():
    class Classifier:
        name, classes, shape, identity = "student", (0, 1), (2,), ""

    loss = embedding_distance(of=open_handle(small_lsa()), to=leaked(sentences().lines[:5]), measure="cosine")
    with pytest.raises(OperatorError, match="classes with records"):
        (loss + confidence(of=Classifier())).units()


@pytest.mark.parametrize("measure", ["cosine", "l2"])
def test_a_record_is_nearest_to_its_own_vector(measure):
    lines = sentences().lines[:4]
    loss = embedding_distance(of=open_handle(small_lsa()), to=leaked(lines), measure=measure)
    labels = torch.arange(4)
    own = loss(Point(lines, torch.zeros(4), labels, torch.Generator()))
    other = loss(Point(lines, torch.zeros(4), labels.roll(1), torch.Generator()))
    torch.testing.assert_close(own, torch.zeros(4), atol=1e-5, rtol=0)
    assert (other > own).all()


def test_vectors_of_another_encoder_are_refused():
    goal = Embeddings(leaked(sentences().lines[:2]).vectors, "other")
    score = embedding_cosine(of=open_handle(small_lsa()), to=goal)
    with pytest.raises(OperatorError, match="another encoder"):
        score(Point(("a", "b"), torch.zeros(2), torch.arange(2), torch.Generator()))


def test_the_nearest_of_many_is_kept_record_by_record():
    lines = sentences().lines[:3]
    guesses = (lines[1], lines[0], lines[0], lines[1], "nothing", lines[2])
    units = torch.tensor([0, 0, 1, 1, 2, 2])
    many = Candidates(guesses, units, torch.zeros(6), units, (0, 1, 2))
    made = best(
        of=many, per="record", by=embedding_cosine(of=open_handle(small_lsa()), to=leaked(lines)), keep=1, run=run()
    )
    assert made.values == lines
    assert made.scores.tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_search_over_mixtures_finds_words_of_each_record():
    lines = sentences("test", 60).lines[:6]
    handle, goal = open_handle(small_lsa()), leaked(lines)
    space = simplex_tokens(of=handle, about=sentences(), vocabulary=400, tokens=8, temperature=0.05, spread=0.01)
    loss = embedding_distance(of=handle, to=goal, measure="cosine")
    optimiser = adam(lr=0.02, beta1=0.9, beta2=0.999)
    found = descend(over=space, minimise=loss, by=optimiser, steps=40, starts=1, until=None, keep="last", run=run())
    made = read_tokens(of=found, space=space, run=run())
    assert made.attempted == tuple(range(6))
    shares = [
        len(set(words_of(text)) & set(words_of(line))) / len(set(words_of(text)))
        for text, line in zip(made.values, lines, strict=True)
    ]
    assert sum(shares) / 6 > 0.5


def test_a_pure_mixture_is_the_text_itself():
    handle = open_handle(small_lsa())
    space = simplex_tokens(of=handle, about=sentences(), vocabulary=50, tokens=3, temperature=0.05, spread=0.0)
    tokens = torch.tensor([[4, 9, 2], [0, 0, 7]])
    code = functional.one_hot(tokens, 50).float() * 10
    made = read_tokens(
        of=Candidates(space.decode(code), torch.arange(2), torch.zeros(2), torch.arange(2), (0, 1), code),
        space=space,
        run=run(),
    )
    torch.testing.assert_close(
        handle.ask("embedding", space.decode(code)), handle.ask("embedding", made.values), atol=1e-4, rtol=1e-4
    )


# -- alignment -----------------------------------------------------------------------------------------------------------


class Own:
    """An encoder of the attacker's own: a turned copy of the victim's."""

    def __init__(self, turn):
        self.identity = "own"
        self.turn = turn

    def ask(self, name, x):
        assert name == "embedding"
        return functional.normalize(small_lsa().answer(name, x) @ self.turn, dim=1)


def turned(seed=0, width=48):
    return torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)))[0]


def pairs_of(lines):
    return Pairs(tuple(lines), small_lsa().answer("embedding", lines), "embedding", (), small_lsa().identity)


@pytest.mark.parametrize("ridge", [0.0, 1e-6])
def test_enough_pairs_undo_any_rotation(ridge):
    """A secret rotation or shuffling of coordinates is no defense against leaked pairs."""
    lines = sentences().lines
    made = align(of=leaked(lines[200:220]), pairs=pairs_of(lines[:150]), into=Own(turned()), ridge=ridge, run=run())
    assert made.identity == "own"
    torch.testing.assert_close(made.vectors, Own(turned()).ask("embedding", lines[200:220]), atol=1e-3, rtol=1e-3)


def test_more_pairs_bring_texts_nearer():
    lines = sentences().lines
    truth = Own(turned()).ask("embedding", lines[200:260])
    nearness = [
        float(
            (
                align(
                    of=leaked(lines[200:260]), pairs=pairs_of(lines[:k]), into=Own(turned()), ridge=0.0, run=run()
                ).vectors
                * truth
            )
            .sum(1)
            .mean()
        )
        for k in (1, 8, 32, 100)
    ]
    assert nearness == sorted(nearness)
    assert nearness[0] > 0


@pytest.mark.parametrize("k", [5, 60])
def test_both_forms_of_the_map_agree(k):
    """(XᵀX + λI)⁻¹Xᵀ = Xᵀ(XXᵀ + λI)⁻¹."""
    lines, ridge = sentences().lines, 0.1
    made = align(of=leaked(lines[:3]), pairs=pairs_of(lines[:k]), into=Own(turned()), ridge=ridge, run=run())
    x, y = pairs_of(lines[:k]).answers.double(), Own(turned()).ask("embedding", lines[:k]).double()
    weights = torch.linalg.solve(x.T @ x + ridge * torch.eye(48, dtype=torch.float64), x.T @ y)
    expected = functional.normalize(leaked(lines[:3]).vectors.double() @ weights, dim=1)
    torch.testing.assert_close(made.vectors.double(), expected, atol=1e-5, rtol=1e-5)


def test_pairs_of_another_encoder_are_refused():
    lines = sentences().lines
    stranger = Pairs(lines[:3], torch.randn(3, 48), "embedding", (), "other")
    with pytest.raises(OperatorError, match="another encoder"):
        align(of=leaked(lines[:3]), pairs=stranger, into=Own(turned()), ridge=0.0, run=run())


# -- baselines -----------------------------------------------------------------------------------------------------------


def test_the_same_frequent_words_for_everyone():
    public = Texts(("a b c", "a b d", "a e f"))
    made = frequent_words(of=Embeddings(torch.zeros(4, 2), ""), about=public, words=None, run=run())
    # Micro F1 of the k likeliest words over the public texts: 6/12, 10/15, 12/18, …: two words do as well as any more.
    assert made.values == ("a b",) * 4
    assert frequent_words(of=Embeddings(torch.zeros(1, 2), ""), about=public, words=1, run=run()).values == ("a",)


def test_the_nearest_public_text_is_found():
    lines = sentences().lines
    noisy = functional.normalize(leaked(lines[:5]).vectors + 0.01, dim=1)
    made = nearest_text(on=pairs_of(sentences().lines), of=Embeddings(noisy, small_lsa().identity), run=run())
    assert made.values == lines[:5]


# -- defenses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.1])
def test_noise_has_the_deviation_that_it_says(deviation):
    """A released defense draws N(0, σ) and multiplies by σ again."""
    big = torch.full((64, 4_000), 1e3)  # so long that bringing back to length 1 only scales
    noisy = noise_embeddings(deviation=deviation)(big, generator=torch.Generator().manual_seed(0))
    back = noisy * (big + 0).norm(dim=1, keepdim=True)
    measured = (back - big).std()
    assert float(measured) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.05, 0.1])
def test_noise_costs_the_cosine_that_the_formula_says(deviation):
    clean = functional.normalize(torch.randn(400, 384, generator=torch.Generator().manual_seed(1)), dim=1)
    noisy = noise_embeddings(deviation=deviation)(clean, generator=torch.Generator().manual_seed(2))
    cosine = float((clean * noisy).sum(1).mean())
    assert cosine == pytest.approx(1 / math.sqrt(1 + deviation**2 * 384), abs=0.01)
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(400))


@given(st.sampled_from([noise_embeddings(deviation=0.1), round_embeddings(digits=1)]), st.integers(0, 50))
def test_a_defense_leaves_its_input_as_it_was(defense, seed):
    """A released defense adds in place, so that a sweep adds noise to noise."""
    given_vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    kept = given_vectors.clone()
    defense(given_vectors, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(given_vectors, kept)


def test_rounding_leaves_few_values():
    made = round_embeddings(digits=1)(torch.tensor([[0.04, 0.06, -0.26]]), generator=torch.Generator())
    torch.testing.assert_close(made, torch.tensor([[0.0, 0.1, -0.3]]))


def test_a_defense_of_the_store_acts_on_the_store_alone():
    noise = noise_embeddings(deviation=0.2)
    texts = sentences().lines[:20]
    clean = open_handle(small_lsa())
    both = open_handle(small_lsa(), [(["embedding", "stored_embeddings", "leaked_pairs"], noise)])
    store = open_handle(small_lsa(), [(["stored_embeddings"], noise)])
    assert torch.equal(store.ask("embedding", texts), clean.ask("embedding", texts))
    assert torch.equal(clean.ask("stored_embeddings", texts), clean.ask("embedding", texts))
    for handle in (both, store):
        found = handle.ask("stored_embeddings", texts)
        cosine = float((found * clean.ask("embedding", texts)).sum(1).mean())
        # Noise that came twice would leave 1/√(1 + 2λ²D).
        assert cosine == pytest.approx(1 / math.sqrt(1 + 0.2**2 * 48), abs=0.06)
