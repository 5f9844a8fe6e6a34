"""The audit of MNIST as a user runs it, cut to seconds, on noise in the shape of MNIST."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.test_end_to_end import ROOT, mialang

SPEC = ROOT / "specs" / "image" / "mnist_white_box.mia"
ATTACKS = {"leak": ("GMI", "LOMMA"), "decoded": ("Yang2019",), "outer": ("BREPMI",)}
OUTPUTS = {"GMI": 5, "LOMMA": 5, "Yang2019": 1, "BREPMI": 5}  # a class and repeat
CLASSES = 5


def pictures(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count) % 10


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mnist")
    (folder / "image").mkdir()
    (x_train, y_train), (x_test, y_test) = pictures(600), pictures(200)
    np.savez(folder / "image" / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    settings = ("--set", "tiny=true", "--set", "repeats=2", "--data", folder, "--store", folder / "store")
    done = mialang("run", SPEC, *settings, "--threads", "1", "--format", "json")
    assert done.returncode in (0, 1, 3), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_spec_is_sound_and_says_that_three_repeats_are_few() -> None:
    done = mialang("check", SPEC)
    assert done.returncode == 0, done.stdout
    assert (done.stdout + done.stderr).count("warning[") == 1
    assert "W0604" in done.stdout + done.stderr


def test_nothing_fails_and_every_attack_stands_beside_its_controls(verdict: dict[str, Any]) -> None:
    assert verdict["failures"] == []
    cells = {row["cell"]["defense"] for row in verdict["measurements"] if row["measurement"] == "leak"}
    assert len(cells) == 2
    for measurement, attacks in ATTACKS.items():
        for attack in attacks:
            rows = [
                row for row in verdict["measurements"] if (row["measurement"], row["attack"]) == (measurement, attack)
            ]
            assert len(rows) == len(cells)
            for row in rows:
                assert 0 <= row["value"]["point"] <= 1
                assert "point" in row["blind"]
                assert row["baseline"]["name"]


def test_every_output_of_every_class_and_repeat_is_judged(verdict: dict[str, Any]) -> None:
    for row in verdict["measurements"]:
        if row["metric"] == "attack_accuracy" and row["attack"] != "BREPMI":  # which may find no start in a class
            assert row["value"]["values"] == OUTPUTS[row["attack"]] * CLASSES * verdict["repeats"]
