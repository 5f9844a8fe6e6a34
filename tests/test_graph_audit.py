"""A whole audit of a graph through the command line, and what its report hides."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mialang.plan.emit.plan_json import read_plan
from mialang.plan.flow import leaks
from mialang.plan.model import Plan
from tests.test_end_to_end import ROOT, mialang, newest

SPEC = ROOT / "tests" / "good" / "links.mia"
PICTURE = re.compile(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"')


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with one run of the audit, and its verdict."""
    store = tmp_path_factory.mktemp("links") / "store"
    done = mialang("run", SPEC, "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    return store, json.loads(done.stdout)


def plan_of(run: Path) -> Plan:
    plan, found = read_plan((run / "plan.json").read_text(), "plan.json")
    assert found == []
    assert plan is not None
    return plan


def rows(verdict: dict[str, Any], measurement: str, attack: str) -> list[dict[str, Any]]:
    return [row for row in verdict["measurements"] if (row["measurement"], row["attack"]) == (measurement, attack)]


def test_every_recipe_has_figures_controls_and_baselines(audited: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = audited
    for measurement, attacks in (
        ("inner", ("GraphMI", "GraphMISampled")),
        ("outer", ("LinkStealing0", "LinkStealing3", "LinkTeller")),
    ):
        for attack in attacks:
            found = rows(verdict, measurement, attack)
            assert found
            for row in found:
                assert {"point", "values"} <= set(row["value"])
                assert "point" in row["blind"]
                assert row["baseline"]["name"]


def test_what_a_small_graph_cannot_resolve_is_not_available(audited: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = audited
    found = {row["field"]: row["value"] for row in rows(verdict, "found", "LinkTeller")}
    assert "point" in found["recall_1_in_10"]
    assert "one false alarm" in json.dumps(found["recall_1_in_1000"])


def test_nothing_secret_reaches_an_attack_but_through_handles_and_grants(audited: tuple[Path, dict[str, Any]]) -> None:
    store, _ = audited
    plan = plan_of(newest(store))
    assert leaks(plan) == []
    granted = {node.params["item"] for node in plan.nodes.values() if node.role == "grant"}
    assert granted == {"nodes", "features", "labels", "edge_count", "edges"}


def test_pairs_that_a_grant_reveals_are_in_no_figure(audited: tuple[Path, dict[str, Any]]) -> None:
    """A fifth of 78 edges and as many other pairs are known: 62 edges and 62 others are left to find."""
    store, _ = audited
    plan = plan_of(newest(store))
    outcome = json.loads((newest(store) / "outcome.json").read_text())
    readings = [reading for reading in plan.readings if reading.measurement == "outer" and reading.node is not None]
    assert {reading.arm for reading in readings} == {"attack", "blind", "baseline"}
    for reading in readings:
        key = outcome["nodes"][reading.node]["key"]
        notes = json.loads((store / "actions" / key[:2] / f"{key}.json").read_text())["evidence"]["notes"]
        assert (notes["linked_pairs"], notes["unlinked_pairs"], notes["pairs_given_away"]) == (62, 62, 32)


def test_the_report_says_which_attack_beats_which_baseline(audited: tuple[Path, dict[str, Any]]) -> None:
    store, _ = audited
    page = (newest(store) / "report.html").read_text()
    assert "Which attack beats which baseline" in page
    table = page.split('class="standings"')[1].split("</table>")[0]
    for name in ("GraphMI", "ReleasedPosteriors", "ReleasedEmbeddings", "LabelAgreement"):
        assert name in table
    assert page.count('class="chart roc"') >= 2


def test_maps_are_reduced_unless_revealed_and_nothing_finer_is_in_the_page(
    audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    store, _ = audited
    run = newest(store)
    hidden = (run / "report.html").read_text()
    whole = tmp_path / "revealed.html"
    assert mialang("report", run.name, "--store", store, "--html", whole, "--reveal").returncode == 0
    sizes = {}
    for name, page in (("hidden", hidden), ("revealed", whole.read_text())):
        found = [(alt, Image.open(BytesIO(base64.b64decode(data))).size) for data, alt in PICTURE.findall(page)]
        maps = [size for alt, size in found if "links" in alt or "scores" in alt]
        assert maps
        sizes[name] = {max(size) for size in maps}
    assert max(sizes["hidden"]) <= 4
    assert sizes["revealed"] == {34}


def test_what_the_report_draws_is_told_nowhere_else(audited: tuple[Path, dict[str, Any]]) -> None:
    store, verdict = audited
    run = newest(store)
    plan = plan_of(run)
    node = next(reading.node for reading in plan.readings if reading.measurement == "inner" and reading.node)
    key = json.loads((run / "outcome.json").read_text())["nodes"][node]["key"]
    kept = json.loads((store / "actions" / key[:2] / f"{key}.json").read_text())["evidence"]["exhibits"]["map"]
    assert len(kept["linked"]) > 100
    done = mialang("why", run.name, node, "--store", store)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert "linked_pairs" in told
    for text in (told, json.dumps(verdict), (run / "events.jsonl").read_text(), (run / "report.html").read_text()):
        assert kept["linked"] not in text
        assert kept["scores"] not in text
