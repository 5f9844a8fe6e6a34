"""Looking after a store: what it holds, whether it is whole, and what no run needs any more."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mialang.engine.runs import Run
from mialang.engine.schedule import keys_of
from mialang.engine.store import Store, StoreError
from mialang.plan.model import Plan

Json = Any
KEY = re.compile(r"[0-9a-f]{64}")
PARTS = {"blobs": ".safetensors", "actions": ".json"}


def entries(store: Store, part: str) -> Iterator[tuple[str, Path]]:
    """The blobs or actions of a store, by name."""
    for path in sorted((store.root / part).glob(f"*/*{PARTS[part]}")):
        if KEY.fullmatch(path.stem):
            yield path.stem, path


def damages(store: Store) -> Iterator[str]:
    """What is torn, damaged or missing, one line each; every byte is read."""
    for digest, path in entries(store, "blobs"):
        if not store.holds(digest):
            yield f"{path.relative_to(store.root)}: its bytes are not those that it is named by"
    for key, path in entries(store, "actions"):
        action, damage = store.read(key)
        if action is None:
            yield f"{path.relative_to(store.root)}: {damage}"
        elif action.value is None and not store.blob_path(action.output).exists():
            yield f"{path.relative_to(store.root)}: its result {action.output[:12]} is missing"
    for run in Run.every(store):
        with suppress(StoreError):  # a newer version wrote it
            try:
                run.plan()
                run.outcome()
            except (ValueError, KeyError) as problem:
                yield f"runs/{run.id}: {str(problem).splitlines()[0]}"


@dataclass(frozen=True)
class Garbage:
    """What can go.

    Attributes:
        runs: runs that are given up.
        files: results and checkpoints that no kept run needs.
        bytes: how much room they take, runs included.
        kept: how many results stay.
    """

    runs: tuple[Run, ...]
    files: tuple[Path, ...]
    bytes: int
    kept: int


def garbage(store: Store, given_up: tuple[Run, ...] = ()) -> Garbage:
    """Find what no kept run needs: neither made it, nor would find it when it is run again.

    Args:
        store: the store; nobody may write to it meanwhile (`Store.cleaned`).
        given_up: runs that are not kept.

    Raises:
        StoreError: what a run needs cannot be read, so nothing can be said to be needless.
    """
    gone = {run.id for run in given_up}
    keys: set[str] = set()
    needed: set[str] = set()
    for run in Run.every(store):
        if run.id not in gone:
            its_keys, its_outputs = needed_by(run, store)
            keys |= its_keys
            needed |= its_outputs
    actions = dict(entries(store, "actions"))
    blobs = dict(entries(store, "blobs"))
    files = [path for key, path in actions.items() if key not in keys]
    files += [path for digest, path in blobs.items() if digest not in needed]
    files += [path for path in store.scratch.glob("*.checkpoint") if path.stem not in keys or path.stem in actions]
    folders = [path for run in given_up for path in run.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in (*files, *folders))
    return Garbage(given_up, tuple(files), size, len(actions.keys() & keys))


def needed_by(run: Run, store: Store) -> tuple[set[str], set[str]]:
    """The keys and results of everything that a run made, or would find or go on from when it is run again.

    Raises:
        StoreError: its plan or its outcome cannot be read.
    """
    try:
        made = run.outcome().get("nodes", {}).values()
        keys, outputs = {node["key"] for node in made}, {node["output"] for node in made}
        for _, key, action in keys_of(run.plan(), lambda key: store.read(key)[0]):
            keys.add(key)
            outputs |= {action.output} if action is not None else set()
    except (ValueError, KeyError, OSError) as problem:
        raise StoreError(f"what the run `{run.id}` needs cannot be read, so nothing is removed") from problem
    return keys, outputs


def remove(store: Store, found: Garbage) -> None:
    """Remove what can go: runs first, then what only they needed, so that no run is ever without its results.

    Raises:
        StoreError: something cannot be removed.
    """
    try:
        for run in found.runs:
            aside = store.scratch / f"removed-{run.id}"
            run.folder.rename(aside)  # at once, so that no half of a run is ever seen
            shutil.rmtree(aside)
        for path in sorted(found.files, key=lambda each: each.suffix != ".json"):  # records before their results
            path.unlink(missing_ok=True)
        for aside in (*store.scratch.glob("removed-*"), *store.scratch.glob("taken-*")):  # of who died at this
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as problem:
        raise StoreError(f"`{problem.filename}` cannot be removed: {problem.strerror}") from problem


def sizes(store: Store) -> dict[str, tuple[int, int]]:
    """How many results, records, checkpoints and runs a store holds, and their bytes."""
    listed = {part: [path for _, path in entries(store, part)] for part in PARTS}
    listed["checkpoints"] = list(store.scratch.glob("*.checkpoint"))
    listed["runs"] = [path for run in Run.every(store) for path in run.folder.rglob("*") if path.is_file()]
    found = {name: (len(paths), sum(path.stat().st_size for path in paths)) for name, paths in listed.items()}
    found["runs"] = (len(Run.every(store)), found["runs"][1])
    return found


def summary(run: Run, plan: Plan) -> dict[str, Json]:
    """A run in a line: what was audited, how it ended."""
    outcome = run.outcome()
    verdict: Json = {}
    with suppress(OSError, ValueError):
        verdict = json.loads((run.folder / "verdict.json").read_bytes())
    nodes = outcome.get("nodes", {})
    return {
        "run": run.id,
        "spec": plan.spec_name,
        "status": verdict.get("status") if outcome else "interrupted",
        "seconds": outcome.get("seconds"),
        "nodes": len(nodes),
        "cached": sum(node["cached"] for node in nodes.values()),
        "failed": len(outcome.get("failures", {})),
        "bytes": sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file()),
    }


def durations(run: Run, plan: Plan, store: Store) -> dict[str, tuple[int, float]]:
    """By operator, how many nodes a run computed, and their seconds together; empty for a run that never ended.

    Raises:
        ValueError: the outcome cannot be read.
        KeyError: the outcome is of another plan.
    """
    found: dict[str, tuple[int, float]] = {}
    for name, made in run.outcome().get("nodes", {}).items():
        action = None if made["cached"] else store.read(made["key"])[0]
        if action is not None and "seconds" in action.evidence:
            operator = plan.nodes[name].operator
            count, seconds = found.get(operator, (0, 0.0))
            found[operator] = (count + 1, seconds + float(action.evidence["seconds"]))
    return found
