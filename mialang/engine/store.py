"""The store: content-addressed plain files. What a node made is found again by what the node is.

    blobs/ab/abcd….safetensors   an artefact, named by the SHA-256 of its bytes
    actions/ab/abcd….json        what the node with this key made, with the evidence that it left
    runs/<id>/                   one folder a run: spec.mia plan.json events.jsonl verdict.json report.html
    scratch/                     work under way: temporary files, locks, checkpoints

Outside scratch, files appear whole or not at all, even if the power fails. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from mialang.engine.files import LOCK, held, make_folder, only_one, sweep, sync_folder, write_whole
from mialang.plan.model import canonical

Json = Any
FORMAT = 1
CLEANING = 60.0  # seconds that a run waits for the store to be cleaned


class Look(Protocol):
    """Finds a file by the names that it was looked for under."""

    def __call__(self, *names: str) -> Path | None:
        """The first that exists, or None."""


class StoreError(Exception):
    """The store cannot be used: something is missing or damaged, or a newer version made it.

    Attributes:
        help: the next step; empty where it depends on what was wanted.
    """

    help = ""


class NewerStoreError(StoreError):
    """A newer version made the store, or its version cannot be told."""

    help = "use the mialang that made it, or one as new, or choose another store with `--store DIR`"


class UnwritableError(StoreError):
    """Nothing more can be written: the disk is full, or the store may only be read."""


@dataclass(frozen=True)
class Action:
    """What a node made.

    Attributes:
        key: what the node is.
        output: digest of what it made.
        kind: what that is.
        value: the result itself, where it is small JSON.
        evidence: facts that the step noted, questions it asked, seconds it took, threads it had.
        files: external files that it read, with what they held.
    """

    key: str
    output: str
    kind: str
    value: Json = None
    evidence: dict[str, Json] = field(default_factory=dict)
    files: tuple[dict[str, Json], ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The action as it is written, with a digest over the rest."""
        made = {
            "format": FORMAT,
            "key": self.key,
            "output": self.output,
            "kind": self.kind,
            "value": self.value,
            "evidence": self.evidence,
            "files": list(self.files),
        }
        return {**made, "sha256": value_digest(json.loads(canonical(made)))}  # as it will be read: names are texts


