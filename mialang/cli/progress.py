"""Progress for people: one bar for the whole run and one for the node under way; plain lines where there is no screen."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from mialang.cli.console import say
from mialang.meaning.units import duration

if TYPE_CHECKING:
    from mialang.engine.events import Listener
    from mialang.plan.model import Plan

QUIET = 10.0  # seconds between plain lines


@contextmanager
def shown_progress(plan: Plan, stream: TextIO) -> Iterator[Listener]:
    """Show what happens while a plan runs."""
    total = sum(not node.passes_on for node in plan.nodes.values())
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        with _bars(total, stream) as listener:
            yield listener
    else:
        yield _Lines(total, stream)


@contextmanager
def _bars(total: int, stream: TextIO) -> Iterator[Listener]:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(file=stream)
    with Progress(*columns, console=console, refresh_per_second=8, transient=True) as bars:
        whole = bars.add_task("audit", total=total)
        tasks: dict[str, Any] = {}

        def tell(event: str, /, **facts: Any) -> None:
            match event:
                case "started":
                    repeat = f" (repeat {facts['repeat'] + 1})" if facts.get("repeat") is not None else ""
                    tasks[facts["node"]] = bars.add_task(f"  {facts['label']}{repeat}", total=None)
                case "progress" if facts["node"] in tasks:
                    bars.update(tasks[facts["node"]], completed=facts["done"], total=facts["total"])
                case "finished" | "failed":
                    if facts["node"] in tasks:
                        bars.remove_task(tasks.pop(facts["node"]))
                    bars.advance(whole)
                    if event == "failed":
                        console.print(f"failed: {facts['label']}: {facts['title']}", markup=False, highlight=False)
                case "cached" | "skipped" | "unfinished":
                    bars.advance(whole)
                case "recomputed":
                    console.print(f"warning: {facts['label']} is computed again: {facts['reason']}", markup=False)

        yield tell


class _Lines:
    """A line now and then, and one for everything that goes wrong."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total = total
        self.stream = stream
        self.done = 0
        self.started = time.monotonic()
        self.last = self.started

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""
        if event in ("finished", "cached", "failed", "skipped", "unfinished"):
            self.done += 1
        if event == "failed":
            say(f"failed: {facts['label']}: {facts['title']}", self.stream)
        if event == "recomputed":
            say(f"warning: {facts['label']} is computed again: {facts['reason']}", self.stream)
        now = time.monotonic()
        if now - self.last >= QUIET:
            self.last = now
            elapsed = now - self.started
            left = elapsed / self.done * (self.total - self.done) if self.done else 0.0
            say(
                f"{self.done} of {self.total} nodes, {duration(elapsed)} so far, about {duration(left)} left",
                self.stream,
            )
            self.stream.flush()
