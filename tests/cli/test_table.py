"""The table at the end of a run says every figure once, in columns, and names what is missing."""

from __future__ import annotations

import io
from pathlib import Path

from mialang.cli.table import figure_lines
from mialang.cli.words import summary_words
from tests.report.audits import UTILITY, Audit, audit


def test_figures_stand_in_columns_below_their_cell(tmp_path: Path) -> None:
    assert figure_lines(audit(tmp_path).record())[:8] == [
        "         value                blind control        gain                  best baseline",
        "leak.top1 (attack_accuracy)",
        "  none()",
        "    GMI  83.3 % [0.0, 100.0]  16.7 % [0.0, 100.0]  66.7 % [-28.2, 99.2]  0.0 % [0.0, 39.3] NearestPublic",
        "  noise(σ = 1)",
        "    GMI  0.0 % [0.0, 39.3]    not available        not available         not available",
        "  hidden(weights)",
        "    GMI  not evaluated        not available        not evaluated         not available",
    ]


def test_models_have_a_line_a_cell(tmp_path: Path) -> None:
    lines = figure_lines(audit(tmp_path).record())
    at = lines.index("utility (accuracy)")
    assert [line.split("  ")[1] for line in lines[at + 1 : at + 4]] == ["none()", "noise(σ = 1)", "hidden(weights)"]
    made = Audit(tmp_path / "models")
    made.measurements = [UTILITY]
    made.read("utility", {"defense": 0}, 0, [0.5] * 4)
    made.read("utility", {"defense": 0}, 1, [0.5] * 4)
    assert figure_lines(made.record())[0] == "utility (accuracy)"


def test_nothing_measured_is_no_table(tmp_path: Path) -> None:
    assert figure_lines(Audit(tmp_path).record()) == []


def test_the_summary_tells_like_failures_once_and_where_the_report_is(tmp_path: Path) -> None:
    made = audit(tmp_path)
    for name in ("victim", "expert"):
        made.fail(name, "it broke", "why", "the way out")
    made.fail("public", "gone")
    stream = io.StringIO()
    summary_words(made.record(), stream, "there.html")
    said = stream.getvalue()
    assert said.count(": the metric broke\n  = note: a note\n  = help: a help\n") == 1
    assert said.count("failed: victim: it broke\n") == said.count("failed: expert: it broke\n") == 1
    assert "failed: public: gone\n" in said
    assert "FAIL  leaks\n" in said
    assert said.endswith("report: there.html\n")
