"""Events are lines of JSON: none is lost, none is torn, and progress does not flood the file."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest

from mialang.engine.events import EventLog, fan_out, read_events, silent
from mialang.engine.store import UnwritableError


def test_progress_is_kept_now_and_then_and_everything_else_always(tmp_path: Path) -> None:
    now = 100.0
    with EventLog(tmp_path / "events.jsonl", clock=lambda: now, pace=10) as log:
        log("started", node="a", label="a")
        for step in range(100):
            now += 1
            log("progress", node="a", done=step + 1, total=100, left=None, figures={})
            log("progress", node="b", done=step + 1, total=100, left=3.0, figures={"loss": 0.5})
        log("finished", node="a", label="a", seconds=1.0)
    events = read_events(tmp_path / "events.jsonl")
    assert [event["done"] for event in events if event.get("node") == "a" and event["event"] == "progress"] == [
        10, 20, 30, 40, 50, 60, 70, 80, 90, 100,
    ]  # fmt: skip
    assert len([event for event in events if event.get("node") == "b"]) == 10
    assert events[0] == {"time": 100.0, "event": "started", "node": "a", "label": "a"}
    assert events[-1]["event"] == "finished"


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "started"}\n{"event": "fin')
    assert read_events(path) == [{"event": "started"}]


def test_each_event_is_on_its_way_to_disk_at_once(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl") as log:
        log("started", node="a")
        assert json.loads((tmp_path / "events.jsonl").read_text())["node"] == "a"


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    class Full(io.RawIOBase):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    log = EventLog(tmp_path / "events.jsonl")
    log("started", node="a")  # before it is opened, nobody listens
    with log:
        log._file.close()
        log._file = Full()
        with pytest.raises(UnwritableError, match="No space left"):
            log("started", node="a")


def test_several_listeners_hear_the_same() -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    fan_out(None, silent, lambda event, **facts: heard.append((event, facts)))("started", node="a")
    assert heard == [("started", {"node": "a"})]
