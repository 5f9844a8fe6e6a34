"""Progress for people: one bar for the whole run and one for each node under way; plain lines where there is no screen."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from mialang.cli.console import say
from mialang.meaning.units import duration
from mialang.plan.selection import needed_by_selection

if TYPE_CHECKING:
    from mialang.engine.events import Listener
    from mialang.plan.model import Plan

STOPPING = "stopping: what is under way is brought to where it can go on; Ctrl-C again stops at once"
QUIET = 10.0  # seconds between plain lines
LASTS = 0.5  # seconds after which a node gets a bar
NAMED = 3  # nodes under way that a plain line names
ENOUGH = 0.9  # of what is left to do, of which it must be known how long it takes
BRIEF = ("data", "check", "metric")  # roles whose nodes count as done in no time until one was seen
Kind = tuple[str, str]  # role and operator of a node: a target trains longer than a judge of the same type, or shorter
OVER = ("finished", "failed", "stopped")  # a node is under way no more
ENDS = ("finished", "cached", "failed", "skipped", "unfinished", "lacking")


@contextmanager
def shown_progress(plan: Plan, stream: TextIO) -> Iterator[Listener]:
    """Show what happens while a plan runs."""
    forecast = Forecast(plan)
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        with _bars(forecast, stream) as listener:
            yield listener
    else:
        yield _Lines(forecast, stream)


class Forecast:
    """How much is left to do, from how long each operator took so far in this run, or before as the store remembers.

    Nodes differ by a thousandfold in time, so that counting them says nothing: a plan begins with what trains longest.
    """

    def __init__(self, plan: Plan) -> None:
        nodes = needed_by_selection(plan)
        self._operators: dict[str, Kind] = {
            name: (node.role, node.operator) for name, node in nodes.items() if not node.passes_on
        }
        self._left = Counter(self._operators.values())
        self._declared = {self._operators[name]: plan.nodes[name].seconds for name in self._operators}
        self._seen: dict[Kind, list[float]] = {}
        self._worked = 0.0
        self.total = len(self._operators)
        self.done = 0

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""
        operator = self._operators.get(facts.get("node", ""))
        if event not in ENDS or operator is None:
            return
        self.done += 1
        self._left[operator] -= 1
        seconds = facts.get("seconds")
        if seconds is not None:
            self._seen.setdefault(operator, []).append(float(seconds))
            self._worked += float(seconds) if event == "finished" else 0.0

    def left(self, elapsed: float) -> float | None:
        """Seconds that the rest will take; None while too little is known.

        Args:
            elapsed: seconds since the run began; several workers do more than a second of work in one.
        """
        known = {operator: self._mean(operator) for operator in self._left}
        count = sum(number for operator, number in self._left.items() if known[operator] is not None)
        rest = self.total - self.done
        if count < ENOUGH * rest:
            return None
        work = sum(number * (known[operator] or 0.0) for operator, number in self._left.items())
        return work * rest / max(count, 1) / max(1.0, self._worked / elapsed if elapsed else 1.0)

    def _mean(self, operator: Kind) -> float | None:
        seen = self._seen.get(operator)
        if seen:
            return sum(seen) / len(seen)
        declared = self._declared[operator]
        return 0.0 if declared is None and operator[0] in BRIEF else declared


@contextmanager
def _bars(forecast: Forecast, stream: TextIO) -> Iterator[Listener]:
    from rich.console import Console, RenderableType  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    class Bars(Progress):
        """Bars of which that of a node appears once the node has lasted, so that hundreds of short ones do not flicker."""

        def get_renderables(self) -> Iterable[RenderableType]:
            """Return what is drawn."""
            for task in self.tasks:
                task.visible = task.visible or (task.elapsed or 0.0) >= LASTS
            yield from super().get_renderables()

        def refresh(self) -> None:
            """Draw when it is time, and not for every node that begins."""

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    console = Console(file=stream, no_color="NO_COLOR" in os.environ or None)
    started = time.monotonic()
    with Bars(*columns, console=console, refresh_per_second=8, transient=True) as bars:
        whole = bars.add_task("audit", total=forecast.total, left="")
        tasks: dict[str, Any] = {}

        def tell(event: str, /, **facts: Any) -> None:
            forecast(event, **facts)
            if event in ENDS:
                bars.update(whole, completed=forecast.done, left=_left_words(forecast, time.monotonic() - started))
            node = facts.get("node", "")
            if event == "started":
                tasks[node] = bars.add_task(f"  {_named(facts)}", total=None, left="", visible=False)
            elif event == "progress" and node in tasks:
                left = facts.get("left")
                words = "" if left is None else f"about {duration(left)} left"
                bars.update(tasks[node], completed=facts["done"], total=facts["total"], left=words)
            elif event in OVER and node in tasks:
                bars.remove_task(tasks.pop(node))
            if words := notice(event, facts):
                console.print(words, markup=False, highlight=False)

        yield tell


class _Lines:
    """A line now and then, and one for everything out of the ordinary."""

    def __init__(self, forecast: Forecast, stream: TextIO) -> None:
        self.forecast = forecast
        self.stream = stream
        self.started = time.monotonic()
        self.last = self.started
        self.running: dict[str, str] = {}

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""
        self.forecast(event, **facts)
        node = facts.get("node", "")
        if event == "started":
            self.running[node] = _named(facts)
        elif event == "progress" and node in self.running:
            name = self.running[node].partition(" at ")[0]
            self.running[node] = f"{name} at {facts['done'] / max(1, facts['total']):.0%}"
        elif event in OVER:
            self.running.pop(node, None)
        if words := notice(event, facts):
            say(words, self.stream)
        now = time.monotonic()
        if now - self.last >= QUIET:
            self.last = now
            elapsed = now - self.started
            parts = [f"{self.forecast.done} of {self.forecast.total} nodes", f"{duration(elapsed)} so far"]
            parts += filter(None, [_left_words(self.forecast, elapsed)])
            parts += [f"now {each}" for each in list(self.running.values())[:NAMED]]
            say(", ".join(parts), self.stream)
            self.stream.flush()


def notice(event: str, facts: Mapping[str, Any]) -> str:
    """What people are told about an event out of the ordinary; nothing about the others."""
    match event:
        case "failed":
            return f"failed: {facts['label']}: {facts['title']}"
        case "stopping":
            return STOPPING
        case "retried":
            return f"warning: the worker of {facts['label']} is gone: {facts['reason']}; another takes it up"
        case "recomputed":
            return f"warning: {facts['label']} is computed again: {facts['reason']}"
        case "restarted":
            return f"warning: {facts['label']} begins afresh: {facts['reason']}"
        case "resumed":
            return f"{facts['label']} goes on after {duration(facts['seconds'])} of work"
        case "waiting":
            return f"{facts['label']} waits: {facts['reason']}"
    return ""


def _named(facts: Mapping[str, Any]) -> str:
    repeat = facts.get("repeat")
    return facts["label"] if repeat is None else f"{facts['label']} (repeat {repeat + 1})"


def _left_words(forecast: Forecast, elapsed: float) -> str:
    left = forecast.left(elapsed)
    return "" if left is None or left < 1 else f"about {duration(left)} left"
