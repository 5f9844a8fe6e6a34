"""Image classifiers: training, given weights, and what can go wrong with either."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mialang.operators import trust
from mialang.operators.defenses.training import negative_label_smoothing
from mialang.operators.errors import OperatorError
from mialang.operators.image import architectures, datasets
from mialang.operators.image.classifier import classifier
from mialang.operators.image.images import Images
from mialang.operators.models import state_of
from tests.operators.stand_in import run

NOTHING = {"tested": None, "accuracy": None, "weights": None, "classes": None, "shape": None, "training": []}
SCHEDULE = {"epochs": 4, "lr": 3e-3, "batch": 32}
SMALL = architectures.mlp(hidden=32, layers=1)


def digits(split="train", classes=(1, 4, 7), limit=200):
    return datasets.digits(split=split, classes=classes, limit=limit, run=run())


def trained(seed=0, model=SMALL, data=None, **rest):
    notes = run(seed)
    made = classifier(model=model, trained=data or digits(), run=notes, **NOTHING | SCHEDULE | rest)
    return made, notes.notes


def loaded(path, model=SMALL, classes=(1, 4, 7), shape=(1, 8, 8)):
    given = NOTHING | SCHEDULE | {"weights": str(path), "classes": classes, "shape": shape}
    return classifier(model=model, trained=None, run=run(), **given)


def test_training_learns_notes_its_accuracy_and_keeps_class_ids():
    made, notes = trained(tested=digits("test", classes=(1, 4, 9)))
    assert made.classes == (1, 4, 7)
    assert notes["train_accuracy"] > 0.95
    assert notes["test_accuracy"] > 0.9  # over the classes that the model knows
    assert made.about["train_accuracy"] == notes["train_accuracy"]


def test_training_is_repeatable_and_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    first, _ = trained(1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again, other = trained(1)[0], trained(2)[0]
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(first.answer("logits", x), again.answer("logits", x))
    assert not torch.equal(first.answer("logits", x), other.answer("logits", x))


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "npz", "checkpoint.pt"])
def test_saved_weights_load_to_identical_answers(tmp_path, suffix):
    # R-DAR-4: a released defense saves and loads its checkpoint under different keys.
    made, _ = trained()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        save_file(dict(made.state), path)
    elif suffix == "npz":
        np.savez(path, **{name: value.numpy() for name, value in made.state.items()})
    else:
        torch.save({"state_dict": dict(made.state)} if "checkpoint" in suffix else dict(made.state), path)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(loaded(path).answer("logits", x), made.answer("logits", x))


def test_weights_that_do_not_fit_name_the_first_tensor(tmp_path):
    made, _ = trained()
    save_file(dict(made.state), tmp_path / "w.safetensors")
    with pytest.raises(OperatorError, match=r"tensor `1\.weight` has shape \[32, 64\]") as caught:
        loaded(tmp_path / "w.safetensors", model=architectures.mlp(hidden=16, layers=1))
    assert "[16, 64]" in caught.value.note
    short = {name: value for name, value in made.state.items() if name != "3.bias"}
    save_file(short, tmp_path / "y.safetensors")
    with pytest.raises(OperatorError, match=r"lack tensor `3\.bias`"):
        loaded(tmp_path / "y.safetensors")
    extra = dict(made.state) | {"head.weight": torch.zeros(2)}
    save_file(extra, tmp_path / "x.safetensors")
    with pytest.raises(OperatorError, match=r"hold tensor `head\.weight`"):
        loaded(tmp_path / "x.safetensors")


def test_weights_are_data_and_never_code(tmp_path):
    torch.save(SMALL.build((1, 8, 8), 3), tmp_path / "whole.pt")
    with pytest.raises(OperatorError, match="cannot be read as weights"):
        loaded(tmp_path / "whole.pt")
    (tmp_path / "text.safetensors").write_text("nothing")
    with pytest.raises(OperatorError, match="cannot be read as weights"):
        loaded(tmp_path / "text.safetensors")
    torch.save({"a": 1}, tmp_path / "number.pt")
    with pytest.raises(OperatorError, match="cannot be read as weights"):
        loaded(tmp_path / "number.pt")


def test_a_classifier_needs_data_or_weights_and_not_both(tmp_path):
    for data, weights in ((None, None), (digits(), "w.pt")):
        with pytest.raises(OperatorError, match="either data to train on or weights"):
            classifier(model=SMALL, trained=data, run=run(), **NOTHING | SCHEDULE | {"weights": weights})
    with pytest.raises(OperatorError, match="do not say what the model takes"):
        classifier(model=SMALL, trained=None, run=run(), **NOTHING | SCHEDULE | {"weights": "w.pt"})
    with pytest.raises(OperatorError, match="one class only"):
        trained(data=digits(classes=(3,)))


def test_a_model_that_falls_short_of_its_declared_accuracy_is_refused(tmp_path):
    # L10: weights behind other preprocessing answer, and answer nonsense.
    made, notes = trained(epochs=12)
    save_file(dict(made.state), tmp_path / "w.safetensors")
    given = {**NOTHING, **SCHEDULE, "weights": "w.safetensors", "classes": (1, 4, 7), "shape": (1, 8, 8)}
    records = digits("test", classes=(1, 4, 7))

    def loads(accuracy, tested=records):
        data = run(data=tmp_path)
        classifier(model=SMALL, trained=None, run=data, **given | {"accuracy": accuracy, "tested": tested})
        return data.notes

    reached = loads(0.5)["test_accuracy"]
    assert loads(reached)["declared_accuracy"] == reached
    inverted = replace(records, raw=(16 - records.raw).astype(records.raw.dtype))
    with pytest.raises(OperatorError, match=r"reaches an accuracy of .* are declared") as caught:
        loads(reached, tested=inverted)
    assert "preprocessing" in caught.value.note
    with pytest.raises(OperatorError, match="nothing to measure it on"):
        loads(0.9, tested=None)
    assert notes["train_accuracy"] > 0.8
    trained(accuracy=0.5, epochs=12)
    with pytest.raises(OperatorError, match="are declared"):
        trained(accuracy=1.0, epochs=1, lr=1e-5)
    trained(accuracy=1.0, epochs=1, lr=1e-5, training=[negative_label_smoothing(alpha=-0.1, start=0.5, full=0.75)])


def test_divergence_names_the_step_and_the_rate():
    with pytest.raises(OperatorError, match="training diverged at step") as caught:
        trained(lr=1e30, model=architectures.cnn(width=4), epochs=20)
    assert "lr = 1e+30" in caught.value.note
    assert "learning rate" in caught.value.help


def test_small_sets_train_in_one_batch():
    made, notes = trained(data=digits(limit=7), batch=64)
    assert math.isfinite(notes["train_accuracy"])
    assert made.classes == (1, 4, 7)


def test_users_modules_are_called_with_their_arguments(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, outputs, bias=True):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, outputs, bias=bias))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = architectures.module(path="own_models:Net", arguments=["outputs=3", "bias = false"])
    with pytest.raises(OperatorError, match="the code of `own_models` is not trusted"):
        trained(model=own)
    with trust.trusting(["own_models", "no_such_package", "math", "collections"]):
        made, _ = trained(model=own)
        assert set(made.state) == {"1.weight"}
        assert made.answer("features", torch.rand(2, 1, 8, 8)).shape == (2, 64)
        for path, arguments, message in (
            ("own_models:Missing", [], "no class `own_models:Missing`"),
            ("no_such_package:Net", [], "no class `no_such_package:Net`"),
            ("own_models", [], "no class `own_models`"),
            ("own_models:Net", ["width=3"], "cannot be built"),
            ("math:sqrt", ["x=4"], "cannot be built"),
            ("collections:OrderedDict", [], "does not make a torch"),
            ("os:system", ['command="true"'], "the code of `os` is not trusted"),
            (
                "mialang.operators.trust:import_module",
                ['name="os"'],
                "no class `mialang.operators.trust:import_module`",
            ),
        ):
            with pytest.raises(OperatorError, match=message):
                architectures.module(path=path, arguments=arguments).build((1, 8, 8), 3)
    with pytest.raises(OperatorError, match="`width` gives no argument a value"):
        architectures.module(path="own_models:Net", arguments=["width"])


def test_architectures_say_when_images_do_not_suit_them():
    with pytest.raises(OperatorError, match="at least 8×8"):
        architectures.resnet(depth=4, width=4).build((1, 4, 4), 2)
    with pytest.raises(OperatorError, match="drawn for 32×32"):
        architectures.mcnn().build((3, 64, 64), 2)
    assert str(architectures.cnn(width=8)) == "cnn(width = 8)"
    for shape in ((1, 28, 28), (3, 32, 32)):
        for architecture in (architectures.mcnn(), architectures.scnn(), architectures.lenet5()):
            network = architecture.build(shape, 5).eval()
            assert network(torch.rand(2, *shape)).shape == (2, 5)
            assert state_of(network)


def test_labels_keep_their_ids_whatever_their_order():
    base = digits(classes=(0, 1), limit=60)
    renamed = Images(base.raw, base.maximum, np.where(base.labels == 0, 9, 2), {2: "one", 9: "zero"})
    made, notes = trained(data=renamed, epochs=20)
    assert made.classes == (2, 9)
    assert notes["train_accuracy"] > 0.95
