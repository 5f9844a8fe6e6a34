"""Audits of stores of embeddings as a user runs them, cut to generated sentences and LSA."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mialang.operators.run import Run
from mialang.operators.text.personal import FAMILY, personal

ROOT = Path(__file__).parents[1]
SPECS = ROOT / "specs" / "text"


def mialang(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mialang", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def audit(name: str, store: Path, *settings: str) -> dict[str, Any]:
    given = [each for setting in ("tiny=true", "repeats=2", *settings) for each in ("--set", setting)]
    done = mialang("run", SPECS / name, *given, "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode in (0, 1, 3), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figure(
    verdict: dict[str, Any], measurement: str, attack: str, field: str, part: str = "value", **cell: str
) -> float:
    found = [
        row[part]["point"]
        for row in verdict["measurements"]
        if (row["measurement"], row["attack"], row["field"]) == (measurement, attack, field)
        and all(row["cell"].get(name) == value for name, value in cell.items())
    ]
    assert len(found) == 1, (measurement, attack, field, cell, found)
    return float(found[0])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    store = tmp_path_factory.mktemp("pairs") / "store"
    return store, audit("few_leaked_pairs.mia", store)


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    store = tmp_path_factory.mktemp("leak") / "store"
    return store, audit("vector_store_leak.mia", store)


def page(store: Path) -> str:
    return (max((store / "runs").iterdir()) / "report.html").read_text()


def nodes(store: Path) -> list[dict[str, Any]]:
    plan = json.loads((max((store / "runs").iterdir()) / "plan.json").read_text())
    return list(plan["nodes"].values())


def test_more_pairs_give_more_away(pairs: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = pairs
    one, many = (figure(verdict, "told", "ALGEN", "f1", pairs=k) for k in ("1", "100"))
    assert many > one + 0.2
    assert many > figure(verdict, "told", "ALGEN", "f1", "blind", pairs="100") + 0.2


def test_nobody_is_asked_where_only_artefacts_leaked(pairs: tuple[Path, dict[str, Any]]) -> None:
    store, _ = pairs
    assert not [node for node in nodes(store) if node["role"] == "attack" and '"$handle"' in json.dumps(node["params"])]


def test_what_leaked_pairs_reveal_leaves_every_figure(pairs: tuple[Path, dict[str, Any]]) -> None:
    store, _ = pairs
    measured = [node for node in nodes(store) if node["operator"] == "token_f1"]
    left = {node["id"] for node in nodes(store) if node["operator"] == "unrevealed"}
    assert measured
    assert all(node["params"]["of"]["$node"] in left for node in measured)
    values = [json.loads(path.read_text())["value"] for path in (store / "actions").rglob("*.json")]
    counts = {len(set(value["fields"]["f1"]["items"])) for value in values if value and "f1" in value["fields"]}
    assert counts == {159, 60}  # of 160 records, without 1 and without 100


def test_every_attack_is_ahead_of_its_blind_control(leak: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = leak
    for measurement, attack in (("held", "BagOfWords"), ("told", "GEIA"), ("told", "SampleRerank")):
        own = figure(verdict, measurement, attack, "f1", defense="none()")
        assert own > figure(verdict, measurement, attack, "f1", "blind", defense="none()") + 0.1


def test_noise_on_the_store_leaves_the_inverter_as_it_was(leak: tuple[Path, dict[str, Any]]) -> None:
    """The static attacker fits to vectors without noise: the very node of the undefended cell."""
    store, _ = leak
    fits = [node for node in nodes(store) if node["operator"] == "fit_prefix_decoder"]
    # For real and blind, in two repeats: undefended and static share theirs, the adaptive attacker fits its own.
    assert len(fits) == 2 * 2 * 2
    leaked = [node for node in nodes(store) if node["operator"] == "stored_embeddings"]
    assert len(leaked) == 3 * 2 * 2


def test_noise_costs_the_search(leak: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = leak
    found = {
        row["cell"]["defense"]: row["value"]["point"]
        for row in verdict["measurements"]
        if row["measurement"] == "search"
    }
    assert found["none()"] > found["noise_embeddings(deviation = 0.1)"] + 0.1


def test_no_private_word_is_in_a_page_that_hides(leak: tuple[Path, dict[str, Any]]) -> None:
    store, _ = leak
    private = personal(split="test", records=60, seed=1, run=Run(seed=0)).lines
    names = [word.lower() for word in FAMILY if any(word in line for line in private)]
    folder = max((store / "runs").iterdir())
    for file in ("report.html", "events.jsonl", "verdict.json", "outcome.json"):
        text = (folder / file).read_text().lower()
        assert not [name for name in names if re.search(rf"\b{name}\b", text)], file
    assert 'aria-label="' in page(store)
    shown = folder / "revealed.html"
    done = mialang("report", "last", "--store", store, "--reveal", "--html", shown)
    assert done.returncode == 0, done.stderr
    revealed = shown.read_text().lower()
    assert [name for name in names if name in revealed]
    assert "<mark>" in revealed


def test_running_again_computes_nothing(pairs: tuple[Path, dict[str, Any]]) -> None:
    store, verdict = pairs
    done = mialang(
        "run", SPECS / "few_leaked_pairs.mia", "--set", "tiny=true", "--set", "repeats=2", "--store", store,
        "--threads", "1", "--format", "json",
    )  # fmt: skip
    assert "0 nodes computed" in done.stderr
    again = json.loads(done.stdout)
    assert again["measurements"] == verdict["measurements"]


def test_a_search_with_the_encoder_in_hand(tmp_path: Path) -> None:
    """The weights were not fitted to the secret: the blind control keeps them and permutes what leaked."""
    store = tmp_path / "store"
    verdict = audit("encoder_in_hand.mia", store)
    found = [
        figure(verdict, "held", "EmbeddingRelaxation", "f1", defense=f"noise_embeddings(deviation = {deviation})")
        for deviation in ("0.03", "0.1")
    ]
    plain = figure(verdict, "held", "EmbeddingRelaxation", "f1", defense="none()")
    assert plain > found[0] > found[1]
    assert plain > figure(verdict, "held", "EmbeddingRelaxation", "f1", "blind", defense="none()") + 0.2
    handles = [node["params"]["decoy"] for node in nodes(store) if node["role"] == "handle"]
    assert set(handles) == {"", "held"}
