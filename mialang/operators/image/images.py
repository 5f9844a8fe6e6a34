"""Labelled images, kept in the few bits in which they came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json

RANK = 4  # n, channels, height, width


@dataclass(frozen=True, eq=False)
class Images(Artefact, kind="images"):
    """Images with labels.

    Attributes:
        raw: `[n, channels, height, width]`, uint8 or float32, as decoded.
        maximum: the raw value that means 1.0 (255 for bytes, 16 for scikit-learn's digits, 1 for floats).
        labels: `[n]` int64 class ids.
        names: class id → name.
    """

    raw: Array
    maximum: float
    labels: Array
    names: Mapping[int, str]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.raw)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return tuple(self.raw.shape[1:])

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that occur, ascending."""
        return tuple(int(label) for label in np.unique(self.labels))

    @cached_property
    def inputs(self) -> torch.Tensor:
        """All images as float32 `[n, channels, height, width]` in [0, 1]."""
        with torch.inference_mode(mode=False):  # the first reader may be inside it, a later one may need gradients
            return torch.from_numpy(self.raw).float().div_(self.maximum)

    @cached_property
    def targets(self) -> torch.Tensor:
        """All labels as int64 `[n]`, class ids."""
        with torch.inference_mode(mode=False):
            return torch.from_numpy(self.labels)

    def take(self, rows: Array) -> Images:
        """Return the images at some rows (indices or mask)."""
        return replace(self, raw=np.ascontiguousarray(self.raw[rows]), labels=np.ascontiguousarray(self.labels[rows]))

    def only(self, classes: Iterable[int]) -> Images:
        """Return the images of some classes.

        Raises:
            OperatorError: a class does not occur.
        """
        wanted = sorted(set(classes))
        missing = sorted(set(wanted) - set(self.classes))
        if missing:
            raise OperatorError(
                f"no image of class {missing[0]}",
                note=f"the data hold classes {list(self.classes)}",
                help="name classes that occur, or another split",
            )
        return self.take(np.isin(self.labels, wanted))

    def first(self, limit: int) -> Images:
        """Return `limit` images with the classes as evenly spread as the data are.

        The choice is a fixed shuffle of each class, so that data sorted by class (as Fashion-MNIST is) lose no class
        and a larger limit contains a smaller one's images class by class.
        """
        order = spread(self.labels)
        return self.take(np.sort(order[:limit]))

    def fingerprints(self) -> list[str]:
        """Return one hash per record, over the decoded pixels in 8 bits and the shape; labels do not enter."""
        values = self.raw if self.maximum == BYTE and self.raw.dtype == np.uint8 else np.round(self._scaled() * BYTE)
        prefix = repr(self.shape).encode()
        return [hashlib.blake2b(prefix + row.tobytes(), digest_size=16).hexdigest() for row in values.astype(np.uint8)]

    def _scaled(self) -> Array:
        return self.raw.astype(np.float32) / np.float32(self.maximum)

    def arrays(self) -> dict[str, Array]:
        """Return raw pixels and labels."""
        return {"raw": np.ascontiguousarray(self.raw), "labels": np.ascontiguousarray(self.labels)}

    def facts(self) -> dict[str, Json]:
        """Return scale and class names."""
        return {"maximum": self.maximum, "names": {str(label): name for label, name in sorted(self.names.items())}}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        names = {int(label): str(name) for label, name in facts["names"].items()}
        return cls(np.array(arrays["raw"]), float(facts["maximum"]), np.array(arrays["labels"]), names)


BYTE = 255


def spread(labels: Array) -> Array:
    """Return an order of all rows in which every prefix has the class shares of the whole, up to rounding.

    The order depends on the labels alone; it is shuffled within each class by a fixed seed.
    """
    position = np.empty(len(labels), dtype=np.float64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        shuffled = np.random.default_rng(int(label) % 2**32).permutation(len(rows))
        position[rows] = (shuffled + 0.5) / len(rows)
    return np.lexsort((labels, position))


def checked(raw: Array, labels: Array, maximum: float, names: Mapping[int, str] | None, source: str) -> Images:
    """Return images after checking what a file can get wrong.

    Args:
        raw: `[n, height, width]`, `[n, height, width, channels]` with 1 or 3 channels, or `[n, channels, height, width]`.
        labels: `[n]` or `[n, 1]` whole numbers, not negative.
        maximum: raw value that means 1.0.
        names: class id → name; None = the ids themselves.
        source: what to call the data in messages.

    Raises:
        OperatorError: shapes, labels or values are not those of labelled images.
    """
    if raw.ndim == RANK - 1:
        raw = raw[:, None]
    elif raw.ndim == RANK and raw.shape[-1] in (1, 3) and raw.shape[1] not in (1, 3):
        raw = raw.transpose(0, 3, 1, 2)
    if raw.ndim != RANK:
        raise OperatorError(
            f"{source} does not hold images: its array has shape {list(raw.shape)}",
            help="give an array [n, height, width], [n, height, width, channels] or [n, channels, height, width]",
        )
    labels = labels.reshape(-1)
    if len(labels) != len(raw):
        raise OperatorError(
            f"{source} holds {len(raw)} images and {len(labels)} labels", help="give one label per image"
        )
    if not len(raw):
        raise OperatorError(f"{source} holds no image", help="give a file with at least one image")
    if labels.dtype.kind not in "iufb" or not np.isfinite(labels).all():
        odd = labels[~np.isfinite(labels)][0] if labels.dtype.kind == "f" else f"{labels[0]!s} ({labels.dtype})"
        raise OperatorError(f"{source} has label {odd}, which is no number", help="number the classes 0, 1, 2, …")
    whole = np.asarray(labels).astype(np.int64)
    if not np.array_equal(whole, labels) or whole.min() < 0:
        odd = labels[(whole != labels) | (whole < 0)][0]
        raise OperatorError(f"{source} has label {odd}", help="number the classes 0, 1, 2, …")
    if names and int(whole.max()) not in names:
        raise OperatorError(
            f"{source} has label {int(whole.max())}, and only {len(names)} classes are known",
            help="name every class, or correct the labels",
        )
    if raw.dtype != np.uint8:
        real = raw.dtype.kind in "iufb"
        raw = raw.astype(np.float32) if real else raw
        if not real or not np.isfinite(raw).all():
            raise OperatorError(
                f"{source} has pixel values that are no numbers", help="store bytes (0 to 255), or floats from 0 to 1"
            )
        if raw.min() < 0 or raw.max() > maximum:
            raise OperatorError(
                f"{source} has pixel values from {raw.min():g} to {raw.max():g}",
                note=f"expected 0 to {maximum:g}",
                help="store bytes (0 to 255), or floats from 0 to 1",
            )
    known = names or {int(label): str(label) for label in np.unique(whole)}
    return Images(np.ascontiguousarray(raw), maximum, whole, known)
