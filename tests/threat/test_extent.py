"""Extents are ordered, together with their unit and length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mialang.meaning.modules import Modules
from mialang.threat import Extent, Item, prior_kind

EXTENTS = Modules().registry.extent_order
extents = st.builds(
    Extent,
    st.sampled_from(sorted(EXTENTS.weaker)),
    st.sampled_from(["", "class", "record"]),
    st.one_of(st.none(), st.integers(1, 64).map(float)),
)


@given(extents, extents, extents)
def test_covering_is_reflexive_and_transitive(a: Extent, b: Extent, c: Extent) -> None:
    assert EXTENTS.covers(a, a)
    whole = all(each.per and each.length is not None for each in (a, b, c))
    if whole and EXTENTS.covers(a, b) and EXTENTS.covers(b, c):
        assert EXTENTS.covers(a, c)


def test_the_order_is_the_one_of_the_design() -> None:
    chains = [
        ("verbatim", "instance", "distribution", "prototype", "property"),
        ("instance", "attribute", "property"),
        ("verbatim", "paraphrase", "entities", "topic"),
        ("adjacency", "subgraph", "links"),
        ("instance", "node_attributes"),
    ]
    for chain in chains:
        for place, strong in enumerate(chain):
            for weak in chain[place:]:
                assert EXTENTS.covers(Extent(strong), Extent(weak))
            for weaker in chain[:place]:
                assert not EXTENTS.covers(Extent(strong), Extent(weaker))


def test_a_record_is_more_than_a_class_and_length_counts() -> None:
    assert EXTENTS.covers(Extent("prototype", "record"), Extent("prototype", "class"))
    assert not EXTENTS.covers(Extent("prototype", "class"), Extent("prototype", "record"))
    assert EXTENTS.covers(Extent("verbatim", "record", 32), Extent("verbatim", "record", 16))
    assert not EXTENTS.covers(Extent("verbatim", "record", 16), Extent("verbatim", "record", 32))


@given(st.lists(st.builds(Item, st.just("i"), st.sampled_from(["statistics", "public", "shadow", "overlapping"]))))
def test_granting_more_never_weakens_the_kind_of_a_prior(items: list[Item]) -> None:
    order = ("none", "statistics", "public", "shadow", "overlapping")
    for size in range(len(items)):
        assert order.index(prior_kind(items[:size])) <= order.index(prior_kind(items[: size + 1]))
    assert prior_kind([]) == "none"
