"""Selection: the best of every unit, by score and nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.objectives import negative_logit
from mialang.operators.selection import best, rank_within, top
from tests.operators.stand_in import Formula, StandIn, run
from tests.operators.strategies import candidates

UNITS = (1, 4, 6)


def logits_of(values):
    return StandIn(Formula(UNITS, (3,), lambda x: x - 2))  # values lie in [0, 1], so that every logit is negative


@given(candidates(units=UNITS), st.integers(1, 3))
def test_best_keeps_the_largest_scores_of_every_unit(made, keep):
    # R-GMI-1: scores that are all negative select like any others.
    chosen = best(of=made, per="class", by=-negative_logit(of=logits_of(made.values)), keep=keep, run=run())
    score = (made.values - 2)[torch.arange(len(made)), torch.searchsorted(torch.tensor(UNITS), made.labels)]
    assert chosen.attempted == made.attempted
    for unit in UNITS:
        kept = chosen.scores[chosen.group == unit]
        expected = score[made.group == unit].sort(descending=True).values[:keep]
        torch.testing.assert_close(kept, expected)
    rows = [made.values.tolist().index(value) for value in chosen.values.tolist()]
    assert all(torch.equal(made.values[row], value) for row, value in zip(rows, chosen.values, strict=True))


@given(candidates(units=UNITS), st.permutations(range(3)))
def test_renaming_the_classes_renames_the_outputs_and_nothing_else(made, order):
    # R-GMI-2: a released selection reads the logit of the batch index in place of the identity.
    score = -negative_logit(of=logits_of(made.values))
    plain = best(of=made, per="class", by=score, keep=2, run=run())
    shuffle = torch.tensor(order, dtype=torch.long)
    columns = torch.searchsorted(torch.tensor(UNITS), made.labels)
    renamed_labels = torch.tensor(UNITS)[torch.argsort(shuffle)[columns]]
    renamed = type(made)(
        values=made.values[:, shuffle],
        labels=renamed_labels,
        scores=made.scores,
        group=renamed_labels,
        attempted=made.attempted,
    )
    other = best(of=renamed, per="class", by=score, keep=2, run=run())
    assert sorted(plain.scores.tolist()) == sorted(other.scores.tolist())


@given(candidates(units=UNITS), st.integers(1, 5))
def test_top_ignores_units(made, keep):
    chosen = top(of=made, by=-negative_logit(of=logits_of(made.values)), keep=keep, run=run())
    score = (made.values - 2)[torch.arange(len(made)), torch.searchsorted(torch.tensor(UNITS), made.labels)]
    torch.testing.assert_close(chosen.scores, score.sort(descending=True).values[:keep])


@given(st.lists(st.integers(0, 3), max_size=12).map(sorted))
def test_ranks_count_within_runs(groups):
    ranks = rank_within(torch.tensor(groups, dtype=torch.long))
    assert ranks.tolist() == [groups[:i].count(group) for i, group in enumerate(groups)]
