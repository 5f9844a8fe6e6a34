"""Access is a lattice, defenses only take away, and granting more never loses an attack."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.meaning.modules import Modules
from mialang.threat import ACTS, ACTS_ON, KNOWLEDGE, Access, Observable, Observables, Shield
from mialang.threat.access import gaps

SHIPPED = Modules().registry.sights


@st.composite
def orders(draw: st.DrawFn) -> Observables:
    """Random finite orders of observables, some of them with sizes."""
    count = draw(st.integers(1, 7))
    made = {}
    for place in range(count):
        sources = draw(st.sets(st.integers(0, place - 1), max_size=2)) if place else set()
        made[f"o{place}"] = Observable(f"o{place}", tuple(f"o{each}" for each in sorted(sources)), draw(st.booleans()))
    return Observables(made)


def accesses(observables: Observables) -> st.SearchStrategy[Access]:
    names = st.sampled_from(sorted(observables.by_name))
    return st.builds(
        lambda sees, holds, queries, knows, acts: Access.of(
            observables, sees=sees, holds=holds, queries=queries, knows=knows, acts=acts
        ),
        st.dictionaries(names, st.one_of(st.integers(1, 5).map(float), st.just(math.inf)), max_size=4),
        st.dictionaries(names, st.one_of(st.integers(1, 5).map(float), st.just(math.inf)), max_size=2),
        st.one_of(st.integers(0, 1000).map(float), st.just(math.inf)),
        st.frozensets(st.sampled_from(KNOWLEDGE)),
        st.frozensets(st.sampled_from(ACTS)),
    )


def shields(observables: Observables) -> st.SearchStrategy[Shield]:
    names = st.frozensets(st.sampled_from(sorted(observables.by_name)), max_size=3)
    limits = st.dictionaries(st.sampled_from(sorted(observables.by_name)), st.integers(1, 5).map(float), max_size=2)
    return st.builds(Shield, st.just("d"), st.sampled_from(ACTS_ON), names, limits, names)


several = orders().flatmap(lambda order: st.tuples(st.just(order), accesses(order), accesses(order), accesses(order)))
guarded = orders().flatmap(lambda order: st.tuples(st.just(order), accesses(order), accesses(order), shields(order)))
shipped = st.tuples(st.just(SHIPPED), accesses(SHIPPED), accesses(SHIPPED), shields(SHIPPED))


@given(several)
def test_access_is_partially_ordered(case: tuple[Observables, Access, Access, Access]) -> None:
    _, a, b, c = case
    assert a <= a  # noqa: PLR0124 - reflexive
    if a <= b <= a:
        assert a == b
    if a <= b <= c:
        assert a <= c


@given(several)
def test_join_and_meet_make_a_distributive_lattice(case: tuple[Observables, Access, Access, Access]) -> None:
    _, a, b, c = case
    assert a <= (a | b)
    assert (a & b) <= a
    assert a | b == b | a
    assert a & b == b & a
    assert (a | b) | c == a | (b | c)
    assert (a & b) & c == a & (b & c)
    assert a | (a & b) == a == a & (a | b)
    assert a & (b | c) == (a & b) | (a & c)
    assert (a | b <= c) == (a <= c and b <= c)
    assert Access.nothing() <= a


@given(several)
def test_sights_are_closed_downwards(case: tuple[Observables, Access, Access, Access]) -> None:
    order, a, b, _ = case
    for name in (a | b).sees:
        assert order.order.below(name) <= (a | b).sees.keys()


@given(st.one_of(guarded, shipped))
def test_a_defense_only_takes_away_and_twice_is_once(case: tuple[Observables, Access, Access, Shield]) -> None:
    order, a, b, shield = case
    behind = shield.behind(a, order)
    assert behind <= a
    assert shield.behind(behind, order) == behind
    if a <= b and shield.bypassed_by(a) == shield.bypassed_by(b):
        assert behind <= shield.behind(b, order)


@given(several)
def test_gaps_are_empty_exactly_where_the_order_holds(case: tuple[Observables, Access, Access, Access]) -> None:
    _, need, have, more = case
    assert (gaps(need, have) == []) == (need <= have)
    assert {(gap.dimension, gap.name) for gap in gaps(need, have | more)} <= {
        (gap.dimension, gap.name) for gap in gaps(need, have)
    }
    for gap in gaps(need, have):
        assert gap.words()


def test_weights_are_never_metered() -> None:
    assert Access.of(SHIPPED, sees=["weights"], queries=5).queries == math.inf
    assert Access.of(SHIPPED, sees=["scores"], queries=5).queries == 5


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ("weights", "input_gradients"),
        ("weights", "logits"),
        ("logits", "scores"),
        ("scores", "top_k"),
        ("top_k", "label"),
    ],
)
def test_the_shipped_order_is_the_one_of_the_design(strong: str, weak: str) -> None:
    assert SHIPPED.order.follows(weak, strong)
    assert not SHIPPED.order.follows(strong, weak)


def test_embedding_like_features_and_logits_are_incomparable() -> None:
    assert not SHIPPED.order.follows("features", "logits")
    assert not SHIPPED.order.follows("logits", "features")
    assert SHIPPED.order.cycle() == ()


def test_a_larger_top_k_holds_the_smaller() -> None:
    five, one = (Access.of(SHIPPED, sees={"top_k": size}) for size in (5.0, 1.0))
    assert one <= five
    assert not five <= one
    assert five <= Access.of(SHIPPED, sees=["scores"])


@given(st.sampled_from(sorted(SHIPPED.by_name)), st.sampled_from(sorted(SHIPPED.by_name)))
def test_a_derivation_leads_from_what_is_native_to_what_is_asked(native: str, wanted: str) -> None:
    chain = SHIPPED.derivation(wanted, [native])
    assert (chain is not None) == SHIPPED.order.follows(wanted, native)
    if chain is not None:
        assert (chain[0], chain[-1]) == (native, wanted)
        for strong, weak in itertools.pairwise(chain):
            assert strong in SHIPPED.by_name[weak].sources


def test_what_leaked_stays_behind_its_defense() -> None:
    both = Shield("noise", "representation", transforms=frozenset({"embedding", "stored_embeddings"}))
    store = Shield("noise", "representation", transforms=both.transforms, on=frozenset({"stored_embeddings"}))
    asked = Shield("noise", "representation", transforms=both.transforms, on=frozenset({"embedding"}))
    answers = Shield("noise", "representation", transforms=frozenset({"embedding"}))
    training = Shield("dp", "training", transforms=both.transforms)
    guarded = [each.guards("stored_embeddings", "embedding") for each in (both, store, asked, answers, training)]
    assert guarded == [True, True, False, True, False]
