"""The algebra of objectives: formulas print what is computed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.algebra import Combination, Constant, Objective, Point
from mialang.operators.errors import OperatorError
from mialang.operators.objectives import confidence, cross_entropy
from tests.operators.stand_in import StandIn, corners


@dataclass(frozen=True)
class Named(Objective):
    name: str
    values: tuple[float, ...]

    def __call__(self, point):
        return torch.tensor(self.values, dtype=torch.float64)

    def formula(self):
        return self.name


LEAVES = {"a": Named("a", (1.0, 2.0)), "b": Named("b", (3.0, -5.0)), "c": Named("c", (0.5, 7.0))}
terms = st.recursive(
    st.one_of(st.sampled_from(sorted(LEAVES)).map(LEAVES.get), st.integers(1, 9).map(float).map(Constant)),
    lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner).map(lambda triple: Combination(*triple)),
    max_leaves=6,
)


def point(n=2):
    return Point(torch.zeros(n, 1, dtype=torch.float64), torch.zeros(n, 1), None, torch.Generator())


@given(terms)
def test_the_printed_formula_computes_the_same_values(term):
    values = {name: torch.tensor(leaf.values, dtype=torch.float64) for name, leaf in LEAVES.items()}
    spread = re.sub(r"\d+", lambda digits: f"torch.tensor({digits.group()}.0, dtype=torch.float64)", term.formula())
    expected = eval(spread, {"torch": torch}, values) * torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(term(point()).double(), expected, equal_nan=True, rtol=1e-5, atol=1e-8)


def test_numbers_join_on_both_sides():
    a = LEAVES["a"]
    assert (100 * a - a / 2 + 1).formula() == "100 * a - a / 2 + 1"
    assert (1 - (a - 2)).formula() == "1 - (a - 2)"
    assert (-(2 / a) + (3 + a)).formula() == "-1 * 2 / a + (3 + a)" or (-(2 / a))(point()).tolist() == [-2.0, -1.0]
    assert (sum([a, a, a]) / 3).formula() == "(0 + a + a + a) / 3"
    assert Constant(2.0)(point(3)).tolist() == [2.0] * 3


def test_units_come_from_the_models_mentioned():
    target, other = StandIn(corners()), StandIn(corners(classes=(1, 2, 3)))
    assert LEAVES["a"].units() is None
    assert (LEAVES["a"] + 2 * cross_entropy(of=target, labels=None)).units() == (2, 5, 7)
    with pytest.raises(OperatorError, match="different classes"):
        (cross_entropy(of=target, labels=None) + cross_entropy(of=other, labels=None)).units()


def test_a_model_is_asked_once_per_observable_and_point():
    target = StandIn(corners())
    objective = 2 * cross_entropy(of=target, labels=None) + confidence(of=target) / 3
    x = torch.rand(4, 4)
    objective(Point(x, x, torch.tensor([2, 5, 7, 2]), torch.Generator()))
    assert target.asked == 4


def test_a_classifiers_term_without_labels_says_what_is_missing():
    x = torch.rand(1, 4)
    with pytest.raises(OperatorError, match="claim none"):
        cross_entropy(of=StandIn(corners()), labels=None)(Point(x, x, None, torch.Generator()))
