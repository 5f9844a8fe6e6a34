"""Where memory ends, the same work is done in smaller parts: every row once, counted once, and told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators import search
from mialang.operators.algebra import Objective, Point
from mialang.operators.answers import ModelAnswers
from mialang.operators.errors import OperatorError
from mialang.operators.memory import Rows, exhausted
from mialang.operators.optimisers import adam
from mialang.operators.run import Run
from mialang.operators.spaces import Pixels


class Narrow:
    """Work that fits as long as there are no more than so many rows at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.seen: list[int] = []

    def __call__(self, part: slice) -> list[int]:
        rows = list(range(part.start, part.stop))
        if len(rows) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.seen += rows
        return rows


@given(st.integers(0, 40), st.integers(1, 50), st.integers(1, 50))
def test_every_row_is_worked_on_once_in_order_whatever_fits(n: int, most: int, room: int) -> None:
    work, rows = Narrow(room), Rows(most)
    made = rows(n, work)
    assert [row for part in made for row in part] == list(range(n)) == work.seen
    assert (rows.halvings > 0) == (min(n, most) > room)
    assert rows.most <= most
    if n:
        assert max(map(len, made)) <= room


def test_what_a_part_moved_is_put_back_before_it_is_tried_again() -> None:
    counted = [0]

    def work(part: slice) -> int:
        counted[0] += part.stop - part.start
        return len(Narrow(3)(part))

    made = Rows(10)(10, work, lambda: counted[0], lambda before: counted.__setitem__(0, before))
    assert sum(made) == counted[0] == 10


def test_not_even_one_row_is_said() -> None:
    with pytest.raises(OperatorError, match="not even one row fits into memory") as caught:
        Rows(8)(3, Narrow(0))
    assert "CUDA out of memory" in caught.value.note


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    def work(part: slice) -> None:
        raise RuntimeError(f"shapes do not match: {part}")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        Rows(8)(3, work)


def test_a_real_lack_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.float64)
    assert exhausted(caught.value)
    assert exhausted(MemoryError())
    assert not exhausted(ValueError("memory"))


class Tight:
    """A model that answers no more than 100 records at once."""

    natives = ("logits",)
    classes = (0, 1)
    shape = (3,)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def answer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        del name
        if len(x) > 100:
            raise torch.OutOfMemoryError("out of memory")
        self.calls.append(len(x))
        return x[:, :2] * 2


def test_answers_come_in_smaller_parts_and_the_size_is_kept_for_later_questions() -> None:
    model = Tight()
    answers = ModelAnswers(model, {}, generator=torch.Generator())
    x = torch.rand(1000, 3)
    assert torch.equal(answers("logits", x), x[:, :2] * 2)
    assert (answers.rows.most, answers.rows.halvings) == (62, 4)
    assert max(model.calls) == 62
    before = answers.rows.halvings
    answers("logits", x)
    assert answers.rows.halvings == before


class Hungry(Objective):
    """The square of a candidate; no more than five at once fit."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.largest = 0

    def __call__(self, point: Point) -> torch.Tensor:
        if len(point.value) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        self.largest = max(self.largest, len(point.value))
        return point.value.flatten(1).square().sum(1)

    def formula(self) -> str:
        return "square()"

    def units(self) -> tuple[int, ...]:
        return tuple(range(4))


def searched(room: int) -> tuple[Any, Run, Hungry]:
    objective, run = Hungry(room), Run(5)
    found = search.descend(over=Pixels((2,), 0.5, 0.1), minimise=objective, by=adam(lr=0.1, beta1=0.9, beta2=0.999), steps=6, starts=3, until=None,
                           keep="last", run=run)  # fmt: skip
    return found, run, objective


def test_a_search_goes_on_in_smaller_parts_with_the_same_result() -> None:
    whole, run, _ = searched(100)
    assert "rows_at_once" not in run.notes
    narrow, run, objective = searched(5)
    assert objective.largest <= 5
    assert run.notes["rows_at_once"] == 3
    assert torch.allclose(whole.values, narrow.values)
    assert torch.equal(whole.labels, narrow.labels)
