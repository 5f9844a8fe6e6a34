"""Scores of pairs are the same whichever way they are asked for, and survive their plain form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from mialang.operators.artefacts import restore
from mialang.operators.errors import OperatorError
from mialang.operators.graph import links as module
from mialang.operators.graph.links import ListedLinks, SimilarityLinks, listed
from mialang.operators.graph.pairs import pair_count
from mialang.operators.graph.similarity import DISTANCES, MEASURES

SIZES = st.integers(2, 9)


def vectors(n, seed, width=4):
    return torch.rand(n, width, generator=torch.Generator().manual_seed(seed))


def of_kind(kind, n, seed):
    if kind == "listed":
        source = np.random.default_rng(seed)
        numbers = np.flatnonzero(source.random(pair_count(n)) < 0.5)
        return ListedLinks(n, numbers, torch.rand(len(numbers), generator=torch.Generator().manual_seed(seed)))
    return SimilarityLinks(n, vectors(n, seed), kind)


@pytest.mark.parametrize("kind", [*MEASURES, "listed"])
@settings(max_examples=15)
@given(SIZES, st.integers(0, 99))
def test_rows_pairs_and_lists_agree(kind, n, seed):
    links = of_kind(kind, n, seed)
    numbers = np.random.default_rng(seed).permutation(pair_count(n))
    u, v = (torch.from_numpy(each) for each in np.triu_indices(n, 1))
    by_pair = links.between(u, v)
    everything = links.of(numbers)
    few = torch.cat([links.of(numbers[at : at + 1]) for at in range(len(numbers))])
    by_row = links.rows(torch.arange(n))[u, v]
    # Cosines by rows are scaled once for all; that keeps their order, which is all that a ranking sees.
    torch.testing.assert_close(by_row, by_pair, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(everything, by_pair[torch.from_numpy(numbers)], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(few, by_pair[torch.from_numpy(numbers)], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "listed"])
def test_plain_form_and_back_is_the_same(kind):
    links = of_kind(kind, 7, 3).without([2, 5])
    back = restore(links.kind, links.arrays(), links.facts())
    assert back.arrays().keys() == links.arrays().keys()
    for name, value in links.arrays().items():
        assert np.array_equal(back.arrays()[name], value)
    assert len(back) == pair_count(7) - 2
    assert torch.equal(back.of(np.arange(21)), links.of(np.arange(21)))


def test_nothing_revealed_leaves_the_same_bytes():
    links = of_kind("cosine", 7, 3)
    same = links.without(())
    assert all(np.array_equal(same.arrays()[name], value) for name, value in links.arrays().items())


@given(SIZES, st.integers(0, 99))
def test_distances_are_those_of_scipy_with_their_sign_turned(n, seed):
    x = vectors(n, seed).double()
    for name in DISTANCES:
        scores = MEASURES[name](x.unsqueeze(1), x.unsqueeze(0))
        np.testing.assert_allclose(-scores.numpy(), cdist(x, x, name), atol=1e-9)


@given(SIZES, st.integers(0, 99))
def test_a_matrix_becomes_the_list_of_what_is_not_zero(n, seed):
    matrix = vectors(n, seed, n)
    matrix[matrix < 0.5] = 0
    links = listed(matrix)
    u, v = np.triu_indices(n, 1)
    assert torch.equal(links.of(np.arange(pair_count(n))), matrix[u, v])
    assert (links.scores != 0).all()


def test_a_matrix_is_read_in_parts(monkeypatch):
    monkeypatch.setattr("mialang.operators.graph.pairs.BLOCK", 20)
    monkeypatch.setattr(module, "BLOCK", 20)
    matrix = vectors(9, 1, 9)
    u, v = np.triu_indices(9, 1)
    assert torch.equal(listed(matrix).of(np.arange(36)), matrix[u, v])
    assert torch.equal(
        of_kind("chebyshev", 9, 0).of(np.arange(36)), of_kind("chebyshev", 9, 0).between(*map(torch.from_numpy, (u, v)))
    )


def test_a_score_that_is_no_number_is_an_error():
    matrix = torch.zeros(3, 3)
    matrix[0, 1] = torch.nan
    with pytest.raises(OperatorError, match="no number"):
        listed(matrix)
