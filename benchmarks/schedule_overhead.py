"""What a node costs besides its work: trivial nodes through the store, once computed, once known, on every executor.

    python benchmarks/schedule_overhead.py [--nodes 10000]

Nine of ten nodes rest on the one before. The memory is that of the scheduler's process, after the run; workers have
their own. Folders of results are made on the way, as in a new store.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mialang.engine.events import EventLog
from mialang.engine.executors import Executor, Inline
from mialang.engine.schedule import Schedule
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.engine.workers import Processes
from tests.engine.toys import node, plan


def resident() -> float:
    """MiB that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def executor(name: str) -> Executor:
    return Processes(2, threads=1) if name == "processes" else Inline()


def measure(place: str, count: int) -> float:
    """Run a plan of some nodes twice; return the memory after it."""
    nodes = [node(f"n{each}", [f"n{each - 1}"] if each % 10 else [], each) for each in range(count)]
    made = plan(nodes)
    with tempfile.TemporaryDirectory() as folder:
        for words in ("computed", "known"):
            store = Store(Path(folder))
            store.prepare()
            with EventLog(Path(folder) / "events.jsonl") as log:
                start = time.perf_counter()
                outcome = Schedule(made, store, executor(place), log, Settings(trusted=("tests",))).run()
                seconds = time.perf_counter() - start
            assert len(outcome.actions) == count
            memory = resident()
            print(
                f"{count:6,} nodes on {place:9} {words:8}: {seconds / count * 1000:5.2f} ms a node, {memory:4.0f} MiB",
                flush=True,
            )
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    given = parser.parse_args()
    for place in ("inline", "processes"):
        measure(place, 100)  # libraries are loaded
        few, many = measure(place, given.nodes // 10), measure(place, given.nodes)
        print(
            f"memory from {given.nodes // 10:,} to {given.nodes:,} nodes on {place}: {many - few:+.0f} MiB", flush=True
        )


if __name__ == "__main__":
    main()
