"""Selection: closed under what it says, empty never, and what is left out is not evaluated."""

from __future__ import annotations

from functools import lru_cache

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.diagnostics import Diagnostic, error
from mialang.plan import Plan, lower
from mialang.plan.selection import Past, needed_by_selection, select
from tests.specs import sound, spec


@lru_cache
def plan() -> Plan:
    return lower(sound(spec()))


def graph() -> nx.DiGraph:
    drawn = nx.DiGraph(plan().edges())
    drawn.add_nodes_from(plan().nodes)
    return drawn


def nobody(name: str) -> Diagnostic:
    return error("E0811", f"there is no run called `{name}`")


def chosen(*wanted: str, past: Past | None = None) -> set[str]:
    made, found = select(plan(), wanted, (lambda _: past) if past else nobody)
    assert found == []
    assert made.selected is not None
    return set(made.selected)


def refused(*wanted: str, past: Past | None = None) -> Diagnostic:
    made, found = select(plan(), wanted, (lambda _: past) if past else nobody)
    assert made.selected is None
    (one,) = found
    return one


def steps(names: set[str]) -> set[str]:
    return {name for name in names if not plan().nodes[name].passes_on}


@given(st.sampled_from(sorted(plan().nodes)), st.booleans(), st.booleans())
def test_a_plus_adds_what_is_needed_or_what_needs_it(name: str, before: bool, behind: bool) -> None:
    expected = {name}
    if before:
        expected |= nx.ancestors(graph(), name)
    if behind:
        expected |= nx.descendants(graph(), name)
    if steps(expected):
        assert chosen("+" * before + name + "+" * behind) == steps(expected)
    else:
        assert "nothing is selected" in refused("+" * before + name + "+" * behind).title


@given(
    st.lists(
        st.sampled_from(["victim", "+leak", "kind:judge", "wgan_gp+", "cell:defense=none()", "*GMI*"]),
        min_size=1,
        max_size=4,
    )
)
def test_several_expressions_add_up(wanted: list[str]) -> None:
    assert chosen(*wanted) == set.union(*(chosen(each) for each in wanted))


def test_cells_that_share_a_node_are_told_apart() -> None:
    matrix = "matrix { defense = [none(), round_scores()]  repeat = 5 }"
    shared = lower(sound(spec(matrix=matrix, gate='gate "g" { require leak.gain.top1 <= 90 % }')))
    made, found = select(shared, ["cell:defense=none()"], nobody)
    assert found == []
    leak = [reading for reading in made.readings if reading.measurement == "leak"]
    assert {reading.node for reading in leak if reading.selected} == {reading.node for reading in leak}
    assert {reading.cell["defense"] for reading in leak if reading.selected} == {0}
    by_name, _ = select(shared, ["leak"], nobody)
    assert all(reading.selected for reading in by_name.readings if reading.measurement == "leak")


def test_no_expression_selects_everything() -> None:
    made, found = select(plan(), (), nobody)
    assert made == plan()
    assert found == []
    assert needed_by_selection(made) == plan().nodes


def test_names_are_labels_operators_measurements_attacks_and_recipes() -> None:
    nodes = plan().nodes
    assert chosen("victim") == {name for name, node in nodes.items() if node.label == "victim" and not node.passes_on}
    assert chosen("descend") == {name for name, node in nodes.items() if node.operator == "descend"}
    assert chosen("leak") == {reading.node for reading in plan().readings if reading.measurement == "leak"}
    assert chosen("GMI") == chosen("inside.GMI") <= chosen("inside")
    assert {nodes[name].role for name in chosen("GMI")} == {"attack"}
    assert chosen("wgan*") == chosen("wgan_gp")


def test_kinds_are_roles_and_what_nodes_make() -> None:
    nodes = plan().nodes
    assert chosen("kind:attack") == {name for name, node in nodes.items() if node.role == "attack"}
    assert chosen("kind:candidates") <= chosen("kind:attack")


def test_a_cell_brings_all_that_it_rests_on_and_no_other_cell() -> None:
    made, _ = select(plan(), ["cell:defense=none()"], nobody)
    assert made.selected is not None
    assert set(needed_by_selection(made)) - set(made.selected) == {
        name for name in needed_by_selection(made) if plan().nodes[name].passes_on
    }
    inside = {reading.node for reading in plan().readings if reading.cell.get("defense", 0) == 0}
    outside = {reading.node for reading in plan().readings if reading.cell.get("defense", 0) != 0} - inside
    assert inside <= set(made.selected)
    assert not outside & set(made.selected)
    assert all(reading.selected == (reading.cell.get("defense", 0) == 0) for reading in made.readings)
    assert chosen("cell:defense=none") == chosen("cell: defense = none( )") == set(made.selected)
    assert chosen("cell:defense=none()", "cell:defense=negative_label_smoothing") == steps(set(plan().nodes))


def test_what_changed_is_what_an_earlier_run_does_not_know_and_what_rests_on_it() -> None:
    everything = frozenset(plan().nodes)
    victim = next(iter(chosen("victim")))
    past = Past(everything - {victim}, frozenset())
    assert chosen("changed:last", past=past) == steps({victim} | nx.descendants(graph(), victim))
    renamed = Past(frozenset(f"other-{name.rpartition('-')[2]}" for name in everything), frozenset())
    assert "nothing has changed" in refused("changed:last", past=renamed).title


def test_what_failed_is_what_an_earlier_run_left_without_a_result() -> None:
    past = Past(frozenset(), frozenset(chosen("victim")))
    assert chosen("failed:last", past=past) == chosen("victim")
    assert "nothing failed" in refused("failed:last", past=Past(frozenset(), frozenset())).title
    assert (
        "no part of this audit" in refused("failed:last", past=Past(frozenset(), frozenset({"gone-0123456789"}))).title
    )


@pytest.mark.parametrize(
    ("wanted", "title", "help_"),
    [
        ("victm", "nothing in this audit is called `victm`", "did you mean `victim`?"),
        ("zzz*", "no name in this audit is like `zzz*`", ""),
        ("", "a selection names nothing", "write for example"),
        ("+", "a selection names nothing", "write for example"),
        ("kind:atack", "no node of this audit is or makes `atack`", "did you mean `attack`?"),
        ("knd:attack", "selects by `knd`", "did you mean `kind`?"),
        ("cell:none()", "is not AXIS=VALUE", "cell:defense=none()"),
        ("cell:defence=none()", "no axis `defence`", "did you mean `defense`?"),
        ("cell:defense=non()", "has no value `non()`", "did you mean `none()`?"),
        ("failed:yesterday", "no run called `yesterday`", ""),
        ("images", "nothing is selected by `images`", "put a `+` behind it"),
    ],
)
def test_what_cannot_be_selected_is_said_with_the_next_step(wanted: str, title: str, help_: str) -> None:
    found = refused(wanted)
    assert title in found.title
    assert help_ in " ".join(found.helps)


def test_every_expression_that_is_wrong_is_told() -> None:
    made, found = select(plan(), ["victm", "kind:atack", "leak"], nobody)
    assert made.selected is None
    assert len(found) == 2
