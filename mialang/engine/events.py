"""What happens during a run, as a stream of plain records: one JSON object a line.

    run started, run ended, run stopped        the run, what it runs on, how many nodes came out how
    started, finished, failed                  a node; `seconds` it took, `asked` questions, why it failed
    cached, recomputed                         it is known already; it was, and is computed again for a `reason`
    skipped, unfinished, lacking               it is not run: after a failure, out of time, not selected
    progress                                   `done` of `total`, and the seconds `left` at the pace so far
    cost                                       questions that a node asked the target, and the run up to now
    checkpoint, resumed, restarted             its state is kept; it goes on from there; it cannot, for a `reason`
    retried                                    its worker died, for a `reason`, and another takes it up
    waiting                                    another run is at it
    stopped                                    somebody asked to stop; it goes on from there next time

Every record has the `time` in seconds and the `event`; those of nodes have the `node` and its `label`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from mialang.engine.store import UnwritableError

PACE = 10.0  # seconds between two records of the progress of one node


class Listener(Protocol):
    """Anything that wants to know what happens."""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""


def silent(event: str, /, **facts: Any) -> None:
    """Tell nobody."""


class EventLog:
    """Writes events to a file as they come.

    Args:
        path: the file.
        clock: tells the time, in seconds.
        pace: seconds between two records of the progress of one node; the eye wants more than a file should hold.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, pace: float = PACE) -> None:
        self._path = path
        self._clock = clock
        self._pace = pace
        self._last: dict[str, float] = {}
        self._file: RawIOBase | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Write one event.

        Raises:
            UnwritableError: it cannot be written.
        """
        if self._file is None:
            return
        now = self._clock()
        if event == "started":
            self._last[facts["node"]] = now
        if event == "progress":
            if now - self._last.get(facts["node"], 0.0) < self._pace:
                return
            self._last[facts["node"]] = now
        try:
            self._file.write((json.dumps({"time": round(now, 3), "event": event, **facts}) + "\n").encode())
        except OSError as problem:
            raise UnwritableError(f"the run's events cannot be written: {problem.strerror}") from problem


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a run; a line that a dying process left half written counts for nothing."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def fan_out(*listeners: Listener | None) -> Listener:
    """One listener that tells several."""
    present = [listener for listener in listeners if listener is not None]

    def tell(event: str, /, **facts: Any) -> None:
        for listener in present:
            listener(event, **facts)

    return tell
