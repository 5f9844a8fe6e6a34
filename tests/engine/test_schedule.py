"""Plans run to the end whatever happens on the way: crashes, failures, equal results."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.events import Listener
from mialang.engine.executors import Inline
from mialang.engine.schedule import Outcome, Schedule, known_nodes
from mialang.engine.store import Action, Store
from mialang.engine.work import Job, Settings, node_key
from mialang.plan.model import BudgetPlan, Node, Plan
from tests.engine import toys
from tests.engine.toys import CrashError, node, plan

SETTINGS = Settings(trusted=("tests",))


def quiet(event: str, /, **facts: object) -> None:
    """Listen to nothing."""


class Fragile(Inline):
    """Loses power when the n-th job begins, or just after it ended."""

    def __init__(self, crash_at: int, *, after: bool) -> None:
        super().__init__()
        self.left = crash_at
        self.after = after

    def submit(self, job: Job, tell: Listener) -> Future[Action]:
        self.left -= 1
        if not self.left and not self.after:
            raise CrashError
        future = super().submit(job, tell)
        if not self.left:
            raise CrashError
        return future


def run(made: Plan, folder: Path, executor: Inline | None = None) -> Outcome:
    store = Store(folder)
    store.prepare()
    return Schedule(made, store, executor or Inline(), quiet, SETTINGS).run()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    nodes: list[Node] = []
    for place in range(draw(st.integers(1, 9))):
        inputs = sorted(draw(st.sets(st.integers(0, place - 1), max_size=3))) if place else []
        seed = draw(st.one_of(st.none(), st.integers(0, 3)))
        function = draw(st.sampled_from(["add", "add", "constant"]))
        nodes.append(node(f"n{place}", [f"n{each}" for each in inputs], draw(st.integers(0, 2)), function, seed))
    return plan(nodes)


@settings(max_examples=25)
@given(plans(), st.integers(1, 9), st.booleans())
def test_resuming_after_a_crash_equals_an_uninterrupted_run(made: Plan, crash_at: int, after: bool) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole = run(made, Path(one))
        toys.calls.clear()
        with contextlib.suppress(CrashError):
            run(made, Path(other), Fragile(crash_at, after=after))
        before = list(toys.calls)
        toys.calls.clear()
        again = run(made, Path(other))
        assert again.outputs == whole.outputs
        assert not set(before) & set(toys.calls), "a finished node ran twice"
        toys.calls.clear()
        assert run(made, Path(other)).outputs == whole.outputs
        assert toys.calls == []


@settings(max_examples=20)
@given(plans())
def test_no_node_runs_before_its_inputs_nor_twice(made: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        toys.calls.clear()
        outcome = run(made, Path(folder))
        assert len(set(toys.calls)) == len(toys.calls)
        for name in toys.calls:
            position = toys.calls.index(name)
            for source in made.nodes[name].inputs:
                assert source in outcome.cached or toys.calls.index(source) < position
        assert set(toys.calls) | outcome.cached == set(made.nodes)


def test_an_equal_result_cuts_the_work_that_follows(tmp_path: Path) -> None:
    first = plan([node("a", plus=1, function="constant"), node("b", ["a"])])
    second = plan([node("a", plus=2, function="constant"), node("b", ["a"])])
    run(first, tmp_path)
    toys.calls.clear()
    outcome = run(second, tmp_path)
    assert toys.calls == ["a"]
    assert outcome.cached == {"b"}


def test_a_failure_skips_only_its_cone_and_every_cause_is_told(tmp_path: Path) -> None:
    made = plan([
        node("bad", function="fail"), node("worse", function="break_down"), node("good", plus=1),
        node("after_bad", ["bad", "good"]), node("after_both", ["after_bad", "worse"]), node("after_good", ["good"]),
    ])  # fmt: skip
    outcome = run(made, tmp_path)
    assert set(outcome.actions) == {"good", "after_good"}
    assert outcome.failures["bad"].title == "bad failed"
    assert (outcome.failures["bad"].note, outcome.failures["bad"].help) == ("the note", "the help")
    assert "ZeroDivisionError" in outcome.failures["worse"].title
    assert "Traceback" in outcome.failures["worse"].detail
    assert outcome.skipped == {"after_bad": "bad", "after_both": "bad"}


def test_a_damaged_result_is_computed_again_with_a_warning(tmp_path: Path) -> None:
    made = plan([node("a", plus=1), node("b", ["a"])])
    outcome = run(made, tmp_path)
    path = Store(tmp_path).blob_path(outcome.outputs["a"])
    path.write_bytes(b"damaged")
    toys.calls.clear()
    events: list[tuple[str, dict[str, object]]] = []
    again = Schedule(
        made, Store(tmp_path), Inline(), lambda event, **facts: events.append((event, facts)), SETTINGS
    ).run()
    assert again.outputs == outcome.outputs
    assert toys.calls == ["a"]
    assert [facts["reason"] for event, facts in events if event == "recomputed"] == ["its result is missing or damaged"]


def test_code_that_is_not_trusted_is_not_imported(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    outcome = Schedule(plan([node("a")]), store, Inline(), quiet, Settings()).run()
    assert "is not trusted" in outcome.failures["a"].title
    assert "--trust tests" in outcome.failures["a"].help


@given(st.permutations(["x", "y", "z"]), st.text("ab", min_size=1, max_size=3))
def test_a_key_says_what_a_node_is_and_not_where_it_stands(names: Sequence[str], label: str) -> None:
    one = node("n", names[:2], 1)
    renamed = one.model_copy(
        update={"id": "m", "label": label, "repeat": 3, "after": ("q",), "queries": 5, "seconds": 2.0}
    )
    outputs = {"x": "1" * 64, "y": "2" * 64, "z": "3" * 64}
    assert node_key(one, outputs) == node_key(renamed, outputs)
    for change in ({"seed": 4}, {"version": 2}, {"params": {**one.params, "plus": 2}}, {"operator": "other"}):
        assert node_key(one, outputs) != node_key(one.model_copy(update=change), outputs)
    assert node_key(one, outputs) != node_key(one, {**outputs, names[0]: "4" * 64})


def test_what_is_known_is_told_without_running(tmp_path: Path) -> None:
    made = plan([node("a", plus=1), node("b", ["a"]), node("c", function="fail")])
    assert known_nodes(made, Store(tmp_path), Settings().look) == (frozenset(), {})
    run(made, tmp_path)
    cached, seconds = known_nodes(made, Store(tmp_path), Settings().look)
    assert cached == {"a", "b"}
    assert set(seconds) == {"add"}


def test_a_seed_reaches_the_operator_and_the_evidence(tmp_path: Path) -> None:
    outcome = run(plan([node("a", seed=41)]), tmp_path)
    evidence = outcome.actions["a"].evidence
    assert evidence["notes"] == {"seed": 41}
    assert evidence["threads"] >= 1
    assert "asked" not in evidence


@pytest.mark.parametrize("function", ["missing", "no_such"])
def test_a_function_that_does_not_exist_is_a_failure(tmp_path: Path, function: str) -> None:
    outcome = run(plan([node("a", function=function)]), tmp_path)
    assert "there is no function" in outcome.failures["a"].title


def test_a_spent_time_budget_leaves_the_rest_undone_and_keeps_what_is_done(tmp_path: Path) -> None:
    made = plan([node("a", plus=1), node("b", ["a"])])
    broke = made.model_copy(update={"budget": BudgetPlan(seconds=0.0)})
    run(plan([node("a", plus=1)]), tmp_path)
    outcome = run(broke, tmp_path)
    assert outcome.cached == {"a"}
    assert outcome.unfinished == {"b"}
    assert run(made, tmp_path).unfinished == set()


def test_judges_and_measurements_do_not_wait_for_more_attacks(tmp_path: Path) -> None:
    attacks = [node(f"attack {each}", plus=each) for each in (1, 2)]
    judge = node("judge", plus=3).model_copy(update={"role": "judge"})
    measured = [
        node(f"measured {each}", [f"attack {each}", "judge"]).model_copy(update={"role": "metric"}) for each in (1, 2)
    ]
    toys.calls.clear()
    run(plan([*attacks, judge, *measured]), tmp_path)
    assert toys.calls == ["judge", "attack 1", "measured 1", "attack 2", "measured 2"]
