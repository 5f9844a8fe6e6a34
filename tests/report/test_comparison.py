"""Two runs side by side: nothing differs from itself, changes read the same in both directions, chance is told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mialang.cli.comparing import comparison_words
from mialang.engine.runs import Run
from mialang.report.comparison import as_json, compare, own_parameters
from mialang.report.record import Record
from tests.report.audits import LEAK, UTILITY, Audit, audit, limit


def one(
    folder: Path, values: list[list[float]], threshold: float = 0.5, *, cell: str = "none()", **changes: Any
) -> Record:
    made = Audit(folder, (cell,))
    made.measurements = [LEAK, UTILITY]
    made.attack("GMI", 0, values)
    made.attack("GMI", 0, [[0, 0, 0], [0, 0, 0]], "blind")
    for _ in range(1):
        made.read("utility", {"defense": 0}, 0, [0.9] * 10)
        made.read("utility", {"defense": 0}, 1, [0.9] * 10)
    made.gate("leaks", limit("<=", threshold))
    made.changes = changes
    return made.record()


def test_a_run_equals_itself(tmp_path: Path) -> None:
    record = audit(tmp_path).record()
    made = compare(record, record)
    assert made.equal
    assert as_json(made)["equal"] is True
    assert "equal: spec" in comparison_words(made)


def test_what_differs_reads_the_same_in_both_directions(tmp_path: Path) -> None:
    before = one(tmp_path / "one", [[1, 1, 0], [1, 0, 1]])
    after = one(tmp_path / "other", [[0, 0, 0], [0, 0, 0]], spec="mia 1\n# new\n", seed=8)
    there, back = compare(before, after), compare(after, before)
    assert not there.equal
    assert there.status == back.status[::-1]
    assert {(each.rule, each.cell, each.before, each.after) for each in there.rules} == {
        (each.rule, each.cell, each.after, each.before) for each in back.rules
    }
    assert [(each.view, each.before, each.after, each.within) for each in there.figures] == [
        (each.view, each.after, each.before, each.within) for each in back.figures
    ]
    assert [each for each in there.spec if each.startswith("+")] == ["+# new"]
    assert [(each.name, each.before, each.after) for each in there.settings] == [("seed", "7", "8")]


def test_a_verdict_that_turns_is_told_rule_by_rule_and_cell_by_cell(tmp_path: Path) -> None:
    before = one(tmp_path / "one", [[0, 0, 0], [0, 0, 0]])
    after = one(tmp_path / "other", [[1, 1, 1], [1, 1, 1]])
    made = compare(before, after)
    assert made.status == ("pass", "fail")
    assert [(each.rule, each.cell, each.before, each.after) for each in made.rules] == [
        ("", "", "pass", "fail"),
        ("require leak.gain <= 50 %", "none()", "pass", "fail"),
    ]
    assert "the audit: pass → fail" in comparison_words(made)


def test_a_cell_whose_value_is_a_number_is_named_with_its_axis(tmp_path: Path) -> None:
    before = one(tmp_path / "one", [[0, 0, 0], [0, 0, 0]], cell="0.3")
    after = one(tmp_path / "other", [[1, 1, 1], [1, 1, 1]], cell="0.3")
    said = comparison_words(compare(before, after))
    assert "“leaks”, require leak.gain <= 50 %, defense = 0.3: pass → fail" in said
    assert "leak.top1[GMI] at defense = 0.3: " in said


@pytest.mark.parametrize(
    ("after", "within"),
    [([[1, 1, 0], [1, 0, 1]], None), ([[1, 0, 0], [1, 0, 1]], True), ([[0, 0, 0], [0, 0, 0]], True)],
)
def test_overlapping_intervals_are_no_difference_that_can_be_told(
    tmp_path: Path, after: list[list[float]], within: bool | None
) -> None:
    made = compare(one(tmp_path / "one", [[1, 1, 0], [1, 0, 1]]), one(tmp_path / "other", after))
    values = [each.within for each in made.figures if each.view == "value"]
    assert values == ([] if within is None else [within])


def test_figures_apart_lie_beyond_the_intervals(tmp_path: Path) -> None:
    many = [1.0] * 60
    made = compare(one(tmp_path / "one", [many, many]), one(tmp_path / "other", [[0.0] * 60, [0.0] * 60]))
    (value,) = (each for each in made.figures if each.view == "value")
    assert value.within is False
    assert "(beyond the intervals)" in comparison_words(made)


def test_a_figure_that_is_missing_has_no_interval_to_lie_in(tmp_path: Path) -> None:
    made = compare(one(tmp_path / "one", [[1, 1, 0], [1, 0, 1]]), audit(tmp_path / "other").record())
    absent = [each for each in made.figures if each.before is None or each.after is None]
    assert absent
    assert {each.within for each in absent} == {None}


def test_a_changed_parameter_is_named_and_what_rests_on_it_is_counted(tmp_path: Path) -> None:
    before = one(tmp_path / "one", [[1, 1, 0], [1, 0, 1]])
    nodes = dict(before.plan.nodes)
    renamed = {"victim": "victim-0000000001"}

    def moved(node: Any) -> Any:
        inputs = tuple(renamed.get(each, each) for each in node.inputs)
        return node.model_copy(update={"inputs": inputs})

    victim = nodes.pop("victim").model_copy(update={"id": "victim-0000000001", "params": {"epochs": 4}})
    changed = {"victim-0000000001": victim, **{name: moved(node) for name, node in nodes.items()}}
    after = replace(before, plan=before.plan.model_copy(update={"nodes": changed}))
    made = compare(before, after)
    (change,) = made.nodes
    assert (change.what, change.label, change.count) == ("changed", "victim", 1)
    assert [(each.name, each.before, each.after) for each in change.parameters] == [("epochs", "3", "4")]
    assert "victim (target): epochs 3 → 4" in comparison_words(made)


def test_other_bytes_of_the_same_node_are_a_difference(tmp_path: Path) -> None:
    record = one(tmp_path, [[1, 1, 0], [1, 0, 1]])
    outcome = {**record.outcome, "nodes": dict(record.outcome["nodes"])}
    outcome["nodes"]["victim"] = {**outcome["nodes"]["victim"], "output": "f" * 64}
    made = compare(record, replace(record, outcome=outcome))
    assert dict(made.results) == {"victim": 1}
    assert not made.equal


def test_a_run_that_never_ended_has_no_verdict_to_compare(tmp_path: Path) -> None:
    record = one(tmp_path, [[1, 1, 0], [1, 0, 1]])
    stopped = Record(Run("20990101-000000-abcdef", tmp_path), record.plan, record.store, {})
    made = compare(record, stopped)
    assert not made.equal
    assert made.status[1] is None
    assert "the run 20990101-000000-abcdef never ended" in comparison_words(made)


def test_parameters_of_terms_go_by_their_path_and_keep_every_digit() -> None:
    params = {
        "by": {"$term": "adam", "args": {"lr": 0.1 + 1e-12, "betas": [0.9, 0.999]}},
        "over": {"$node": "gan-0123456789", "member": "latent"},
        "minimise": {"$algebra": "*", "operands": [2, {"$term": "l2", "args": {}}]},
    }
    assert own_parameters(params) == {
        "by": "adam",
        "by.lr": repr(0.1 + 1e-12),
        "by.betas": "[0.9, 0.999]",
        "over": "gan",
        "minimise": "2 * l2()",
    }
    assert "over" not in own_parameters(params, inputs=False)