class Store:
    """A folder of results."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "scratch"

    def prepare(self) -> None:
        """Make the folders, readable by their owner only and unseen by git, and sweep what dead writers left.

        Raises:
            StoreError: it cannot be written, or a newer version made it.
        """
        try:
            for name in ("blobs", "actions", "runs", "scratch"):
                make_folder(self.root / name)
            if self.root.stat().st_mode & 0o077:
                self.root.chmod(0o700)
        except OSError as problem:
            raise self._unwritable(problem) from problem
        if (self.root / "format").exists():
            self.readable()
        else:
            self.write(self.root / "format", f"{FORMAT}\n".encode())
        if not (self.root / ".gitignore").exists():
            # It holds private records and what was recovered of them, and lies in a working directory.
            self.write(self.root / ".gitignore", b"*\n")
        sweep(self.scratch)

    def readable(self) -> Self:
        """The store itself, once it is known that this version can read it.

        Raises:
            NewerStoreError: a newer version made it.
        """
        try:
            text = (self.root / "format").read_bytes().decode(errors="replace").strip()
        except OSError:
            return self
        if not (text.isascii() and text.isdigit()) or int(text) > FORMAT:
            raise NewerStoreError(
                f"the store `{self.root}` is of format {text or 'unknown'}, and this mialang knows up to {FORMAT}"
            )
        return self

    # -- blobs -----------------------------------------------------------------------------------------------------

    def blob_path(self, digest: str) -> Path:
        """Where a blob lies."""
        return self.root / "blobs" / digest[:2] / f"{digest}.safetensors"

    def put(self, data: bytes) -> str:
        """Keep some bytes; return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.blob_path(digest)
        if self.holds(digest):
            sync_folder(path.parent)  # another process may have put it there a moment ago
        else:
            self.write(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a blob.

        Raises:
            StoreError: they are missing or damaged.
        """
        try:
            data = self.blob_path(digest).read_bytes()
        except OSError as problem:
            raise StoreError(f"the store lacks {digest[:12]}: {problem.strerror}") from problem
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"the store holds damaged bytes for {digest[:12]}")
        return data

    def holds(self, digest: str) -> bool:
        """Whether a blob is there and whole."""
        path = self.blob_path(digest)
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False

    # -- actions ---------------------------------------------------------------------------------------------------

    def action_path(self, key: str) -> Path:
        """Where an action lies."""
        return self.root / "actions" / key[:2] / f"{key}.json"

    def find(self, key: str, look: Look | None = None) -> tuple[Action | None, str]:
        """What a node made before, if it is still whole and the files that it read hold what they held.

        Args:
            key: what the node is.
            look: finds a file by the names that it was looked for under; None looks where each was found.

        Returns the action, or None and why there is none: empty where the node never ran, else what is damaged or
        has changed since.
        """
        action, damage = self.whole(key)
        for file in action.files if action is not None else ():
            path = look(*file["names"]) if look is not None and "names" in file else Path(file["path"])
            if path is None or not _holds_the_same(path, file):
                return None, f"`{path or file['path']}` has changed since"
        return action, damage

    def whole(self, key: str) -> tuple[Action | None, str]:
        """What a node made, if it is still whole, whatever has become of the files that it read."""
        action, damage = self.read(key)
        if action is not None and action.value is None and not self.holds(action.output):
            return None, "its result is missing or damaged"
        return action, damage

    def read(self, key: str) -> tuple[Action | None, str]:
        """The record of what a node made, whatever has become of that; None and why, where there is none."""
        try:
            raw = self.action_path(key).read_bytes()
        except OSError:
            return None, ""
        try:
            made = json.loads(raw)
            digest = made.pop("sha256", None)
            action = Action(
                made["key"], made["output"], made["kind"], made["value"], made["evidence"], tuple(made["files"])
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None, "its record is damaged"
        whole = digest is None or digest == value_digest(made)  # records of old carry no digest
        if not whole or action.key != key or (action.value is not None and value_digest(action.value) != action.output):
            return None, "its record is damaged"
        return action, ""

    def record(self, action: Action) -> None:
        """Keep what a node made."""
        self.write(self.action_path(action.key), canonical(action.as_json()))

    # -- work under way --------------------------------------------------------------------------------------------

    def checkpoint_path(self, key: str) -> Path:
        """Where the state of an unfinished node lies."""
        return self.scratch / f"{key}.checkpoint"

    @contextmanager
    def claim(self, key: str, wait: Callable[[], None]) -> Iterator[None]:
        """Be the only one who works on a node while the body runs, in all runs that share the store.

        Args:
            key: what the node is.
            wait: called again and again while another works on it; it sleeps, and may raise to give up.

        Raises:
            UnwritableError: the store cannot be written.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(only_one(self.scratch / f"{key}{LOCK}", wait))
            except OSError as problem:
                raise self._unwritable(problem) from problem
            yield

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the store from being cleaned while the body runs.

        Raises:
            StoreError: somebody is cleaning it, and does not end.
            UnwritableError: the store cannot be written.
        """
        end = time.monotonic() + CLEANING
        with ExitStack() as stack:
            while self._held(stack, alone=False) is False:
                if time.monotonic() > end:
                    raise StoreError(f"the store `{self.root}` is being cleaned by another process")
                time.sleep(CLEANING / 100)
            yield

    @contextmanager
    def cleaned(self) -> Iterator[None]:
        """Keep runs from using the store while the body runs.

        Raises:
            StoreError: a run is under way, or nobody can tell whether one is.
            UnwritableError: the store cannot be written.
        """
        with ExitStack() as stack:
            got = self._held(stack, alone=True)
            if got is False:
                raise StoreError(f"a run is under way in the store `{self.root}`")
            if got is None:
                raise StoreError(f"the file system of `{self.root}` knows no locks, so a run under way cannot be told")
            yield

    def _held(self, stack: ExitStack, *, alone: bool) -> bool | None:
        try:
            return stack.enter_context(held(self.root / "in-use", alone=alone))
        except OSError as problem:
            raise self._unwritable(problem) from problem

    # -- files -----------------------------------------------------------------------------------------------------

    def write(self, path: Path, data: bytes) -> None:
        """Write a file of the store, whole or not at all.

        Raises:
            UnwritableError: it cannot be written; nothing is left behind.
        """
        try:
            write_whole(path, data, self.scratch)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _unwritable(self, problem: OSError) -> UnwritableError:
        in_the_way = isinstance(problem, FileExistsError | NotADirectoryError)
        reason = "a file stands where a folder belongs" if in_the_way else problem.strerror
        return UnwritableError(f"the store `{self.root}` cannot be written: {reason}")


def value_digest(value: Json) -> str:
    """The digest of a small result that stands in its action."""
    return hashlib.sha256(canonical(value)).hexdigest()


def fingerprint(path: Path, names: Sequence[str] = ()) -> dict[str, Json]:
    """What an external file or folder holds: its digest, and size and time so that a change is seen without reading.

    Args:
        path: where it was found.
        names: what was looked for, if it was not named by its path.
    """
    return {**_content(path), **({"names": list(names)} if names else {})}


def _content(path: Path) -> dict[str, Json]:
    if path.is_dir():
        listed = [[str(each.relative_to(path)), each.stat().st_size, each.stat().st_mtime_ns]
                  for each in sorted(path.rglob("*")) if each.is_file()]  # fmt: skip
        return {"path": str(path), "size": len(listed), "changed": 0, "sha256": value_digest(listed)}
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "size": status.st_size, "changed": status.st_mtime_ns, "sha256": digest}


def _holds_the_same(path: Path, file: Mapping[str, Json]) -> bool:
    try:
        status = path.stat()
        seen = (str(path.resolve()), status.st_size, status.st_mtime_ns) == (
            file["path"],
            file["size"],
            file["changed"],
        )
        return (seen and not path.is_dir()) or bool(_content(path)["sha256"] == file["sha256"])
    except OSError:
        return False
