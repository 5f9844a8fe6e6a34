"""Pictures: what is reduced cannot be undone, and neighbours are the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mialang.report.pictures import LEVELS, Records, picture, reduced, rows_by_unit, scaled

images = st.tuples(st.sampled_from([1, 2, 3, 4]), st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
)


@given(images)
def test_a_reduced_picture_is_small_and_coarse(values: np.ndarray[Any, Any]) -> None:
    whole = picture(values)
    small = reduced(whole)
    for side, before in zip(small.size, whole.size, strict=True):
        assert 1 <= side <= 4
        assert side <= max(1, before // 2)
    assert set(np.unique(np.asarray(small))) <= {round(step * 255 / (LEVELS - 1)) for step in range(LEVELS)}


@given(images, st.randoms(use_true_random=False))
def test_many_pictures_share_a_reduced_one(values: np.ndarray[Any, Any], random: Any) -> None:
    """Swapping two pixels within a block that is averaged changes nothing that remains."""
    channels, height, width = values.shape
    if height % 8 or width % 8:
        values = np.repeat(np.repeat(values, 8, axis=1), 8, axis=2)
        height, width = height * 8, width * 8
    down, across = height // 4, width // 4
    other = values.copy()
    block = other[:, :down, :across].reshape(channels, -1)
    order = list(range(block.shape[1]))
    random.shuffle(order)
    other[:, :down, :across] = block[:, order].reshape(channels, down, across)
    assert (
        np.abs(np.asarray(reduced(picture(values)), int) - np.asarray(reduced(picture(other)), int)).max()
        <= 255 // (LEVELS - 1) + 1
    )


def test_a_picture_is_exact_when_revealed() -> None:
    raw = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7)
    assert np.array_equal(np.asarray(picture(scaled(raw, 255))), raw.transpose(1, 2, 0))


def test_what_is_no_number_is_black() -> None:
    assert not scaled(np.array([np.nan, -1.0]), 1).any()


@given(st.integers(0, 2**32 - 1))
def test_the_nearest_is_found_among_its_label_only(seed: int) -> None:
    generator = np.random.default_rng(seed)
    raw = generator.integers(0, 256, (20, 1, 3, 3), dtype=np.uint8)
    labels = generator.integers(0, 3, 20)
    output = generator.random((1, 3, 3), dtype=np.float32)
    for label in range(4):
        found = Records(raw, labels, 255.0).nearest(output, label)
        distances = np.sqrt(np.square(raw / 255 - output).mean((1, 2, 3)))
        own = np.where(labels == label, distances, np.inf)
        if not np.isfinite(own).any():
            assert found is None
        else:
            assert found is not None
            assert labels[found.row] == label
            assert np.isclose(found.distance, own.min(), atol=1e-5)


def test_another_shape_has_no_neighbour() -> None:
    records = Records(np.zeros((2, 1, 3, 3), np.uint8), np.zeros(2, np.int64), 255.0)
    assert records.nearest(np.zeros((1, 4, 4), np.float32), 0) is None


def test_rows_keep_their_order_within_units() -> None:
    assert rows_by_unit(np.array([3, 1, 3, 1, 3])) == {3: [0, 2, 4], 1: [1, 3]}
