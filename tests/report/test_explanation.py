"""Why a node ran, what it is made of, and the root of its failure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mialang.cli.explaining import explanation_words
from mialang.engine.executors import Inline
from mialang.engine.runs import Run, perform
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.plan.model import Plan
from mialang.report.explanation import explain
from mialang.report.record import Record
from tests.engine.toys import node, plan

CLOCK = 1_000_000_000.0


def run(store: Store, made: Plan, clock: float = CLOCK) -> Record:
    started = Run.begin(store, made, clock)
    perform(started, made, store, Inline(), Settings(trusted=("tests",)))
    return Record(started, made, store, started.outcome())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.prepare()
    return made


def reason(record: Record, name: str) -> str:
    made = explain(record, name)
    return f"{made.fate}: {made.because}"


def test_a_first_run_computes_what_nobody_knew_and_a_second_says_who_did(store: Store) -> None:
    made = plan([node("a-1", plus=1), node("b-1", ["a-1"])])
    first, second = run(store, made), run(store, made, CLOCK + 60)
    assert reason(first, "b-1") == "computed: no earlier run of this store has a node like it"
    assert reason(second, "b-1") == f"known already: the store had its result: the run {first.run.id} computed it"


def renamed(label: str, number: int, **how: Any) -> Any:
    return node(f"{label}-{number}", **how).model_copy(update={"label": label})


def test_a_changed_parameter_a_changed_input_and_a_changed_seed_are_told_apart(store: Store) -> None:
    before = run(store, plan([renamed("a", 1, plus=1), renamed("b", 1, inputs=["a-1"])]))
    params = run(store, plan([renamed("a", 2, plus=2), renamed("b", 2, inputs=["a-2"])]), CLOCK + 60)
    assert (
        reason(params, "a-2")
        == f"computed: it differs from `a-1` of the run {before.run.id}: plus 1 → 2, name a-1 → a-2"
    )
    alike = plan([renamed("a", 3, plus=2), renamed("b", 3, inputs=["a-3"])])
    nodes = {
        name: each.model_copy(update={"params": {**each.params, "name": "n"}}) for name, each in alike.nodes.items()
    }
    base = run(store, alike.model_copy(update={"nodes": nodes}), CLOCK + 120)
    seeded = {
        name.replace("3", "4"): each.model_copy(update={"id": name.replace("3", "4"), "seed": 5})
        for name, each in nodes.items()
    }
    seeded["b-4"] = seeded["b-4"].model_copy(
        update={"inputs": ("a-4",), "params": {**nodes["b-3"].params, "of": [{"$node": "a-4"}]}}
    )
    after = run(store, alike.model_copy(update={"nodes": seeded}), CLOCK + 180)
    assert (
        reason(after, "a-4") == f"computed: it draws with another seed than `a-3` of the run {base.run.id}: 5, not None"
    )
    assert reason(after, "b-4") == f"computed: it rests on `a-4`, unlike `b-3` of the run {base.run.id}"


def test_contents_that_changed_under_an_equal_plan_are_the_reason(store: Store) -> None:
    made = plan([node("a-1", plus=1), node("b-1", ["a-1"])])
    before = run(store, made)
    after = run(store, made, CLOCK + 60)
    outcome = {
        **before.outcome,
        "nodes": {**before.outcome["nodes"], "a-1": {**before.outcome["nodes"]["a-1"], "output": "0" * 64}},
    }
    (before.run.folder / "outcome.json").write_text(json.dumps(outcome))
    fresh = {**after.outcome["nodes"]["b-1"], "cached": False}
    after = replace(after, outcome={**after.outcome, "nodes": {**after.outcome["nodes"], "b-1": fresh}})
    assert reason(after, "b-1") == f"computed: the contents of `a-1` changed since the run {before.run.id}"


def test_a_damaged_result_is_the_reason_that_the_events_tell(store: Store) -> None:
    made = plan([node("a-1", plus=1)])
    before = run(store, made)
    store.blob_path(before.outcome["nodes"]["a-1"]["output"]).write_bytes(b"damaged")
    after = run(store, made, CLOCK + 60)
    assert reason(after, "a-1") == "computed: it was known before, and its result is missing or damaged"


def test_a_skipped_node_names_the_root_of_the_failure_and_the_way_from_it(store: Store) -> None:
    record = run(store, plan([
        node("bad-1", function="fail"), node("good-1"), node("next-1", ["bad-1", "good-1"]), node("last-1", ["next-1"]),
    ]))  # fmt: skip
    made = explain(record, "last-1")
    assert made.fate == "skipped"
    assert made.cause is not None
    assert made.cause.path == ("bad-1", "next-1", "last-1")
    words = explanation_words(made, record)
    assert "root cause: bad-1 failed, and through it next-1 → last-1" in words
    assert "failed: bad-1 failed" in words
    assert "note: the note" in words
    assert "help: the help" in words
    assert explain(record, "bad-1").fate == "failed"
    assert explain(record, "good-1").cause is None


def test_what_was_not_selected_or_could_not_run_says_so(store: Store) -> None:
    made = plan([node("a-1"), node("b-1", ["a-1"]), node("c-1")]).model_copy(update={"selected": ("b-1",)})
    record = run(store, made)
    assert reason(record, "b-1") == "lacking: `a-1`, on which it rests, is neither selected nor known"
    assert explain(record, "c-1").fate == "not selected"
    assert record.verdict.status == "inconclusive"


def test_parts_and_sources_are_listed_with_what_became_of_them(store: Store) -> None:
    record = run(store, plan([node("a-1", plus=3), node("b-1", ["a-1"], seed=9)]))
    words = explanation_words(explain(record, "b-1"), record)
    assert "made of plus = 0" in words
    assert f"rests on a-1 (computed, result {record.outcome['nodes']['a-1']['output'][:12]})" in words
    assert "draws with seed 9" in words
