"""Where long steps keep their state: one file a node in the store's scratch, gone once the node is committed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import mialang
from mialang.engine.codec import Array, pack, unpack
from mialang.engine.events import Listener
from mialang.engine.stopping import Stop, StoppedError
from mialang.engine.store import Store

if TYPE_CHECKING:
    from mialang.engine.work import Settings

Json = Any
EVERY = 20.0  # seconds
SHARE = 100  # a checkpoint that takes a second is made every hundred seconds: it costs one per cent
DIGEST = 32  # bytes before the state


class Checkpoints:
    """The checkpoints of one node; what loops need of a keeper.

    Attributes:
        counters: what counts on behalf of the node, with the names of its counts; they are part of the state.
        threads: CPU threads of the node.
        how: in what way the node is done, where that decides what its state looks like.
        seconds_before: how long the node took in earlier processes, up to what they kept.
        resumed: for each time it was taken up again, after how many seconds, and the threads before that.
    """

    def __init__(self, store: Store, key: str, tell: Listener, stop: Stop, settings: Settings) -> None:
        self.counters: list[tuple[object, tuple[str, ...]]] = []
        self.threads = 1
        self.how = ""
        self.seconds_before = 0.0
        self.resumed: list[Json] = []
        self._store = store
        self._path = store.checkpoint_path(key)
        self._tell = tell
        self._stop = stop
        self._every = settings.checkpoint
        self._began = time.monotonic()
        self._next = self._began + self._every

    def due(self) -> bool:
        """Whether it is time to save, or somebody asked to stop."""
        return time.monotonic() >= self._next or self._stop.requested

    def save(self, arrays: dict[str, Array], facts: Json) -> None:
        """Keep a state.

        Raises:
            StoppedError: somebody asked to stop, and the state is kept.
            UnwritableError: it cannot be written.
        """
        began = time.monotonic()
        seconds = self.seconds
        state = {
            "made by": self._maker(),
            "seconds": seconds,
            "threads": self.threads,
            "resumed": self.resumed,
            "facts": facts,
        }
        data = pack("checkpoint", arrays, state)
        self._store.write(self._path, hashlib.sha256(data).digest() + data)
        now = time.monotonic()
        self._next = now + max(self._every, SHARE * (now - began))
        self._tell("checkpoint", seconds=round(seconds, 1), bytes=len(data), cost=round(now - began, 3))
        if self._stop.requested:
            raise StoppedError

    def load(self) -> tuple[Mapping[str, Array], Json] | None:
        """What was kept last; a damaged checkpoint counts for nothing, and that is told."""
        try:
            raw = self._path.read_bytes()
        except OSError:
            return None
        data = raw[DIGEST:]
        if hashlib.sha256(data).digest() != raw[:DIGEST]:
            self._tell("restarted", reason="its checkpoint is damaged")
            return None
        _, arrays, state = unpack(data)
        if state["made by"] != self._maker():
            self._tell("restarted", reason=f"its checkpoint was made by {state['made by']}")
            return None
        self.seconds_before = state["seconds"]
        self.resumed = [*state["resumed"], {"seconds": round(state["seconds"], 1), "threads": state["threads"]}]
        self._tell("resumed", seconds=round(state["seconds"], 1))
        return arrays, state["facts"]

    def _maker(self) -> str:
        """The versions whose loops a state belongs to."""
        return f"mialang {mialang.__version__} with torch {version('torch')}" + (f", {self.how}" if self.how else "")

    @property
    def seconds(self) -> float:
        """How long the node took so far, in this process and in earlier ones."""
        return self.seconds_before + time.monotonic() - self._began

    def drop(self) -> None:
        """Forget the state: the node is committed, or would fail again."""
        with suppress(OSError):  # a checkpoint of a committed node does no harm; it is swept with the scratch
            self._path.unlink(missing_ok=True)

    def counts(self) -> Json:
        """What was counted so far, counter by counter."""
        return [[copy(getattr(counter, name)) for name in names] for counter, names in self.counters]

    def recount(self, counts: Json) -> None:
        """Put the counts back: what is asked again on the way to the checkpoint is not charged again."""
        for (counter, names), values in zip(self.counters, counts, strict=True):
            for name, value in zip(names, values, strict=True):
                setattr(counter, name, value)
