"""Bad data, weights, code and stores: what only a run can see fails its own step, in words, and the rest goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

from tests.command import Answer, mialang

DIGITS: Any = load_digits()
X, Y = (DIGITS.images / 16).astype(np.float32), DIGITS.target
STATE = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)
).state_dict()  # fmt: skip

SPEC = """mia 1

import std.image
import std.access { white_box }
import std.attack { MIFace }
import std.metric { accuracy, attack_accuracy }

data secret : SECRET
data unseen : image.Digits { split = "test"  classes = 0..2  limit = 30 }

target victim : image.Classifier { VICTIM }
judge expert : image.Classifier { model = image.mlp(hidden = 8)  trained = image.Digits(limit = 60)  epochs = 1 }

threat insider {
  target = victim
  access = white_box()
  extent = prototype(per = class)
}

attack inside { against = insider  use = [MIFace(steps = 2)] }

evaluate {
  leak    = attack_accuracy(inside, judge = expert)
  utility = accuracy(insider.target, unseen)
}
"""
SOUND = 'image.Digits { split = "train"  classes = 0..2  limit = 30 }'
TRAINED = "model = image.mlp(hidden = 8)  trained = secret  epochs = 1"
NPZ = 'image.Npz { path = "faces.npz"  classes = 0..2 }'
IDX = 'image.Idx { images = "i.idx"  labels = "l.idx" }'
LABELS = b"\0\0\x08\x01\0\0\0\x02\x01\x02"
WEIGHTS = 'model = image.mlp(hidden = 8)  weights = "w.safetensors"  classes = 0..2  shape = [1, 8, 8]'

Maker = Callable[[Path], None]


def spec(secret: str = SOUND, victim: str = TRAINED) -> str:
    return SPEC.replace("SECRET", secret).replace("VICTIM", victim)


def arrays(**held: Any) -> Maker:
    return lambda folder: np.savez(folder / "faces.npz", **held)


def holding(**files: bytes) -> Maker:
    """Files by name; `_` stands for the dot."""

    def make(folder: Path) -> None:
        for name, data in files.items():
            (folder / name.replace("_", ".")).write_bytes(data)

    return make


def weights(state: dict[str, torch.Tensor]) -> Maker:
    return lambda folder: save_file(state, folder / "w.safetensors")


def pictures(folder: Path) -> None:
    (folder / "faces" / "ann").mkdir(parents=True)
    (folder / "faces" / "ann" / "1.png").write_bytes(b"nothing that is a picture")


def single(folder: Path) -> None:
    with (folder / "faces.npz").open("wb") as file:
        np.save(file, X)


def nothing(folder: Path) -> None:
    del folder


CASES: dict[str, tuple[Maker, str, str, str, str]] = {
    # what stands in the way: files, spec, step that fails, cause, next step
    "data: no file": (nothing, spec(NPZ), "secret", "no file `faces.npz`", "--data DIR"),
    "data: a folder": (lambda at: (at / "faces.npz").mkdir(), spec(NPZ), "secret", "it is a folder", "numpy.savez"),
    "data: no npz": (holding(faces_npz=b"hello"), spec(NPZ), "secret", "it is no npz file", "numpy.savez"),
    "data: cut short": (holding(faces_npz=b"PK\3\4half"), spec(NPZ), "secret", "is damaged", "numpy.savez"),
    "data: a single array": (single, spec(NPZ), "secret", "it is no npz file", "numpy.savez"),
    "data: empty": (holding(faces_npz=b""), spec(NPZ), "secret", "cannot be read as npz", "numpy.savez"),
    "data: objects": (arrays(x=np.array([{}], dtype=object), y=Y), spec(NPZ), "secret", "holds objects", "without objects"),
    "data: other arrays": (arrays(a=X, b=Y), spec(NPZ), "secret", "holds no array `x`", 'images = "NAME"'),
    "data: no record": (arrays(x=X[:0], y=Y[:0]), spec(NPZ), "secret", "holds no image", "at least one image"),
    "labels: below zero": (arrays(x=X, y=Y - 1), spec(NPZ), "secret", "has label -1", "number the classes 0, 1, 2"),
    "labels: in between": (arrays(x=X, y=Y + 0.5), spec(NPZ), "secret", "has label 0.5", "number the classes 0, 1, 2"),
    "labels: no numbers": (arrays(x=X, y=np.full(len(Y), np.nan)), spec(NPZ), "secret", "label nan, which is no number", "number the classes"),
    "labels: words": (arrays(x=X, y=Y.astype(str)), spec(NPZ), "secret", "which is no number", "number the classes"),
    "labels: too few": (arrays(x=X, y=Y[:50]), spec(NPZ), "secret", "1797 images and 50 labels", "one label per image"),
    "labels: out of range": (
        lambda at: np.savez(at / "mnist.npz", **{f"{each}_{half}": np.zeros((20, 28, 28), np.uint8) if each == "x" else np.arange(20)
                                                 for each in "xy" for half in ("train", "test")}),
        spec('image.MNIST { split = "train" }'), "secret", "has label 19, and only 10 classes are known", "correct the labels",
    ),
    "labels: absent class": (arrays(x=X[Y > 0], y=Y[Y > 0]), spec(NPZ), "secret", "no image of class 0", "name classes that occur"),
    "labels: one class": (arrays(x=X, y=Y), spec(NPZ.replace("0..2", "[1]")), "victim", "hold one class only", "at least two classes"),
    "pixels: no numbers": (arrays(x=X * np.nan, y=Y), spec(NPZ), "secret", "pixel values that are no numbers", "floats from 0 to 1"),
    "pixels: complex": (arrays(x=X + 1j, y=Y), spec(NPZ), "secret", "pixel values that are no numbers", "floats from 0 to 1"),
    "pixels: out of range": (arrays(x=X * 255, y=Y), spec(NPZ), "secret", "pixel values from 0 to 255", "floats from 0 to 1"),
    "pixels: flat": (arrays(x=X.reshape(-1, 64), y=Y), spec(NPZ), "secret", "has shape [1797, 64]", "[n, height, width]"),
    "idx: cut short": (holding(i_idx=b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + b"abc", l_idx=LABELS), spec(IDX), "secret",
                       "is cut short or damaged", "fetch the file again"),
    "idx: something else": (holding(i_idx=b"abc", l_idx=LABELS), spec(IDX), "secret", "is no idx file", "as published"),
    "idx: no gzip": (holding(i_gz=b"abc", l_idx=LABELS), spec(IDX.replace("i.idx", "i.gz")), "secret", "`i.gz` cannot be read", "as published"),
    "folder: no pictures": (nothing, spec('image.Folder { path = "." }'), "secret", "holds no pictures", "one sub-folder per class"),
    "folder: a file": (holding(faces_txt=b"x"), spec('image.Folder { path = "faces.txt" }'), "secret", "is a file", "name the folder"),
    "folder: no picture": (pictures, spec('image.Folder { path = "faces" }'), "secret", "cannot be read as a picture", "convert it to PNG"),
    "training: diverges": (nothing, spec(victim=TRAINED + "  lr = 1e18"), "victim",
                           "diverged at step 1 of 1", "lower the learning rate"),
    "weights: no file": (nothing, spec(victim=WEIGHTS), "victim", "no file `w.safetensors`", "--data DIR"),
    "weights: something else": (holding(w_safetensors=b"hello"), spec(victim=WEIGHTS), "victim", "cannot be read as weights", "save_file"),
    "weights: code": (lambda at: torch.save(nn.Linear(1, 1), at / "w.pt"), spec(victim=WEIGHTS.replace("w.safetensors", "w.pt")), "victim",
                      "holds code, which is never run", "save_file"),
    "weights: one is lacking": (weights({name: each for name, each in STATE.items() if name != "5.bias"}), spec(victim=WEIGHTS), "victim",
                                "lack tensor `5.bias`", "name the architecture"),
    "weights: one too many": (weights({**STATE, "9.bias": torch.zeros(3)}), spec(victim=WEIGHTS), "victim",
                              "hold tensor `9.bias`", "name the architecture"),
    "weights: other classes": (weights(STATE), spec(victim=WEIGHTS.replace("0..2", "0..4")), "victim",
                               "tensor `5.weight` has shape [3, 8]", "input shape and classes"),
    "weights: other architecture": (weights(STATE), spec(victim=WEIGHTS.replace("mlp(hidden = 8)", "cnn()")), "victim",
                                    "lack tensor `0.weight`", "name the architecture"),
    "weights: no numbers": (weights({name: each * torch.nan for name, each in STATE.items()}), spec(victim=WEIGHTS), "victim",
                            "hold values that are no numbers", "lower learning rate"),
    "code: not trusted": (nothing, spec(victim='model = image.module(path = "os:system")  trained = secret'), "victim",
                          "the code of `os` is not trusted", "`--trust os`"),
    "code: the project's tools": (nothing, spec(victim='model = image.module(path = "mialang.operators.trust:import_module")  trained = secret'),
                                  "victim", "no class `mialang.operators.trust:import_module`", "package.module:Class"),
    "code: no argument": (nothing, spec(victim='model = image.module(path = "acme:Net", arguments = ["32"])  trained = secret'), "victim",
                          "`32` gives no argument a value", "width=32"),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad") / "store"


def run(text: str, folder: Path, store: Path) -> Answer:
    (folder / "audit.mia").write_text(text)
    return mialang("run", "audit.mia", "--store", store, "--threads", "1", folder=folder)


def outcome(store: Path) -> dict[str, Any]:
    newest = max((store / "runs").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    held: dict[str, Any] = json.loads((newest / "outcome.json").read_text())
    return held


@pytest.mark.parametrize("name", CASES)
def test_what_only_a_run_can_see_fails_its_step_in_words(name: str, tmp_path: Path, store: Path) -> None:
    make, text, step, cause, way_out = CASES[name]
    make(tmp_path)
    answer = run(text, tmp_path, store)
    assert answer.code == 4
    assert "Traceback" not in answer.screen
    assert "was not foreseen" not in answer.screen
    told = answer.out.partition(f"\nfailed: {step}: ")[2]
    assert cause in told
    assert way_out in told
    line = next(
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.startswith((f"data {step} ", f"target {step} "))
    )
    assert f"--> audit.mia:{line}:1\n" in told, "the block that asks for it is pointed at"
    made = outcome(store)
    assert {each.rpartition("-")[0] for each in made["failures"]} == {step}
    finished = {each.rpartition("-")[0] for each in made["nodes"]}
    assert {"unseen", "expert"} <= finished, "what does not rest on it goes on"
    assert "MIFace" in answer.out


def test_the_same_audit_with_sound_input_passes(tmp_path: Path, store: Path) -> None:
    weights(STATE)(tmp_path)
    assert run(spec(), tmp_path, store).code == 0
    assert run(spec(victim=WEIGHTS), tmp_path, store).code == 0


def test_records_that_the_prior_shares_with_the_secret_stop_every_attack(tmp_path: Path, store: Path) -> None:
    """The classes do not overlap, the records do; that shows when the data are loaded, before any attack runs."""
    arrays(x=X[:90], y=Y[:90])(tmp_path)
    np.savez(tmp_path / "other.npz", x=X[30:120], y=Y[30:120] + 20)
    text = spec(NPZ).replace(
        "data unseen", 'data public : image.Npz { path = "other.npz" }\nprior other { images = public }\ndata unseen'
    )
    text = text.replace("  extent = ", "  prior  = other\n  extent = ")
    answer = run(text, tmp_path, store)
    assert answer.code == 4
    assert "the prior and the secret share records: " in answer.out
    assert "`minus(a, b)`" in answer.out
    made = outcome(store)
    assert {each.rpartition("-")[0] for each in made["failures"]} == {"disjoint"}
    assert not {"descend", "best"} & {each.rpartition("-")[0] for each in made["nodes"]}
    assert all("descend" not in line for line in answer.out.splitlines() if line.startswith("failed"))
    mended = text.replace("images = public", "images = minus(public, secret)")
    answer = run(mended, tmp_path, store)
    assert answer.code == 0, answer.screen


def test_classes_that_only_the_data_tell_to_overlap_are_told_with_what_helps(tmp_path: Path, store: Path) -> None:
    arrays(x=X[Y > 1], y=Y[Y > 1])(tmp_path)
    fact = 'prior other { images = image.Npz(path = "faces.npz")  assert disjoint(image.Npz(path = "faces.npz"), secret, by = class) }'
    text = spec().replace("data unseen", f"{fact}\ndata unseen").replace("  extent = ", "  prior  = other\n  extent = ")
    answer = run(text, tmp_path, store)
    assert answer.code == 4
    told = answer.out.rpartition("failed: disjoint: the prior and the secret share classes: 2")[2].partition(
        "failed: "
    )[0]
    assert "`classes = …`" in told
    assert "minus" not in told, "that takes records away, and no class"


def test_a_step_of_a_library_recipe_that_fails_is_told_at_the_line_that_uses_the_recipe(
    tmp_path: Path, store: Path
) -> None:
    text = (
        spec()
        .replace("MIFace", "GMI")
        .replace("GMI(steps = 2)", "GMI(networks = dense(hidden = 4), gan_steps = 20, gan_lr = 1e30, steps = 2)")
    )
    text = text.replace("data unseen", "prior other { images = image.Digits(classes = 5..9) }\ndata unseen")
    answer = run(text.replace("  extent = ", "  prior  = other\n  extent = "), tmp_path, store)
    assert answer.code == 4
    told = answer.out.rpartition("failed: wgan_gp: ")[2]
    assert re.search(r"--> audit\.mia:\d+:\d+\n *\|\n\d+ \| attack inside .*\n *\| +\^+\n", told), told


def test_a_judge_of_pictures_of_another_size_is_told_with_both_sizes(tmp_path: Path, store: Path) -> None:
    arrays(x=np.kron(X, np.ones((2, 2), np.float32)), y=Y)(tmp_path)
    text = spec().replace("image.Digits(limit = 60)", 'image.Npz(path = "faces.npz", limit = 60)')
    answer = run(text, tmp_path, store)
    assert answer.code == 4
    told = answer.out.partition("failed: leak: ")[2]
    assert "for inputs of shape [1, 16, 16] was asked about inputs of shape [1, 8, 8]" in told
    assert "records of one shape" in told


def test_what_has_no_value_at_all_is_no_pass(tmp_path: Path, store: Path) -> None:
    """Nothing sets a gate here: what was asked for and could not be measured is told, with the reason."""
    arrays(x=X[Y < 2], y=Y[Y < 2])(tmp_path)
    text = spec().replace("image.Digits(limit = 60)", 'image.Npz(path = "faces.npz", limit = 60)')
    answer = run(text, tmp_path, store)
    assert answer.code == 3
    assert "not measured: leak: the judge does not know class 2" in answer.out
    assert "not measured: utility" not in answer.out
    newest = max((store / "runs").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    assert json.loads((newest / "verdict.json").read_text())["unmeasured"] == {
        "leak": "the judge does not know class 2"
    }
    assert (
        "<code>leak</code> was not measured: the judge does not know class 2." in (newest / "report.html").read_text()
    )


def test_a_target_that_learned_nothing_is_told(tmp_path: Path, store: Path) -> None:
    answer = run(spec(victim=TRAINED + "  lr = 0"), tmp_path, store)
    assert answer.code == 0
    assert "caution: `victim` is right on " in answer.out
    assert "it learned nothing that could come back" in answer.out
    assert "caution" not in run(spec(victim=TRAINED.replace("epochs = 1", "epochs = 40")), tmp_path, store).out


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "blob cut short": ("blobs/*/*", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "blob changed": ("blobs/*/*", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?")),
    "blob gone": ("blobs/*/*", lambda path: path.unlink()),
    "record garbled": ("actions/*/*", lambda path: path.write_text("{")),
    "record of something else": (
        "actions/*/*",
        lambda path: path.write_text(path.read_text().replace('"output":"', '"output":"0')),
    ),
    "record emptied": ("actions/*/*", lambda path: path.write_text("")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupted_store_entry_is_computed_again_with_a_warning(damage: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = run(spec(), tmp_path, store)
    before = outcome(store)["nodes"]
    where, harm = DAMAGE[damage]
    harmed = sorted(store.glob(where))
    for path in harmed:
        harm(path)
    again = run(spec(), tmp_path, store)
    assert again.code == first.code == 0
    assert again.out.count("warning: ") >= 1
    assert "is computed again: its re" in again.out
    assert {name: node["output"] for name, node in outcome(store)["nodes"].items()} == {
        name: node["output"] for name, node in before.items()
    }
    third = run(spec(), tmp_path, store)
    assert "0 nodes computed" in third.out
    assert "warning" not in third.out


def test_a_budget_of_questions_that_only_the_data_exceed_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    """How many records a file holds is known once it is read; the attack asks once about each."""
    arrays(x=X[:50], y=Y[:50] + 20)(tmp_path)
    text = spec().replace("{ white_box }", "{ scores }").replace("white_box()", "scores(queries = 49 queries)")
    text = text.replace("{ MIFace }", "{ Yang2019 }").replace("MIFace(steps = 2)", "Yang2019(epochs = 1)")
    text = text.replace("data unseen", 'prior other { images = image.Npz(path = "faces.npz") }\ndata unseen')
    (tmp_path / "audit.mia").write_text(text.replace("  extent = ", "  prior  = other\n  extent = "))
    assert mialang("check", "audit.mia", folder=tmp_path).code == 0
    for command in ("plan", "run"):
        answer = mialang(command, "audit.mia", folder=tmp_path)
        assert answer.code == 2
        assert "error[E0301]: attack `Yang2019` needs more than threat `insider` grants" in answer.err
        assert "needs 50 queries, 49 are granted" in answer.err
        assert "grant at least 50 queries" in answer.err
    assert not list((tmp_path / ".mialang" / "runs").iterdir())
    (tmp_path / "audit.mia").write_text((tmp_path / "audit.mia").read_text().replace("49 queries", "50 queries"))
    assert mialang("plan", "audit.mia", folder=tmp_path).code == 0


def test_a_time_budget_that_is_spent_is_no_pass(tmp_path: Path, store: Path) -> None:
    gate = '\nbudget { time = 1 ms }\ngate "useful" { require utility >= 0.1 % }\n'
    answer = run(spec(victim=TRAINED.replace("epochs = 1", "epochs = 2")) + gate, tmp_path, store)
    assert answer.code == 3
    assert "the time budget was spent" in answer.out
    counts = re.findall(r"(\d+) (?:nodes were left|nodes computed|known already)", answer.out)
    (steps,) = re.findall(r"(\d+) nodes, \d+ known", mialang("plan", "audit.mia", folder=tmp_path).out)
    assert sum(map(int, counts)) == int(steps)  # grants and handles, which compute nothing, are counted nowhere
    assert "INCONCLUSIVE" in answer.out


def test_a_time_budget_that_leaves_nothing_measured_is_no_pass_without_a_gate_either(
    tmp_path: Path, store: Path
) -> None:
    answer = run(
        spec(victim=TRAINED.replace("epochs = 1", "epochs = 3")) + "\nbudget { time = 1 ms }\n", tmp_path, store
    )
    assert answer.code == 3
    assert "not measured: utility: the time budget was spent" in answer.out


def test_a_time_budget_below_what_other_runs_took_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "audit.mia").write_text(spec())
    assert mialang("run", "audit.mia", "--threads", "1", folder=tmp_path).code == 0
    (tmp_path / "audit.mia").write_text(spec() + "\nbudget { time = 1 ms }\n")
    planned = mialang("plan", "audit.mia", "--seed", "7", folder=tmp_path)
    assert planned.code == 2
    assert "nodes without an estimate" not in planned.out
    assert "error[E0701]: the audit would take about" in planned.err
    assert "its budget is 1 ms" in planned.err
    screen = mialang("run", "audit.mia", "--seed", "7", "--threads", "1", folder=tmp_path).screen
    assert screen.index("warning[E0701]: the audit would take about") < screen.index("the time budget was spent")


def test_a_store_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    answer = run(spec(), tmp_path, tmp_path / "store")
    assert answer.code == 4
    assert "error[E0810]: " in answer.err
    assert "a file stands where a folder belongs" in answer.err
    assert "--store DIR" in answer.err
