"""Twenty kills at random moments: nothing finished is lost, nothing is torn, and the resumed run equals an undisturbed one."""

from __future__ import annotations

import random

import pytest

from benchmarks.crash import crash

WORKERS_KILLED = (7, 14)
WITH_WORKERS = (*WORKERS_KILLED, 20)


@pytest.mark.parametrize("number", range(1, 21))
def test_a_kill_at_a_random_moment_loses_nothing(number: int) -> None:
    chance = random.Random(77_000 + number)
    made = crash(number, chance, 1 if number in WITH_WORKERS else 0, kill_worker=number in WORKERS_KILLED)
    assert made.sound, f"{made}\n{made.torn}"
