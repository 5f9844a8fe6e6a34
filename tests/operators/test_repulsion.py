"""Boundary repulsion: bounded, honest about refusals, never outside its class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.metrics import attack_accuracy
from mialang.operators.repulsion import sphere_repulsion
from mialang.operators.spaces import Space, clamp
from tests.operators.stand_in import Formula, StandIn, corners, run


@dataclass(frozen=True)
class Plain(Space):
    """Codes are the candidates."""

    dimension: int = 4

    def start(self, n, generator):
        return torch.randn(n, self.dimension, generator=generator)

    def decode(self, code):
        return code

    def project(self, code):
        return code


SETTINGS = {"points": 8, "radius": 1.0, "growth": 1.3, "inside": 0.75, "stride": 3.0, "patience": 50}


def climbed(target, *, starts=2, at_most=400, seed=1, over=None, use=None, **rest):
    notes = use or run(seed)
    made = sphere_repulsion(
        over=over or clamp(space=Plain(), to=3.0),
        of=target,
        starts=starts,
        at_most=at_most,
        run=notes,
        **SETTINGS | rest,
    )
    return made, notes.notes


@given(st.integers(2, 300), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=15)
def test_no_output_asks_more_than_allowed_and_each_keeps_its_label(at_most, starts, seed):
    # R-MIB-10: an accepted point is always answered with its class.
    target = StandIn(corners())
    made, _ = climbed(target, at_most=at_most, starts=starts, seed=seed)
    assert target.asked <= at_most * starts * 3
    assert (made.asked <= max(at_most, 2)).all()
    assert torch.equal(corners().answer("logits", made.values).argmax(1), target.column(made.labels))
    assert (made.code.abs() <= 3).all()


def test_outputs_move_away_from_the_border():
    model = corners()
    before, _ = climbed(StandIn(model), at_most=60)
    after, _ = climbed(StandIn(model), at_most=4000)

    def clearance(made):
        logits = model.answer("logits", made.values)
        own = StandIn(model).column(made.labels).unsqueeze(1)
        return (logits.gather(1, own).squeeze(1) - logits.scatter(1, own, -torch.inf).max(1).values).mean()

    assert clearance(after) > clearance(before) + 1
    assert (after.scores >= before.scores).all()


def test_a_target_that_rejects_every_step_ends_the_search():
    # R-BREP-1: a released loop does not count rejected steps and never ends.
    asked = []

    def fickle(x):
        asked.append(len(x))
        first = x[:, 0] if len(asked) == 1 else x[:, 0] * 0 - 9  # after the starts, everything is class 1
        return torch.stack([first, -first], 1)

    made, notes = climbed(StandIn(Formula((0, 1), (4,), fickle)), at_most=2000, patience=20)
    assert made.labels.tolist() == [0, 0, 1, 1]
    assert notes["steps_rejected"] == 20 * 2
    assert (made.asked <= 2000).all()


def test_a_class_without_a_start_counts_as_a_failure():
    # R-BREP-1: the denominator is what was attempted.
    model = Formula((0, 1, 2), (4,), lambda x: torch.stack([x[:, 0], -x[:, 0], x[:, 0] - 1], 1))  # never 2
    made, notes = climbed(StandIn(model), at_most=200)
    assert notes["classes_without_start"] == [2]
    assert set(made.labels.tolist()) == {0, 1}
    measured = attack_accuracy(of=made, judge=StandIn(model), top=[1], run=run())
    values, items = measured.fields["top1"]
    assert sum(values) / len(values) == 2 / 3
    assert items.count("class 2") == items.count("class 0") == 2


def test_a_search_for_which_nothing_is_found_hands_over_nothing():
    model = Formula((0, 1), (4,), lambda x: torch.stack([x[:, 0] * 0, x[:, 0] * 0 + 1], 1))
    made, notes = climbed(StandIn(Formula((0,), (4,), lambda x: x[:, :1] * 0)), at_most=4, starts=1)
    assert len(made) == 1
    empty, notes = climbed(StandIn(model, budget=0), at_most=40)
    assert len(empty) == 0
    assert notes["classes_without_start"] == [0, 1]


def test_the_budget_of_the_access_stops_the_search_and_is_noted():
    target = StandIn(corners(), budget=700)
    made, notes = climbed(target, at_most=4000)
    assert notes["stopped_by_access_budget"] is True
    assert target.asked <= 700
    assert len(made) > 0
