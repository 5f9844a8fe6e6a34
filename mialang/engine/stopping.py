"""Asking a run to stop: what is under way comes to a point from which it can go on; asked twice, it ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StoppedError(BaseException):
    """Somebody asked to stop, and the work is where it can go on. No operator may catch it."""


class Stop:
    """Whether somebody asked to stop.

    Attributes:
        requested: true from then on.
    """

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask to stop."""
        self.requested = True


@contextmanager
def stopped_by_signals(stop: Stop, tell: Callable[[], None]) -> Iterator[None]:
    """Take Ctrl-C, and the signal that ends jobs on clusters, as the request to stop; the second time they interrupt.

    Args:
        stop: takes the request.
        tell: called on the first signal, to say what happens now.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.requested:
            raise KeyboardInterrupt
        stop.request()
        tell()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
