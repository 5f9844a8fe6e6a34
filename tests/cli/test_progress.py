"""The forecast: what is left is weighed by how long each operator takes, and nothing is foretold from nothing."""

from __future__ import annotations

import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.cli import progress
from mialang.cli.progress import Forecast, shown_progress
from mialang.plan.model import Plan
from tests.engine.toys import node, plan


def made(count: int, *, slow: int = 0) -> Plan:
    nodes = [node(f"n{place}", plus=place) for place in range(count)]
    first = [each.model_copy(update={"operator": "train"}) for each in nodes[:slow]]
    return plan([*first, *nodes[slow:]])


def test_nothing_is_foretold_from_nothing() -> None:
    assert Forecast(made(5)).left(10.0) is None


def test_a_long_first_node_does_not_stretch_the_rest() -> None:
    forecast = Forecast(made(11, slow=1))
    forecast("finished", node="n0", seconds=60.0)
    assert forecast.left(60.0) is None
    forecast("finished", node="n1", seconds=0.5)
    assert forecast.left(60.5) == pytest.approx(9 * 0.5, rel=0.05)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(1, 20))
def test_what_is_left_is_the_mean_times_the_number(seconds: list[float], more: int) -> None:
    forecast = Forecast(made(len(seconds) + more))
    for place, each in enumerate(seconds):
        forecast("finished", node=f"n{place}", seconds=each)
    assert forecast.left(sum(seconds)) == pytest.approx(more * sum(seconds) / len(seconds))


def test_measurements_that_wait_do_not_keep_the_forecast_waiting() -> None:
    base = made(6)
    last = {name: each.model_copy(update={"role": "metric"}) for name, each in base.nodes.items() if name > "n2"}
    forecast = Forecast(base.model_copy(update={"nodes": {**base.nodes, **last}}))
    assert forecast.left(1.0) is None
    forecast("finished", node="n0", seconds=3.0)
    assert forecast.left(3.0) == pytest.approx(6.0)


def test_two_workers_halve_what_is_left() -> None:
    forecast = Forecast(made(4))
    for place in range(2):
        forecast("finished", node=f"n{place}", seconds=10.0)
    assert forecast.left(10.0) == pytest.approx(10.0)


def test_what_is_known_already_takes_no_time_and_still_teaches() -> None:
    forecast = Forecast(made(4))
    for place in range(3):
        forecast("cached", node=f"n{place}", seconds=8.0)
    assert forecast.left(0.1) == pytest.approx(8.0)


def test_declared_times_count_until_something_was_measured() -> None:
    base = made(3)
    nodes = {name: each.model_copy(update={"seconds": 4.0}) for name, each in base.nodes.items()}
    forecast = Forecast(base.model_copy(update={"nodes": nodes}))
    assert forecast.left(1.0) == pytest.approx(12.0)
    forecast("finished", node="n0", seconds=1.0)
    assert forecast.left(1.0) == pytest.approx(2.0)


def test_plain_lines_tell_what_goes_wrong_and_count_every_node_once() -> None:
    stream = io.StringIO()
    base = made(3)
    handle = base.nodes["n2"].model_copy(update={"python": ""})
    base = base.model_copy(update={"nodes": {**base.nodes, "n2": handle}})
    with shown_progress(base, stream) as tell:
        tell("recomputed", node="n0", label="n0", reason="its record is damaged")
        tell("failed", node="n1", label="n1", title="it broke")
        tell("skipped", node="n2", label="n2", because="n1")
    assert stream.getvalue() == "warning: n0 is computed again: its record is damaged\nfailed: n1: it broke\n"


def test_plain_lines_say_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.0)
    stream = io.StringIO()
    with shown_progress(made(3), stream) as tell:
        tell("started", node="n0", label="n0", repeat=1)
        tell("progress", node="n0", label="n0", done=1, total=4, left=3.0, figures={})
        tell("resumed", node="n0", label="n0", seconds=40.0)
        tell("finished", node="n0", label="n0", seconds=4.0)
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("now n0 (repeat 2)")
    assert lines[1].endswith("now n0 (repeat 2) at 25%")
    assert lines[2] == "n0 goes on after 40 s of work"
    assert lines[-1].startswith("1 of 3 nodes, ")
    assert "now" not in lines[-1]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, lasts: float, *, colour: bool = True) -> str:
    """What the screen shows of three nodes under way at once and five hundred that are quick."""
    monkeypatch.setattr(progress, "LASTS", lasts)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "")
    stream = Screen()
    with shown_progress(made(503), stream) as tell:
        for place in range(3):
            tell("started", node=f"n{place}", label=f"slow{place}")
            tell("progress", node=f"n{place}", label=f"slow{place}", done=1, total=4, left=90.0, figures={})
        time.sleep(lasts + 0.2)
        for place in range(3, 503):
            tell("started", node=f"n{place}", label="quick")
            tell("finished", node=f"n{place}", label="quick", seconds=0.0)
        tell("failed", node="n0", label="slow0", title="it broke")
        tell("cached", node="n1", label="slow1", seconds=0.0)
    return stream.getvalue()


def test_every_node_that_lasts_has_a_bar_and_quick_ones_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = drawn(monkeypatch, 0.3)
    assert "audit" in screen
    assert all(f"slow{place}" in screen for place in range(3))
    assert "about 1.5 min left" in screen
    assert "failed: slow0: it broke" in screen
    assert "quick" not in screen
    assert "\x1b[38;5;" in screen or "\x1b[3" in screen
    assert screen.count("audit") < 100, "it is drawn some times a second, and not for every node"


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = drawn(monkeypatch, 0.3, colour=False)
    assert "slow0" in screen
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", screen)
