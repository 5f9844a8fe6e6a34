"""A whole audit of a language model's memory, in the small form that the spec brings for tests, and its full plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mialang.plan.emit.plan_json import read_plan
from mialang.plan.flow import leaks
from mialang.plan.model import Plan
from tests.test_end_to_end import ROOT, mialang, newest

SPEC = ROOT / "specs" / "text" / "language_model_memorisation.mia"


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with one run of the small audit, and its verdict."""
    store = tmp_path_factory.mktemp("memory") / "store"
    done = mialang("run", SPEC, "--set", "tiny=true", "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode in (0, 1, 3), done.stderr
    return store, json.loads(done.stdout)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan of the full audit; making it needs no data."""
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    assert mialang("plan", SPEC, "-o", file).returncode == 0
    found, problems = read_plan(file.read_text(), "plan.json")
    assert problems == []
    assert found is not None
    return found


def rows(verdict: dict[str, Any], measurement: str) -> list[dict[str, Any]]:
    return [row for row in verdict["measurements"] if row["measurement"] == measurement]


def test_every_attack_has_figures_and_a_blind_control(audited: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = audited
    assert verdict["failures"] == {} or not verdict["failures"]
    attacks = {
        "found": {f"GenerateAndRank.{score}" for score in ("ppl", "zlib", "lower", "reference", "window")},
        "exposed": {"CanaryExposure"},
        "drawn": {"ProbabilisticExtraction"},
        "continued": {"DiscoverableExtraction"},
    }
    for measurement, names in attacks.items():
        found = rows(verdict, measurement)
        assert {row["attack"] for row in found} == names
        for row in found:
            assert "point" in row["value"], row
            assert "point" in row["blind"], row


def test_only_rankings_of_texts_are_compared_with_baselines_that_rank_texts(
    audited: tuple[Path, dict[str, Any]],
) -> None:
    _, verdict = audited
    assert {row["baseline"]["name"] for row in rows(verdict, "found")} <= {"RandomOrder", "ReferenceOrder"}
    for measurement in ("exposed", "drawn", "continued"):
        assert all("point" not in row["baseline"] for row in rows(verdict, measurement))


def test_never_planted_secrets_are_controls_and_exposure_stays_inside_its_space(
    audited: tuple[Path, dict[str, Any]],
) -> None:
    _, verdict = audited
    exposed = {(row["field"], json.dumps(row["cell"])): row["value"]["point"] for row in rows(verdict, "exposed")}
    assert {field for field, _ in exposed} == {f"m{copies}" for copies in (0, 1, 2, 4, 8, 16)}
    assert all(0 <= bits <= 9.97 for bits in exposed.values())  # log2 of 1,000 secrets


def test_words_are_absent_from_the_report_unless_they_may_be_shown(
    audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    store, _ = audited
    hidden = (newest(store) / "report.html").read_text()
    mialang("report", "last", "--store", store, "--html", tmp_path / "shown.html", "--reveal")
    shown = (tmp_path / "shown.html").read_text()
    for page in (hidden, shown):
        assert (
            'scope="row">passage 0<' in page
        )  # what an adversary with its beginning made of it, beside how it goes on
        assert 'scope="row">output 1<' in page  # what the model wrote of itself
    words = set(shown.split()) - set(hidden.split())
    assert {"street", "crowns"} & words


# -- the full plan ---------------------------------------------------------------------------------------------------


def test_nothing_secret_flows_past_the_handle_and_the_grants(plan: Plan) -> None:
    assert leaks(plan) == []


def test_a_shorter_list_of_log_probabilities_narrows_what_the_handle_gives(plan: Plan) -> None:
    narrowed = [node for node in plan.nodes.values() if node.role == "handle" and node.params["sees"]]
    limits = {node.params["sees"].get("next_token_logprobs", "not seen") for node in narrowed}
    assert limits == {None, 5, "not seen"}
    assert all(node.params["transforms"] == [] for node in narrowed)
    assert {tuple(node.params["knows"]) for node in narrowed if "next_token_logprobs" in node.params["sees"]} == {
        ("vocabulary",)
    }


def test_what_writes_freely_is_compared_with_a_model_of_other_text(plan: Plan) -> None:
    """Answers to questions are permuted; for text that answers nothing, the decoy is trained on the prior."""
    decoys = {}
    for arm in plan.arms:
        if arm.arm == "blind":
            handles = {
                plan.nodes[name].params["decoy"]
                for node in arm.nodes
                for name in plan.nodes[node].inputs
                if plan.nodes[name].role == "handle"
            }
            decoys.setdefault(arm.attack, set()).update(handles)
    assert decoys == {
        "writing": {"retrained"}, "guessing": {"permuted"}, "drawing": {"permuted"}, "continuing": {"retrained"},
    }  # fmt: skip
    assert {arm.attack for arm in plan.arms if arm.arm == "baseline"} == {"writing"}


def test_deduplication_acts_on_the_training_text(plan: Plan) -> None:
    cleaned = [node for node in plan.nodes.values() if node.operator == "deduplicate_exact"]
    assert len(cleaned) == plan.repeats * 2  # for the target and for its decoy
    trained = [node for node in plan.nodes.values() if node.operator == "CausalLM"]
    assert any(set(node.inputs) & {each.id for each in cleaned} for node in trained)
