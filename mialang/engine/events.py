"""What happens during a run, as a stream of plain records: one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO


class Listener(Protocol):
    """Anything that wants to know what happens."""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""


def silent(event: str, /, **facts: Any) -> None:
    """Tell nobody."""


class EventLog:
    """Writes events to a file as they come."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Write one event; progress of steps is for the eye and not kept."""
        if event == "progress" or self._file is None:
            return
        self._file.write(json.dumps({"time": round(self._clock(), 3), "event": event, **facts}) + "\n")
        self._file.flush()


def fan_out(*listeners: Listener | None) -> Listener:
    """One listener that tells several."""
    present = [listener for listener in listeners if listener is not None]

    def tell(event: str, /, **facts: Any) -> None:
        for listener in present:
            listener(event, **facts)

    return tell
