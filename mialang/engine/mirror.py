"""A place through which machines without a common folder share results: anything that fsspec reaches.

Its files are those of a store, under the same names. Names are digests, so a file never changes once it is there, and
one that is half written is told from a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from mialang.engine.events import Listener
from mialang.engine.store import Action, Store, StoreError
from mialang.engine.work import Failure, Job, NodeFailedError
from mialang.plan.model import canonical


class Mirror:
    """Results at a URL.

    Args:
        url: a folder as fsspec names it: `s3://bucket/folder`, `gs://…`, `file:///mnt/audit`.
    """

    def __init__(self, url: str) -> None:
        fsspec: Any = import_module("fsspec")  # for runs on several machines only
        self._files, self._root = fsspec.core.url_to_fs(url)

    def offer(self, store: Store, digests: Iterable[str]) -> None:
        """Put blobs there that are not there yet."""
        for digest in digests:
            path = self._at(store, store.blob_path(digest))
            if not self._files.exists(path):
                self._put(path, store.get(digest))

    def publish(self, store: Store, action: Action) -> None:
        """Put a result there: what it consists of first."""
        if action.value is None:
            self.offer(store, [action.output])
        self._put(self._at(store, store.action_path(action.key)), canonical(action.as_json()))

    def fetch(self, store: Store, action: Action) -> None:
        """Take a result from there into a store.

        Raises:
            StoreError: it is not there, or damaged.
        """
        if action.value is None:
            self._blob(store, action.output)
        store.record(action)

    def through(
        self, folder: Path, job: Job, tell: Listener, attempt: Callable[[Job, Listener], tuple[str, Any]]
    ) -> tuple[str, Any]:
        """Do a job in a store of this machine's own: take its inputs from here, put what it makes here."""
        store = Store(folder)
        store.prepare()
        saved = store.checkpoint_path(job.key)
        remote = self._at(store, saved)

        def watch(event: str, /, **facts: Any) -> None:
            if event == "checkpoint":
                self._put(remote, saved.read_bytes())  # another machine may have to go on
            tell(event, **facts)

        try:
            for output, _ in job.inputs.values():
                self._blob(store, output)
        except StoreError as problem:
            return "failed", NodeFailedError(
                Failure(f"an input of `{job.node.label}` is lost", str(problem), "run again")
            )
        if not saved.exists() and self._files.exists(remote):
            store.write(saved, self._files.cat_file(remote))
        word, value = attempt(replace(job, store=folder), watch)
        if word == "made":
            self.publish(store, value)
            with suppress(FileNotFoundError):
                self._files.rm_file(remote)
        return word, value

    def _blob(self, store: Store, digest: str) -> None:
        if store.holds(digest):
            return
        try:
            data = self._files.cat_file(self._at(store, store.blob_path(digest)))
        except OSError as problem:
            raise StoreError(f"the shared place lacks {digest[:12]}: {problem}") from problem
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"the shared place holds damaged bytes for {digest[:12]}")
        store.put(data)

    def _at(self, store: Store, path: Path) -> str:
        return f"{self._root}/{path.relative_to(store.root).as_posix()}"

    def _put(self, path: str, data: bytes) -> None:
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, data)
