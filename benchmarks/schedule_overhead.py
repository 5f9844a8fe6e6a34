"""What a node costs besides its work: 10,000 trivial nodes through the store, once computed, once known.

python benchmarks/schedule_overhead.py
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mialang.engine.executors import Inline
from mialang.engine.schedule import Schedule
from mialang.engine.store import Store
from mialang.engine.work import Settings
from tests.engine.toys import node, plan


def quiet(event: str, /, **facts: object) -> None:
    del event, facts


def main() -> None:
    for count in (1_000, 10_000):
        nodes = [node(f"n{place}", [f"n{place - 1}"] if place % 10 else [], place) for place in range(count)]
        made = plan(nodes)
        with tempfile.TemporaryDirectory() as folder:
            for words in ("computed", "known"):
                store = Store(Path(folder))
                store.prepare()
                start = time.perf_counter()
                outcome = Schedule(made, store, Inline(), quiet, Settings(trusted=("tests",))).run()
                seconds = time.perf_counter() - start
                assert len(outcome.actions) == count
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(f"{count:,} nodes {words}: {seconds / count * 1000:.2f} ms a node, peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
