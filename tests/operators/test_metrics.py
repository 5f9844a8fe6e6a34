"""Metrics look at all outputs, and say when they cannot be computed."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.candidates import Candidates
from mialang.operators.measurement import Measurement
from mialang.operators.metrics import accuracy, attack_accuracy, feature_distance, knn_distance, queries
from tests.operators.stand_in import Formula, StandIn, run
from tests.operators.strategies import candidates

UNITS = (1, 4, 6)
JUDGE = StandIn(Formula(UNITS, (3,), lambda x: x))


class Rows:
    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets
        self.classes = tuple(sorted(set(targets.tolist())))

    def __len__(self):
        return len(self.inputs)


def outputs(values, labels, attempted=UNITS):
    labels = torch.tensor(labels)
    return Candidates(torch.tensor(values), labels, torch.zeros(len(labels)), labels, attempted)


def value(measurement, name=""):
    values, _ = measurement.fields[name]
    return sum(values) / len(values)


@given(candidates(units=UNITS))
def test_accuracy_counts_every_output_and_every_missing_one(made):
    measured = attack_accuracy(of=made, judge=JUDGE, top=[1, 2], run=run())
    counts = [int((made.group == unit).sum()) for unit in UNITS]
    each = max(counts) or 1
    for k in (1, 2):
        values, items = measured.fields[f"top{k}"]
        assert len(values) == each * len(UNITS)
        assert all(items.count(f"class {unit}") == each for unit in UNITS)
        chosen = made.values.topk(k, dim=1).indices
        hits = sum(UNITS.index(label) in row for label, row in zip(made.labels.tolist(), chosen.tolist(), strict=True))
        assert sum(values) == hits


@given(candidates(units=UNITS), st.permutations(UNITS))
def test_renaming_classes_changes_no_figure(made, names):
    # R-PPA-1: a released metric treats class 0 as no class.
    renamed = dict(zip(UNITS, names, strict=True))
    columns = torch.tensor([UNITS.index(renamed[unit]) for unit in UNITS])
    labels = torch.tensor([renamed[label] for label in made.labels.tolist()], dtype=torch.long)
    moved = torch.zeros_like(made.values)
    moved[:, columns] = made.values
    other = replace(made, values=moved, labels=labels, group=labels)
    secret = Rows(torch.eye(3), torch.tensor(UNITS))
    again = Rows(torch.eye(3)[:, torch.argsort(columns)][:, :], torch.tensor(names))
    for k in (1, 2):
        a = attack_accuracy(of=made, judge=JUDGE, top=[k], run=run())
        b = attack_accuracy(of=other, judge=JUDGE, top=[k], run=run())
        ties = made.values.sort(dim=1).values.diff(dim=1).eq(0).any() if len(made) else False
        assert ties or value(a, f"top{k}") == value(b, f"top{k}")
    del again
    first = knn_distance(of=made, secret=secret, features=JUDGE, run=run())
    assert bool(first.reasons) == any(int((made.group == unit).sum()) == 0 for unit in UNITS)


def test_top_k_of_all_classes_is_not_available():
    # R-MIB-7: three classes have no accuracy among five.
    made = outputs([[1.0, 0, 0]], [1])
    measured = attack_accuracy(of=made, judge=JUDGE, top=[1, 3, 5], run=run())
    assert set(measured.fields) == {"top1"}
    assert set(measured.reasons) == {"top3", "top5"}
    assert "always right" in measured.reasons["top5"]


def test_a_judge_that_does_not_know_a_class_measures_nothing():
    made = outputs([[1.0, 0, 0]], [9], attempted=(9,))
    measured = attack_accuracy(of=made, judge=JUDGE, top=[1], run=run())
    assert measured.fields == {}
    assert "class 9" in measured.reasons["top1"]


def test_distances_in_closed_form():
    secret = Rows(torch.tensor([[0.0, 0, 0], [2, 0, 0], [5, 5, 5]]), torch.tensor([1, 1, 4]))
    made = outputs([[0.5, 0, 0], [5.0, 5, 6]], [1, 4], attempted=(1, 4))
    near = knn_distance(of=made, secret=secret, features=JUDGE, run=run())
    centre = feature_distance(of=made, secret=secret, features=JUDGE, run=run())
    torch.testing.assert_close(torch.tensor(near.fields[""][0]), torch.tensor([0.25, 1.0]))
    torch.testing.assert_close(torch.tensor(centre.fields[""][0]), torch.tensor([0.25, 1.0]))
    farther = replace(made, values=made.values + torch.tensor([2.0, 0, 0]))
    assert value(knn_distance(of=farther, secret=secret, features=JUDGE, run=run())) == (0.25 + 5.0) / 2
    assert value(feature_distance(of=farther, secret=secret, features=JUDGE, run=run())) == (2.25 + 5.0) / 2


def test_distances_are_not_available_where_a_class_is_missing():
    # R-PLG-1, R-DIFF-1: released metrics look at successful outputs only, and give numbers when there are none.
    secret = Rows(torch.eye(3), torch.tensor(UNITS))
    made = outputs([[0.5, 0, 0]], [1])
    for metric in (knn_distance, feature_distance):
        measured = metric(of=made, secret=secret, features=JUDGE, run=run())
        assert measured.fields == {}
        assert measured.reasons[""] == "class 4 has no output"
    stranger = outputs([[0.5, 0, 0]], [1], attempted=(1,))
    lacking = Rows(torch.eye(3)[1:], torch.tensor([4, 6]))
    assert "no class 1" in knn_distance(of=stranger, secret=lacking, features=JUDGE, run=run()).reasons[""]


def test_utility_is_the_share_of_right_labels():
    records = Rows(torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]), torch.tensor([1, 4, 6]))
    measured = accuracy(of=JUDGE, on=records, run=run())
    assert value(measured) == 2 / 3
    assert len(set(measured.fields[""][1])) == 3
    foreign = Rows(torch.eye(3)[:1], torch.tensor([8]))
    assert "class 8" in accuracy(of=JUDGE, on=foreign, run=run()).reasons[""]


def test_questions_are_counted_or_declared_uncounted():
    made = outputs([[1.0, 0, 0]], [1])
    assert queries(of=made, run=run()).fields == {}
    assert value(queries(of=replace(made, asked=torch.tensor([12])), run=run())) == 12


def test_a_measurement_is_plain_json():
    made = Measurement().with_field("a", torch.tensor([1.0, 0.0]), ["x", "y"]).without_field("b", "why")
    assert made.json() == {"fields": {"a": {"values": [1.0, 0.0], "items": ["x", "y"]}, "b": {"unavailable": "why"}}}
