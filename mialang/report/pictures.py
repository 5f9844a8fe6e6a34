"""Arrays as pictures in a page: whole, or reduced so far that what is private is absent."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]
SIDE = 4  # a reduced picture has no more pixels across or down
LEVELS = 8  # and no more steps of brightness per channel
COLOURS = 3


def scaled(values: Array, maximum: float) -> Array:
    """Pixels `[n, channels, height, width]` as float32 in [0, 1]; what is not a number is black."""
    found: Array = np.clip(np.nan_to_num(values.astype(np.float32) / np.float32(maximum)), 0.0, 1.0)
    return found


def picture(values: Array) -> Image.Image:
    """One image `[channels, height, width]` in [0, 1]; any number of channels but 1 or 3 is averaged."""
    shown = values if values.shape[0] in (1, COLOURS) else values.mean(0, keepdims=True)
    pixels = np.round(shown * 255).astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def reduced(image: Image.Image) -> Image.Image:
    """At most 4 by 4 pixels in 8 levels, and never more than half the pixels across and down.

    Small images have little to hide behind, so that a picture of 4 by 4 becomes one of 2 by 2.
    """
    width, height = (max(1, min(SIDE, length // 2)) for length in image.size)
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    steps = np.round(small / 255 * (LEVELS - 1)) / (LEVELS - 1)
    return Image.fromarray(np.round(steps * 255).astype(np.uint8))


def data_uri(image: Image.Image) -> str:
    """A picture as an address that holds it."""
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def shown(values: Array, *, reveal: bool) -> str:
    """One image `[channels, height, width]` in [0, 1] as a data address, whole only where it may be revealed."""
    whole = picture(values)
    return data_uri(whole if reveal else reduced(whole))


@dataclass(frozen=True)
class Neighbour:
    """The private record that lies nearest to an output.

    Attributes:
        row: its place among the records.
        distance: root of the mean squared difference of pixels, from 0 to 1.
    """

    row: int
    distance: float


class Records:
    """Private images, looked up by label.

    Args:
        raw: `[n, channels, height, width]` as stored.
        labels: `[n]`.
        maximum: the raw value that means 1.
    """

    def __init__(self, raw: Array, labels: Array, maximum: float) -> None:
        self._raw = raw
        self._labels = labels
        self._maximum = maximum
        self._flat: dict[int, tuple[Array, Array]] = {}

    @classmethod
    def of(cls, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> Records:
        """Images as the store keeps them."""
        return cls(arrays["raw"], arrays["labels"], float(facts["maximum"]))

    def picture(self, row: int) -> Array:
        """One record `[channels, height, width]` in [0, 1]."""
        return scaled(self._raw[row], self._maximum)

    def nearest(self, output: Array, label: int) -> Neighbour | None:
        """The record of a label nearest to an output; None where there is none of its label and shape."""
        if output.shape != self._raw.shape[1:]:
            return None
        rows, flat = self._of_label(label)
        if not len(rows):
            return None
        mean_squares = np.square(flat - output.reshape(1, -1)).mean(1)
        place = int(mean_squares.argmin())
        return Neighbour(int(rows[place]), float(np.sqrt(mean_squares[place])))

    def _of_label(self, label: int) -> tuple[Array, Array]:
        if label not in self._flat:
            rows = np.flatnonzero(self._labels == label)
            self._flat[label] = (
                rows,
                scaled(self._raw[rows], self._maximum).reshape(len(rows), math.prod(self._raw.shape[1:])),
            )
        return self._flat[label]


def rows_by_unit(group: Array) -> dict[int, list[int]]:
    """The rows of each unit, in the order in which the attack handed them over."""
    found: dict[int, list[int]] = {}
    for row, unit in enumerate(group.tolist()):
        found.setdefault(int(unit), []).append(row)
    return found
