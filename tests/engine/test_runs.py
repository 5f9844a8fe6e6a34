"""Runs are found by name, and the last one is the one that began last."""

from __future__ import annotations

from pathlib import Path

import pytest

from mialang.engine.runs import Run
from mialang.engine.store import Store, StoreError
from tests.engine.toys import node, plan


def test_runs_that_began_in_one_second_keep_their_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    begun = [Run.begin(store, plan([node(f"n{number}")]), 1_000_000_000.0) for number in range(6)]
    earlier = Run.begin(store, plan([node("a")]), 999_999_999.0)
    assert [each.id for each in Run.every(store)] == [earlier.id, *(each.id for each in begun)]
    assert Run.find(store, "last").id == begun[-1].id
    assert Run.find(store, begun[2].id).id == begun[2].id
    with pytest.raises(StoreError, match="6 runs begin with"):
        Run.find(store, begun[0].id[:15])
