"""The vectorised search: candidates do not feel each other, stop when they should, and come back as scored."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators import search
from mialang.operators.algebra import Objective
from mialang.operators.errors import OperatorError
from mialang.operators.objectives import cross_entropy, l2, one_minus_confidence
from mialang.operators.optimisers import adam, sgd
from mialang.operators.spaces import Clamped, Pixels, clamp, pixels
from mialang.operators.stopping import Stopping, converged
from tests.operators.stand_in import Formula, StandIn, corners, run

SPACE = Pixels((4,), 0.2, 0.1)


def found(minimise, *, by=None, steps=20, starts=2, until=None, keep="last", seed=3, over=SPACE):
    rule = by or sgd(lr=0.05, momentum=0.5)
    return search.descend(
        over=over, minimise=minimise, by=rule, steps=steps, starts=starts, until=until, keep=keep, run=run(seed)
    )


def test_every_class_and_start_has_its_output_and_moves_to_its_class():
    target = StandIn(corners())
    made = found(cross_entropy(of=target, labels=None), starts=3, steps=60)
    assert made.labels.tolist() == [2, 2, 2, 5, 5, 5, 7, 7, 7]
    assert made.attempted == (2, 5, 7)
    assert torch.equal(target.ask("label", made.values), made.labels)
    torch.testing.assert_close(made.values, SPACE.decode(made.code))
    assert target.asked == 9 * 60 + 9 + 9  # steps, the cost of the last point, and the line above


@given(st.integers(1, 4), st.sampled_from([sgd(lr=0.05, momentum=0.5), adam(lr=0.1, beta1=0.9, beta2=0.999)]))
@settings(max_examples=8)
def test_a_candidate_does_not_depend_on_the_others(rows, by):
    # Per-candidate losses: neither more classes nor smaller chunks change where a candidate goes.
    whole = found(cross_entropy(of=StandIn(corners()), labels=None), by=by)
    memory, search.MEMORY = search.MEMORY, rows * 4 * search.FOOTPRINT
    try:
        parts = found(cross_entropy(of=StandIn(corners()), labels=None), by=by)
    finally:
        search.MEMORY = memory
    torch.testing.assert_close(whole.values, parts.values)
    torch.testing.assert_close(whole.scores, parts.scores)


def test_starts_differ_between_classes_and_repeat_under_a_seed():
    # R-MIB-4: a released sampler gives every class the same start.
    still = found(cross_entropy(of=StandIn(corners()), labels=None), by=sgd(lr=0.0, momentum=0.0), starts=3)
    assert len({tuple(row) for row in still.code.tolist()}) == 9
    again = found(cross_entropy(of=StandIn(corners()), labels=None), by=sgd(lr=0.0, momentum=0.0), starts=3)
    assert torch.equal(still.code, again.code)
    other = found(cross_entropy(of=StandIn(corners()), labels=None), by=sgd(lr=0.0, momentum=0.0), starts=3, seed=4)
    assert not torch.equal(still.code, other.code)


def test_before_a_decoy_only_the_other_terms_move_a_candidate():
    made = found(cross_entropy(of=StandIn(corners(), decoy=True), labels=None), steps=9)
    still = found(cross_entropy(of=StandIn(corners()), labels=None), by=sgd(lr=0.0, momentum=0.0))
    assert torch.equal(made.code, still.code)
    shrunk = found(cross_entropy(of=StandIn(corners(), decoy=True), labels=None) + l2(), steps=200)
    assert (shrunk.code.abs() < still.code.abs().clamp_min(1e-3)).all()


@dataclass(frozen=True)
class Logged(Objective):
    """Wrap an objective and keep what it said."""

    inner: Objective
    log: list

    def __call__(self, point):
        value = self.inner(point)
        self.log.append((point.code.detach().clone(), value.detach().clone()))
        return value

    def formula(self):
        return "logged"

    def models(self):
        return self.inner.models()


def test_the_lowest_cost_is_what_comes_back():
    # R-AIJ-1: a released search never updates its best score, and its best picture aliases the moving one.
    log = []
    wild = sgd(lr=0.3, momentum=0.9)  # overshoots, so that the last point is not the best
    objective = cross_entropy(of=StandIn(corners()), labels=None) + 2 * l2()
    made = found(Logged(objective, log), by=wild, keep="lowest", steps=12)
    costs = torch.stack([cost for _, cost in log])
    torch.testing.assert_close(made.scores, costs.min(0).values)
    best = torch.stack([code for code, _ in log])[costs.argmin(0), torch.arange(len(made))]
    torch.testing.assert_close(made.code, best)
    assert (costs[-1] > costs.min(0).values).any()


def test_a_converged_candidate_stops_and_the_others_go_on():
    # R-ART-1: a released attack stops a picture when its cost is too high, and goes on when it is low.
    target = StandIn(corners(sharpness=8.0))
    log = []
    start = Pixels((4,), 0.4, 0.1)
    made = found(
        Logged(one_minus_confidence(of=target), log),
        by=sgd(lr=0.02, momentum=0.0),
        until=converged(below=0.3, window=1000),
        steps=400,
        starts=4,
        over=start,
    )
    costs = torch.stack([cost for _, cost in log])
    codes = torch.stack([code for code, _ in log])
    first = (costs <= 0.3).float().argmax(0)
    assert (costs.min(0).values <= 0.3).all()
    assert len(set(first.tolist())) > 1  # they stop at different steps
    for row, step in enumerate(first.tolist()):
        assert (codes[step:, row] == codes[step, row]).all()
        assert step == 0 or not torch.equal(codes[step, row], codes[step - 1, row])
    assert (made.scores <= 0.3).all()
    assert len(log) < 401


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8), st.floats(0, 1, width=32))
def test_the_stopping_rule_in_words(recent, cost):
    rule = Stopping(below=0.25, window=4)
    history = torch.tensor(recent)[-4:].unsqueeze(1)
    expected = cost <= 0.25 or (len(history) == 4 and cost >= max(history.squeeze(1).tolist()))
    assert bool(rule.stops(torch.tensor([cost]), history)[0]) is expected


@given(st.floats(0, 3), st.integers(0, 9))
def test_a_clamped_space_starts_and_stays_inside_and_projection_is_idempotent(bound, seed):
    space = clamp(space=Pixels((5,), 0.5, 2.0), to=bound)
    start = space.start(6, torch.Generator().manual_seed(seed))
    assert (start.abs() <= bound).all()
    moved = space.project(start + 4)
    assert (moved.abs() <= bound).all()
    assert torch.equal(space.project(moved), moved)
    assert isinstance(space, Clamped)


def test_pixel_spaces_take_the_shape_of_the_model():
    space = pixels(of=StandIn(corners(dimension=6)), level=0.25, spread=0.0)
    assert space.start(2, torch.Generator()).tolist() == [[0.25] * 6] * 2


def test_divergence_is_an_error_that_names_the_step_and_the_cure():
    steep = StandIn(Formula((0, 1), (2,), lambda x: (x * 1e30) ** 3))
    with pytest.raises(OperatorError, match="diverged at step 1 of 5") as caught:
        found(cross_entropy(of=steep, labels=None), steps=5, over=Pixels((2,), 0.5, 0.1))
    assert "lr" in caught.value.help


def test_an_objective_without_a_classifier_does_not_say_what_to_search():
    with pytest.raises(OperatorError, match="neither classes nor records"):
        found(l2())


def test_progress_counts_up_to_the_end():
    seen = []
    search.descend(
        over=SPACE,
        minimise=cross_entropy(of=StandIn(corners()), labels=None),
        by=sgd(lr=0.1, momentum=0.0),
        steps=7,
        starts=1,
        until=None,
        keep="last",
        run=run(listener=lambda done, total, figures: seen.append((done, total))),
    )
    assert seen == [(step, 7) for step in range(1, 8)]
