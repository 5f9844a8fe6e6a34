"""An index of a store's runs, so that listing hundreds reads none of their plans.

It is made from the runs, and made again whenever it is missing, damaged or of another version: nothing rests on it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from mialang.engine.runs import Run
from mialang.engine.store import Store
from mialang.engine.upkeep import durations, summary

Json = Any
SCHEMA = 2
NAME = "index.sqlite"
TABLE = "CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, stamp TEXT NOT NULL, summary TEXT NOT NULL, took TEXT NOT NULL)"


def summaries(store: Store) -> list[dict[str, Json]]:
    """A line about every run of a store, oldest first; of runs that cannot be read, only that."""
    return [line for line, _ in _runs(store)]


def operator_seconds(store: Store, spec: str) -> dict[str, float]:
    """Mean seconds that a node of each operator took, over all runs of a spec that came to their end.

    Args:
        store: the store.
        spec: the spec's name. Runs of others say little: what is one operator to both is small in one and large in another.
    """
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for line, took in _runs(store):
        if line["spec"] != spec:
            continue
        for name, (count, total) in took.items():
            counts[name] += count
            seconds[name] += total
    return {name: seconds[name] / count for name, count in counts.items()}


def _runs(store: Store) -> list[tuple[dict[str, Json], dict[str, Json]]]:
    """Of every run a line, and how many nodes of each operator it computed in how many seconds."""
    path = store.root / NAME
    for _ in range(2):
        try:
            with closing(_opened(path)) as index:
                return _looked_up(store, index)
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # damaged; the next one is made from the runs
    with closing(sqlite3.connect(":memory:")) as index:  # the store may only be read
        index.execute(TABLE)
        return _looked_up(store, index)


def _opened(path: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, isolation_level=None)
    try:
        (version,) = index.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA:
            index.execute("DROP TABLE IF EXISTS runs")
        index.execute(TABLE)
        index.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        index.close()
        raise
    return index


def _looked_up(store: Store, index: sqlite3.Connection) -> list[tuple[dict[str, Json], dict[str, Json]]]:
    known = {run: rest for run, *rest in index.execute("SELECT run, stamp, summary, took FROM runs")}
    found: list[tuple[dict[str, Json], dict[str, Json]]] = []
    for run in Run.every(store):
        stamp, *kept = known.pop(run.id, ("", "", ""))
        now = _stamp(run)
        line = _read(kept) if stamp == now else None
        if line is None:
            try:
                plan = run.plan()
                line = summary(run, plan), durations(run, plan, store)
            except (ValueError, KeyError, OSError):
                found.append(({"run": run.id, "spec": "?", "status": "damaged", "seconds": None, "nodes": 0, "cached": 0,
                               "failed": 0, "bytes": 0}, {}))  # fmt: skip
                continue
            index.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", (run.id, now, *map(json.dumps, line)))
        found.append(line)
    index.executemany("DELETE FROM runs WHERE run = ?", [(run,) for run in known])
    return found


def _read(kept: list[Any]) -> tuple[dict[str, Json], dict[str, Json]] | None:
    """What a row holds; None where it is garbled, so that it is made again."""
    try:
        line, took = map(json.loads, kept)
    except (ValueError, TypeError):
        return None
    return (line, took) if isinstance(line, dict) and isinstance(took, dict) else None


def _stamp(run: Run) -> str:
    """What tells that a run has changed: times and sizes of the files that its summary is made from."""
    words = []
    for name in ("plan.json", "outcome.json", "verdict.json", "report.html"):
        with suppress(OSError):
            status = (run.folder / name).stat()
            words.append(f"{name} {status.st_mtime_ns} {status.st_size}")
    return "; ".join(words)
