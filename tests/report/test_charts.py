"""Charts: scales hold their values, layouts keep their order, and shapes tell series apart without colour."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mialang.report.bounds import Estimate
from mialang.report.charts import Group, Limit, Line, Spot, frontier, interval_plot, key_mark
from mialang.report.evidence import Missing
from mialang.report.layers import lay_out
from mialang.report.svg import scale_for, tag

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(numbers, max_size=8), st.sampled_from(["share", "distance", "queries"]), st.booleans())
def test_a_scale_holds_its_values(values: list[float], unit: str, zero: bool) -> None:
    scale = scale_for(values, unit, (0.2, 0.9), zero=zero)
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(set(scale.ticks))
    for value in values:
        slack = 1e-6 * max(1.0, abs(scale.low), abs(scale.high))
        assert scale.low - slack <= value <= scale.high + slack
        assert 0.2 - 1e-9 <= scale.share(value) <= 0.9 + 1e-9
    if zero:
        assert scale.low <= 0 <= scale.high


@given(numbers, numbers)
def test_a_scale_keeps_the_order(one: float, other: float) -> None:
    scale = scale_for([one, other], "distance", (0.0, 1.0))
    assert (one <= other) == (scale.share(one) <= scale.share(other)) or abs(one - other) < 1e-6


def test_attributes_and_texts_are_escaped() -> None:
    assert (
        str(tag("text", '<b> & "', class_='"><script>'))
        == '<text class="&#34;&gt;&lt;script&gt;">&lt;b&gt; &amp; &#34;</text>'
    )


def estimate(point: float) -> Estimate:
    return Estimate(point, point - 0.1, point + 0.1, 5, 50)


def test_a_plot_shows_what_is_there_and_names_what_is_not() -> None:
    lines = (
        Line("GMI", "attack", estimate(0.5), estimate(0.4)),
        Line("blind", "blind", Missing("not available", "no decoy")),
        Line("baseline", "baseline", Estimate(0.1, None, None, 1, 5)),
    )
    limits = (Limit(0.2, "require", below=True, gain=True, instance="", text="require gain <= 20 %"),)
    drawn = str(interval_plot([Group("none()", lines, limits)], "share", "leak, %"))
    assert drawn.count('class="hold mark') == 3  # attack, baseline, gain
    assert drawn.count('class="reach attack"') == drawn.count('class="reach gain"') == 3  # a line and two ends
    assert 'class="reach baseline"' not in drawn
    assert "not available" in drawn
    assert "no decoy" in drawn
    assert "limit require" in drawn


def test_series_differ_in_shape() -> None:
    shapes = {re.sub(r'class="[^"]*"', "", str(key_mark(series))) for series in ("attack", "blind", "baseline", "gain")}
    assert len(shapes) == 4


def test_spots_that_would_cover_each_other_share_one() -> None:
    spots = [
        Spot(1, estimate(0.5), estimate(0.9)),
        Spot(2, estimate(0.1), estimate(0.9)),
        Spot(3, estimate(0.5), estimate(0.9)),
    ]
    drawn = str(frontier(spots, "share", "share", ("gain", "utility")))
    assert ">1 3</text>" in drawn
    assert ">2</text>" in drawn


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    boxes = [f"b{number}" for number in range(draw(st.integers(0, 14)))]
    pairs = [(one, other) for place, one in enumerate(boxes) for other in boxes[place + 1 :]]
    return boxes, draw(st.lists(st.sampled_from(pairs), max_size=25)) if pairs else []


@given(graphs())
def test_a_layout_runs_left_to_right_without_overlap(graph: tuple[list[str], list[tuple[str, str]]]) -> None:
    boxes, arrows = graph
    layout = lay_out(boxes, arrows)
    assert set(layout.places) == set(boxes)
    for source, sink in arrows:
        assert layout.places[source][0] < layout.places[sink][0]
        route = layout.routes[source, sink]
        assert route[0] == layout.places[source]
        assert route[-1] == layout.places[sink]
        assert [layer for layer, _ in route] == list(range(route[0][0], route[-1][0] + 1))
    for one in boxes:
        for other in boxes:
            if one < other and layout.places[one][0] == layout.places[other][0]:
                assert abs(layout.places[one][1] - layout.places[other][1]) >= 1 - 1e-9
    assert all(-1e-9 <= height <= layout.height for _, height in layout.places.values())
