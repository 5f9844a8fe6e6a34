"""A run in one file, to be taken elsewhere: what it made, what it rests on, and what is said about it.

A tar file whose members are called as in a store. On the way in every name and every digest is checked; the digests
prove that nothing changed on the way, not that who packed it was honest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from mialang.engine.files import make_folder, sync_folder
from mialang.engine.runs import Run
from mialang.engine.store import Store, StoreError

Json = Any
LARGEST = 16 * 2**30  # bytes of one member
BLOB = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})\.safetensors")
ACTION = re.compile(r"actions/([0-9a-f]{2})/(\1[0-9a-f]{62})\.json")
RUN_FILE = re.compile(r"runs/([0-9]{8}-[0-9]{6}-[0-9a-f]{6}(?:\.[0-9]{1,3})?)/([a-z]+\.(?:mia|json|jsonl|html))")


class ArchiveError(Exception):
    """A file cannot be used as an archive of a run."""


def pack_run(store: Store, run: Run, target: Path) -> int:
    """Write a run and all its results into a file; return how many results.

    Raises:
        StoreError: a result is missing or damaged.
        OSError: the file cannot be written.
    """
    beside = target.with_name(f".new-{target.name}")
    try:
        with tarfile.open(beside, "w") as archive:
            count = 0
            for name, data in _members(store, run):
                count += name.startswith("actions/")
                about = tarfile.TarInfo(name)
                about.size, about.mode = len(data), 0o600
                archive.addfile(about, BytesIO(data))
        beside.replace(target)
        sync_folder(target.absolute().parent)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _members(store: Store, run: Run) -> Iterator[tuple[str, bytes]]:
    """Results before records before the run, so that what is taken in is complete at every moment."""
    keys = [node["key"] for node in run.outcome()["nodes"].values()]
    outputs: dict[str, None] = {}
    records: dict[str, bytes] = {}
    for key in dict.fromkeys(keys):
        action, damage = store.read(key)
        if action is None:
            raise StoreError(f"the record of {key[:12]} is missing: {damage or 'it was removed'}")
        if action.value is None:
            outputs[action.output] = None
        path = store.action_path(key)
        records[path.relative_to(store.root).as_posix()] = path.read_bytes()
    for output in outputs:
        yield store.blob_path(output).relative_to(store.root).as_posix(), store.get(output)
    yield from records.items()
    for path in sorted(run.folder.iterdir()):
        if RUN_FILE.fullmatch(f"runs/{run.id}/{path.name}"):
            yield f"runs/{run.id}/{path.name}", path.read_bytes()


@dataclass
class Taken:
    """What came out of an archive.

    Attributes:
        run: the run, by its name.
        results: how many results are new to the store.
        known: how many it had already.
        other: how many of these were different there; the store keeps its own.
    """

    run: str = ""
    results: int = 0
    known: int = 0
    other: int = 0


def unpack_run(store: Store, source: Path) -> Taken:
    """Take a run and its results into a store; the run appears last, and whole.

    Raises:
        ArchiveError: the file is none of ours, was changed, or holds a run that the store has in another form.
        StoreError: the store cannot be written.
    """
    taken = Taken()
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(source, "r:") as archive:
            for member in archive:
                _take(store, archive, member, taken, files)
    except (tarfile.TarError, EOFError) as problem:
        raise ArchiveError(f"`{source}` is no archive of a run: {problem}") from problem
    if not taken.run or "plan.json" not in files:
        raise ArchiveError(f"`{source}` holds no run")
    _place(store, taken.run, files)
    return taken


def _take(
    store: Store, archive: tarfile.TarFile, member: tarfile.TarInfo, taken: Taken, files: dict[str, bytes]
) -> None:
    content = archive.extractfile(member) if member.isreg() and member.size <= LARGEST else None
    if content is None:
        raise ArchiveError(f"`{member.name}` in the archive is no file of a run")
    if found := BLOB.fullmatch(member.name):
        data = content.read()
        if hashlib.sha256(data).hexdigest() != found[2]:
            raise ArchiveError(f"`{member.name}` was changed: its bytes are not those that it is named by")
        store.put(data)
    elif found := ACTION.fullmatch(member.name):
        _take_record(store, found[2], content, taken)
    elif found := RUN_FILE.fullmatch(member.name):
        if taken.run not in ("", found[1]):
            raise ArchiveError("the archive holds several runs")
        taken.run = found[1]
        files[found[2]] = content.read()
    else:
        raise ArchiveError(f"`{member.name}` in the archive is no file of a run")


def _take_record(store: Store, key: str, content: IO[bytes], taken: Taken) -> None:
    data = content.read()
    own, _ = store.find(key)
    if own is not None:
        try:
            taken.other += json.loads(data)["output"] != own.output
        except (ValueError, KeyError, TypeError) as problem:
            raise ArchiveError(f"the record of {key[:12]} in the archive is damaged") from problem
        taken.known += 1
        return
    store.write(store.action_path(key), data)
    action, damage = store.read(key)
    if action is None or (action.value is None and not store.holds(action.output)):
        store.action_path(key).unlink()
        raise ArchiveError(f"the record of {key[:12]} in the archive is damaged: {damage or 'its result is not there'}")
    taken.results += 1


def _place(store: Store, name: str, files: dict[str, bytes]) -> None:
    folder = store.root / "runs" / name
    if folder.exists():
        if (folder / "plan.json").read_bytes() != files["plan.json"]:
            raise ArchiveError(f"the store has another run called `{name}`")
        return
    aside = store.scratch / f"taken-{name}"
    shutil.rmtree(aside, ignore_errors=True)
    make_folder(aside)
    for each, data in files.items():
        store.write(aside / each, data)
    aside.rename(folder)
    sync_folder(folder.parent)
