"""Classifiers of images that somebody else runs: pictures go out as numbers or PNG, scores or labels come back."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from mialang.operators.batches import Batch
from mialang.operators.errors import OperatorError
from mialang.operators.image.images import Images
from mialang.operators.run import Json, Run
from mialang.operators.services import Connection, Service, filled, form, found_at, matched, numbers

TOLERATED = 1e-3  # by which scores may leave [0, 1], or their sum 1


def score_service(
    *,
    at: Connection,
    trained: Images | None,
    classes: Iterable[int] | None,
    shape: Sequence[int] | None,
    request: str,
    answer: str,
    model: str,
    run: Run,
) -> Service:
    """Reach a classifier that answers with class probabilities, one row an input, in the order of `classes`."""
    return _service("scores", at, trained, classes, shape, request, answer, model, run)


def label_service(
    *,
    at: Connection,
    trained: Images | None,
    classes: Iterable[int] | None,
    shape: Sequence[int] | None,
    request: str,
    answer: str,
    model: str,
    run: Run,
) -> Service:
    """Reach a classifier that answers with a class id an input."""
    return _service("label", at, trained, classes, shape, request, answer, model, run)


def _service(
    native: str,
    at: Connection,
    trained: Images | None,
    classes: Iterable[int] | None,
    shape: Sequence[int] | None,
    request: str,
    answer: str,
    model: str,
    run: Run,
) -> Service:
    known = tuple(classes) if classes is not None else trained.classes if trained is not None else ()
    size = tuple(shape) if shape is not None else trained.shape if trained is not None else ()
    if not known or not size:
        raise OperatorError(
            "a service does not say what it takes and answers",
            help="give `classes` and `shape`, or name the data that it was trained on: `trained = DATA`",
        )
    filled(request, {})  # what is no JSON is said before anything is asked
    made = Service(at, (native,), "pictures", model, request, answer, known, size)
    run.note("service", at.place)
    run.note("identity", made.identity)
    return made


@form("pictures")
def pictures(service: Service, name: str, x: Batch, size: Mapping[str, Any]) -> Batch:
    """Ask about pictures `[n, channels, height, width]` in [0, 1]: scores `[n, classes]`, or class ids `[n]`."""
    del size
    assert isinstance(x, torch.Tensor)  # images are tensors
    plain = x.detach().cpu().float()
    n, at = len(plain), service.connection
    values: dict[str, Json] = {"$model": service.model}
    if '"$inputs"' in service.request:
        values["$inputs"] = plain.tolist()
    if '"$pictures"' in service.request:
        values["$pictures"] = [_png(each) for each in plain]
    if n == 1:
        values |= {"$input": plain[0].tolist(), "$picture": _png(plain[0])}
    found = found_at(service.exchange(filled(service.request, values), n, name), service.answer_path, at)
    rows = matched(found if n != 1 or service.many else [found], n, at)
    if name == "label":
        return torch.tensor([_class(row, service) for row in rows], device=x.device)
    made = torch.tensor(numbers(rows, len(service.classes), at), device=x.device)
    if n and not _are_scores(made):
        raise OperatorError(
            f"what {at.place} answers are no class probabilities",
            note=f"a row is {[round(each, 4) for each in made[0].tolist()[:6]]}, and adds up to {float(made[0].sum()):.4g}",
            help="look at `answer`; a service that answers with other numbers is asked by its label only",
        )
    return made


def _are_scores(rows: torch.Tensor) -> bool:
    inside = bool(((rows > -TOLERATED) & (rows < 1 + TOLERATED)).all())
    return inside and bool(((rows.sum(1) - 1).abs() < TOLERATED * rows.shape[1]).all())


def _class(row: Json, service: Service) -> int:
    text = str(row)
    if not text.isdigit() or int(text) not in service.classes:
        raise OperatorError(
            f"{service.connection.place} answers `{text[:40]}`, which is no class",
            note=f"the classes are {list(service.classes)}",
            help="look at `answer`, and at the classes that the target names",
        )
    return int(text)


def _png(picture: torch.Tensor) -> str:
    """A picture `[channels, height, width]` as PNG in base 64."""
    bytes_ = picture.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    image = Image.fromarray(bytes_[0] if len(bytes_) == 1 else bytes_.transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
