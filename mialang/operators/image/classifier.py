"""Image classifiers: trained on labelled images, or loaded with given weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mialang.operators.defenses.private import PrivateTraining, fit_privately
from mialang.operators.errors import OperatorError
from mialang.operators.image.images import Images
from mialang.operators.models import Architecture, Model, load, state_of
from mialang.operators.run import Run
from mialang.operators.training import Schedule, TrainingDefense, commonest, fit, share_correct

TOLERATED = 0.01  # by which a measured accuracy may fall short of the declared one


def classifier(
    *,
    model: Architecture,
    trained: Images | None,
    tested: Images | None,
    accuracy: float | None,
    epochs: int,
    lr: float,
    batch: int,
    training: Sequence[TrainingDefense],
    weights: str | None,
    classes: Iterable[int] | None,
    shape: Sequence[int] | None,
    run: Run,
) -> Model:
    """Train an architecture on images, or load weights into it.

    Notes as evidence: `train_accuracy`, and `test_accuracy` if `tested` is given; `epsilon` under private training.

    Raises:
        OperatorError: neither or both of `trained` and `weights`; weights that do not fit; one class only; divergence;
            an accuracy below the one that was declared.
    """
    if (trained is None) == (weights is None):
        raise OperatorError(
            "a classifier needs either data to train on or weights",
            help="give `trained = DATA`, or `weights = PATH` with `classes` and `shape`",
        )
    if weights is not None:
        made = _loaded(model, weights, classes, shape, run)
    else:
        assert trained is not None  # exactly one is given, as checked above
        made = _trained(model, trained, Schedule(epochs, lr, batch), training, run)
    if tested is not None:
        known = tested.only(label for label in tested.classes if label in made.classes)
        run.note("test_accuracy", share_correct(made.network, known.inputs, columns_of(known, made.classes)))
    if accuracy is not None and not training:
        _as_declared(accuracy, run)
    return made


def _as_declared(accuracy: float, run: Run) -> None:
    """Refuse a model that falls short of what it is known to reach: most often it is fed other inputs than in training."""
    measured = run.notes.get("test_accuracy", run.notes.get("train_accuracy"))
    if measured is None:
        raise OperatorError(
            f"an accuracy of {accuracy:.2%} is declared, and there is nothing to measure it on",
            help="give `tested = DATA`, records that the model was made for",
        )
    run.note("declared_accuracy", accuracy)
    if measured < accuracy - TOLERATED:
        raise OperatorError(
            f"the model reaches an accuracy of {measured:.2%}, and {accuracy:.2%} are declared",
            note="the usual causes are other preprocessing (range, size, colour, order of classes) or other weights",
            help="compare the inputs with those of training, or declare what is true",
        )


def columns_of(images: Images, classes: tuple[int, ...]) -> torch.Tensor:
    """Return the columns `[n]` of the labels of some images.

    Raises:
        OperatorError: a label is not among the classes.
    """
    strangers = sorted(set(images.classes) - set(classes))
    if strangers:
        raise OperatorError(
            f"the data hold class {strangers[0]}, which the model does not know",
            note=f"the model knows classes {list(classes)}",
            help=f"choose the data's classes, for example `classes = {list(classes)}`",
        )
    return torch.from_numpy(np.searchsorted(np.array(classes), images.labels))


def _trained(
    model: Architecture, data: Images, schedule: Schedule, training: Sequence[TrainingDefense], run: Run
) -> Model:
    classes = data.classes
    if len(classes) < 2:
        raise OperatorError(
            f"the training data hold one class only ({classes[0]})", help="name at least two classes of the data"
        )
    columns = columns_of(data, classes)
    about: dict[str, object] = {"epochs": schedule.epochs, "lr": schedule.lr, "batch": schedule.batch}
    private = [defense for defense in training if isinstance(defense, PrivateTraining)]
    with run.seeded():
        network = model.build(data.shape, len(classes))
        for defense in training:
            network = defense.network(network)
        if private:
            about |= fit_privately(
                network, data.inputs, columns, schedule=schedule, private=private[0], defenses=training, run=run
            )
        else:
            fit(network, data.inputs, columns, schedule=schedule, defenses=training, run=run)
    accuracy = share_correct(network.eval(), data.inputs, columns)
    run.note("train_accuracy", accuracy)
    run.note("commonest_class", commonest(columns))
    for name, value in about.items():
        run.note(name, value)
    return Model(model, data.shape, classes, state_of(network), about | {"train_accuracy": accuracy})


def _loaded(
    model: Architecture, weights: str, classes: Iterable[int] | None, shape: Sequence[int] | None, run: Run
) -> Model:
    if classes is None or shape is None:
        raise OperatorError(
            "weights alone do not say what the model takes and answers",
            help="give `classes = 0..9` and `shape = [channels, height, width]` beside `weights`",
        )
    ids = tuple(sorted(set(classes)))
    size = tuple(shape)
    state = read_weights(run.find(weights))
    with run.seeded():
        load(model.build(size, len(ids)), state)
    return Model(model, size, ids, state, {"weights": weights})


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from safetensors, npz, or a torch file without code (`weights_only`).

    Raises:
        OperatorError: the file is none of these, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(np.array(file[name])) for name in file}
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError) as problem:
        raise _unreadable(path, str(problem)) from problem
    except Exception as problem:  # torch and numpy raise what unpickling raises, and advise to read unsafely
        reason = "it is no file of tensors, or it holds code, which is never run"
        raise _unreadable(path, reason) from problem
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _unreadable(path, "it holds more than a dictionary of tensors")
    return {str(name): value for name, value in state.items()}


def _unreadable(path: Path, reason: str) -> OperatorError:
    return OperatorError(
        f"`{path.name}` cannot be read as weights",
        note=reason,
        help="save them with safetensors.torch.save_file(model.state_dict(), PATH)",
    )
