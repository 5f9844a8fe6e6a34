"""A whole audit, from `.mia` text to report, through the command line (R-KED-2: a released path crashes at its end)."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mialang.engine.codec import read_arrays
from mialang.engine.store import Store
from mialang.report.pictures import scaled

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "good" / "tiny.mia"


def mialang(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mialang", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with one run of the tiny audit, and its verdict."""
    store = tmp_path_factory.mktemp("audit") / "store"
    done = mialang("run", TINY, "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    return store, json.loads(done.stdout)


def newest(store: Path) -> Path:
    return max((store / "runs").iterdir())


def test_the_verdict_carries_every_figure_with_its_controls(audited: tuple[Path, dict[str, Any]]) -> None:
    _, verdict = audited
    assert verdict["status"] == "pass"
    leak = [row for row in verdict["measurements"] if row["measurement"] == "leak"]
    assert {row["attack"] for row in leak} == {"GMI", "LOMMA"}
    for row in leak:
        assert set(row["value"]) >= {"point", "lower", "upper", "repeats", "values"}
        assert row["blind"]["values"] == row["value"]["values"] == 12
        assert row["baseline"]["name"] in ("ClassMeanOfPrior", "NearestPublic")
    assert verdict["gates"][0]["rules"][0]["status"] == "pass"


def test_a_run_is_a_folder_with_all_its_parts(audited: tuple[Path, dict[str, Any]]) -> None:
    store, verdict = audited
    folder = store / "runs" / verdict["run"]
    assert {each.name for each in folder.iterdir()} == {
        "spec.mia", "plan.json", "events.jsonl", "outcome.json", "verdict.json", "report.html",
    }  # fmt: skip
    assert (folder / "spec.mia").read_text() == TINY.read_text()
    assert "<strong>warning[W0308]</strong>" in (folder / "report.html").read_text()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "run started"
    assert events[-1]["event"] == "run ended"
    told = {"run started", "started", "finished", "cached", "cost", "progress", "checkpoint", "run ended"}
    assert {event["event"] for event in events} <= told
    asked = [event for event in events if event["event"] == "cost"]
    assert asked
    assert asked[-1]["run"] == sum(event["asked"] for event in asked)


def test_running_again_computes_nothing_and_says_the_same(audited: tuple[Path, dict[str, Any]]) -> None:
    store, verdict = audited
    done = mialang("run", TINY, "--store", store, "--threads", "1", "--format", "json")
    again = json.loads(done.stdout)
    assert "0 nodes computed" in done.stderr
    assert {**again, "run": "", "seconds": 0} == {**verdict, "run": "", "seconds": 0}


def test_a_saved_plan_runs_like_its_spec(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    store, verdict = audited
    mialang("plan", TINY, "-o", tmp_path / "plan.json", "--store", store)
    done = mialang("run", tmp_path / "plan.json", "--store", store, "--threads", "1", "--format", "json")
    assert "0 nodes computed" in done.stderr
    assert json.loads(done.stdout)["measurements"] == verdict["measurements"]


@pytest.mark.parametrize("name", ["audit.plan", "audit", "audit.mia"])
def test_a_plan_is_known_by_what_it_holds_and_not_by_its_name(
    name: str, audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    store, first = audited
    (tmp_path / name).write_bytes((store / "runs" / first["run"] / "plan.json").read_bytes())
    done = mialang("run", tmp_path / name, "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "0 nodes computed" in done.stderr


def test_the_script_makes_the_same_digests(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    store, verdict = audited
    script = tmp_path / "audit.py"
    assert mialang("compile", TINY, "--to", "python", "-o", script).returncode == 0
    done = subprocess.run(
        [sys.executable, script, "--threads", "1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made = {name: digest for digest, name in (line.split("  ") for line in done.stdout.splitlines() if "  " in line)}
    kept = json.loads((store / "runs" / verdict["run"] / "outcome.json").read_text())["nodes"]
    assert made == {name: node["output"] for name, node in kept.items()}


def test_damage_to_the_store_is_found_and_mended_with_a_warning(
    audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(audited[0], store)
    blobs = sorted((store / "blobs").rglob("*.safetensors"))
    blobs[0].write_bytes(b"damaged")
    action = min((store / "actions").rglob("*.json"))
    action.write_text("{")
    done = mialang("run", TINY, "--store", store, "--threads", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "is computed again: its re" in done.stderr
    assert json.loads(done.stdout)["measurements"] == audited[1]["measurements"]


def test_why_tells_what_a_node_is_and_what_it_found(audited: tuple[Path, dict[str, Any]]) -> None:
    store, _ = audited
    done = mialang("why", "last", "sphere_repulsion", "--store", store)
    assert "asked the target" in done.stdout
    assert "rests on" in done.stdout
    done = mialang("why", "last", "victm", "--store", store)
    assert done.returncode == 2
    assert "did you mean `victim`?" in done.stderr


PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
NUMBERS = re.compile(r"(?:-?[0-9.]+(?:e-?[0-9]+)?,\s*){15}")  # a quarter of an image in a row


def pictures(page: Path) -> list[Image.Image]:
    return [Image.open(BytesIO(base64.b64decode(found))) for found in PICTURE.findall(page.read_text())]


def whole_pictures(store: Path, run: str) -> dict[str, set[bytes]]:
    """The private records and all outputs of attacks as bytes of whole images, from the store."""
    folder = store / "runs" / run
    plan = json.loads((folder / "plan.json").read_text())
    nodes = json.loads((folder / "outcome.json").read_text())["nodes"]
    found: dict[str, set[bytes]] = {"private": set(), "recovered": set()}
    for name, node in nodes.items():
        if name in plan["secrets"].values():
            raw, facts = read_arrays(Store(store), node["output"])
            found["private"] |= {image.tobytes() for image in np.asarray(scaled(raw["raw"], facts["maximum"]) * 255)
                                 .round().astype(np.uint8)}  # fmt: skip
        elif node["kind"] == "candidates":
            values = read_arrays(Store(store), node["output"])[0]["values"]
            found["recovered"] |= {image.tobytes() for image in (scaled(values, 1.0) * 255).round().astype(np.uint8)}
    return found


def test_nothing_that_is_written_of_a_run_holds_what_is_hidden(
    audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Page, events, verdict, outcome, plan, SARIF and JUnit: no picture is whole, and no picture is spelled out."""
    store, verdict = audited
    folder = store / "runs" / verdict["run"]
    done = mialang("report", "last", "--store", store, "--sarif", tmp_path / "a.sarif", "--junit", tmp_path / "a.xml")
    assert done.returncode == 0, done.stderr
    known = whole_pictures(store, verdict["run"])
    assert len(known["private"]) > 80
    assert len(known["recovered"]) > 50
    for path in (*folder.iterdir(), tmp_path / "a.sarif", tmp_path / "a.xml"):
        text = path.read_text()
        shown = pictures(path)
        assert all(max(image.size) <= 4 and len(np.unique(np.asarray(image))) <= 8 for image in shown), path
        assert bool(shown) == (path.name == "report.html")
        assert not NUMBERS.search(text), path
        for image in known["private"] | known["recovered"]:
            assert base64.b64encode(image).decode() not in text, path
    assert not NUMBERS.search(done.stdout)


def test_what_is_revealed_is_whole(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    store, verdict = audited
    page = tmp_path / "shown.html"
    done = mialang("report", "last", "--store", store, "--html", page, "--reveal")
    assert done.returncode == 0, done.stderr
    known = whole_pictures(store, verdict["run"])
    shown = {np.asarray(image).tobytes() for image in pictures(page)}
    assert shown & known["private"]
    assert shown & known["recovered"]
    assert max(map(len, shown)) == 64


def test_a_report_is_written_where_it_is_asked_for(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    store, verdict = audited
    page = store / "runs" / verdict["run"] / "report.html"
    before = page.stat().st_mtime_ns
    done = mialang(
        "report", verdict["run"][:15], "--store", store, "--sarif", tmp_path / "a.sarif", "--junit", tmp_path / "a.xml"
    )
    assert done.returncode == 0, done.stderr
    assert page.stat().st_mtime_ns == before
    assert f"report: {tmp_path / 'a.sarif'}, {tmp_path / 'a.xml'}" in done.stdout
    assert json.loads((tmp_path / "a.sarif").read_text())["version"] == "2.1.0"
    assert (tmp_path / "a.xml").read_text().startswith("<?xml")
    done = mialang("report", "last", "--store", store, "--html", tmp_path / "gone" / "page.html")
    assert done.returncode == 0
    assert (tmp_path / "gone" / "page.html").exists()


def test_a_query_budget_is_enforced_while_running(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """An operator that asks more than it declared is stopped by its handle."""
    store = tmp_path / "store"
    shutil.copytree(audited[0], store)
    folder = store / "runs" / audited[1]["run"]
    plan = json.loads((folder / "plan.json").read_text())
    known = json.loads((folder / "outcome.json").read_text())["nodes"]
    capped = [name for name, node in plan["nodes"].items() if node["queries"]]
    assert capped
    for name in capped:
        plan["nodes"][name]["queries"] = 3
        Store(store).action_path(known[name]["key"]).unlink()
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    done = mialang("run", tmp_path / "plan.json", "--store", store, "--threads", "1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "this step was counted to ask at most 3 questions, and it asks more" in done.stdout
    events = [json.loads(line) for line in (newest(store) / "events.jsonl").read_text().splitlines()]
    assert {event["node"] for event in events if event["event"] == "failed"} <= set(capped)
    asked = [event["asked"] or 0 for event in events if event["event"] == "finished" and event["node"] in capped]
    assert all(each <= 3 for each in asked)


def test_overlap_that_only_the_data_show_stops_the_attack(tmp_path: Path) -> None:
    """The prior holds the private records under other labels: found when the data are loaded, before any attack."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    for name, labels in (("secret", digits.target), ("other", digits.target + 20)):
        np.savez(tmp_path / f"{name}.npz", x=(digits.images / 16).astype(np.float32), y=labels)
    text = TINY.read_text()
    text = text.replace('data secret : image.Digits { split = "train"  classes = 0..2  limit = 90 }',
                        'data secret : image.Npz { path = "secret.npz"  classes = 0..2  limit = 90 }')  # fmt: skip
    text = text.replace("data public : image.Digits { classes = 5..9  limit = 60 }",
                        'data public : image.Npz { path = "other.npz"  classes = 20..22  limit = 90 }')  # fmt: skip
    spec = tmp_path / "audit.mia"
    spec.write_text(text)
    done = mialang("run", spec, "--store", tmp_path / "store", "--data", tmp_path, "--threads", "1", cwd=tmp_path)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "the prior and the secret share records" in done.stdout
    events = [json.loads(line) for line in (newest(tmp_path / "store") / "events.jsonl").read_text().splitlines()]
    finished = {event["label"] for event in events if event["event"] == "finished"}
    assert not finished & {"wgan_gp", "descend", "sphere_repulsion", "distill"}


def test_a_missing_data_file_is_a_failed_node_with_a_next_step(tmp_path: Path) -> None:
    text = TINY.read_text().replace(
        'image.Digits { split = "train"  classes = 0..2  limit = 90 }',
        'image.Npz { path = "gone.npz"  classes = 0..2 }',
    )
    (tmp_path / "audit.mia").write_text(text)
    done = mialang("run", "audit.mia", "--threads", "1", cwd=tmp_path)
    assert done.returncode == 4
    assert "no file `gone.npz`" in done.stdout
    assert "--data DIR" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_training_that_diverges_fails_its_node_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = TINY.read_text().replace(
        "image.mlp(hidden = 16)  trained = secret", "image.mlp(hidden = 16)  trained = secret  lr = 1e18"
    )
    (tmp_path / "audit.mia").write_text(text)
    done = mialang("run", "audit.mia", "--threads", "1", cwd=tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stdout + done.stderr
    outcome = json.loads((newest(tmp_path / ".mialang") / "outcome.json").read_text())
    assert {name.split("-")[0] for name in outcome["failures"]} == {"victim"}
    assert any(name.startswith("wgan_gp") for name in outcome["nodes"])
    assert all(
        "not a number" in failure["title"] or "NaN" in failure["title"] for failure in outcome["failures"].values()
    )
