"""Image data: splits, selections, files that are fine and files that are not."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mialang.operators.errors import OperatorError
from mialang.operators.image import datasets
from mialang.operators.image.images import Images, checked, spread
from tests.operators.stand_in import run
from tests.operators.strategies import images

ANY = {"classes": None, "limit": None}


def test_the_splits_of_the_digits_share_nothing_and_lose_nothing():
    whole, train, test = (datasets.digits(split=split, **ANY, run=run()) for split in ("all", "train", "test"))
    assert len(whole) == 1797 == len(train) + len(test)
    assert sorted(whole.fingerprints()) == sorted(train.fingerprints() + test.fingerprints())
    assert not set(train.fingerprints()) & set(test.fingerprints())
    shares = [(test.labels == label).sum() / (whole.labels == label).sum() for label in range(10)]
    assert 0.19 < min(shares) <= max(shares) < 0.21
    again = datasets.digits(split="train", **ANY, run=run(5))
    assert again.fingerprints() == train.fingerprints()
    assert train.inputs.min() == 0
    assert train.inputs.max() == 1


def test_classes_are_selected_by_their_ids_and_noted():
    notes = run()
    some = datasets.digits(split="all", classes=range(5, 10), limit=40, run=notes)
    assert some.classes == (5, 6, 7, 8, 9)
    assert notes.notes["records"] == len(some) == 40
    assert set(notes.notes["records_by_class"].values()) == {8}
    with pytest.raises(OperatorError, match="no image of class 12"):
        datasets.digits(split="all", classes=[3, 12], limit=None, run=run())


@given(images(most=40), st.integers(1, 40))
def test_a_limit_takes_the_classes_in_their_shares(made, limit):
    part = made.first(limit)
    assert len(part) == min(limit, len(made))
    if limit >= len(made):
        assert part.fingerprints() == made.fingerprints()
    for label in made.classes:
        expected = (made.labels == label).sum() * len(part) / len(made)
        assert abs((part.labels == label).sum() - expected) <= 1 + 0.5 * len(made.classes)
    smaller = made.first(max(1, limit // 2))
    assert set(smaller.fingerprints()) <= set(part.fingerprints())


@given(images())
def test_an_order_of_rows_is_a_permutation_that_the_labels_decide(made):
    order = spread(made.labels)
    assert sorted(order) == list(range(len(made)))
    assert np.array_equal(order, spread(made.labels.copy()))


@given(images())
def test_a_fingerprint_is_of_the_decoded_picture(made):
    marks = made.fingerprints()
    floats = Images((made.raw / made.maximum).astype(np.float32), 1.0, made.labels, made.names)
    assert floats.fingerprints() == marks
    relabelled = Images(made.raw, made.maximum, made.labels + 1, made.names)
    assert relabelled.fingerprints() == marks
    rounded = np.round(made.raw.reshape(len(made), -1) / made.maximum * 255)
    same = (rounded[:, None] == rounded[None]).all(-1)
    assert np.array_equal(same, np.array(marks)[:, None] == np.array(marks)[None])


def sample(n=12, side=4):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, side, side), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 3


def write_idx(path, values):
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    data = head + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_npz_idx_and_folder_give_the_same_records(tmp_path):
    pixels, labels = sample()
    np.savez(tmp_path / "some.npz", x=pixels, y=labels)
    write_idx(tmp_path / "images.gz", pixels)
    write_idx(tmp_path / "labels", labels)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "pictures" / f"kind {label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    here = run(data=tmp_path)
    a = datasets.npz(path="some.npz", images="x", labels="y", **ANY, run=here)
    b = datasets.idx(images="images.gz", labels="labels", **ANY, run=here)
    c = datasets.folder(path="pictures", size=None, grey=True, **ANY, run=here)
    assert a.fingerprints() == b.fingerprints()
    assert sorted(a.fingerprints()) == sorted(c.fingerprints())
    assert c.names == {0: "kind 0", 1: "kind 1", 2: "kind 2"}
    assert a.shape == (1, 4, 4)
    coloured = datasets.folder(path="pictures", size=2, grey=False, **ANY, run=here)
    assert coloured.shape == (3, 2, 2)


@pytest.mark.parametrize("kind", ["npz", "idx", "gz"])
def test_mnist_is_found_as_npz_and_as_idx_files(tmp_path, monkeypatch, kind):
    train, test = sample(9), sample(6)
    if kind == "npz":
        (tmp_path / "image").mkdir()
        np.savez(tmp_path / "image" / "mnist.npz", x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    else:
        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        end = ".gz" if kind == "gz" else ""
        for stem, (pixels, labels) in (("train", train), ("t10k", test)):
            write_idx(raw / f"{stem}-images-idx3-ubyte{end}", pixels)
            write_idx(raw / f"{stem}-labels-idx1-ubyte{end}", labels)
    monkeypatch.setenv("MIALANG_DATA", str(tmp_path))
    sizes = {split: len(datasets.mnist(split=split, path=None, **ANY, run=run())) for split in ("train", "test", "all")}
    assert sizes == {"train": 9, "test": 6, "all": 15}


def test_fashion_names_its_classes(tmp_path):
    pixels, labels = sample()
    np.savez(tmp_path / "own.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    made = datasets.fashion_mnist(split="train", path="own.npz", **ANY, run=run(data=tmp_path))
    assert made.names[9] == "Ankle boot"


PIXELS, LABELS = sample()
BAD = {
    "has label -1": (PIXELS, LABELS.astype(int) - 1),
    "has label 0.5": (PIXELS, LABELS + 0.5),
    "12 images and 11 labels": (PIXELS, LABELS[:-1]),
    "does not hold images": (PIXELS.reshape(12, -1), LABELS),
    "holds no image": (PIXELS[:0], LABELS[:0]),
    "pixel values from": (PIXELS.astype(np.float32), LABELS),
}


@pytest.mark.parametrize("message", BAD)
def test_files_that_hold_no_labelled_images_are_refused(tmp_path, message):
    pixels, labels = BAD[message]
    np.savez(tmp_path / "bad.npz", x=pixels, y=labels)
    with pytest.raises(OperatorError, match=message):
        datasets.npz(path="bad.npz", images="x", labels="y", **ANY, run=run(data=tmp_path))


def test_a_label_beyond_the_known_classes_is_refused():
    with pytest.raises(OperatorError, match="label 2, and only 2 classes"):
        checked(PIXELS, LABELS, 255, {0: "a", 1: "b"}, "the set")


def test_missing_and_damaged_files_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("MIALANG_DATA", raising=False)
    here = run(data=tmp_path)
    with pytest.raises(OperatorError, match=r"no file `mnist\.npz`") as caught:
        datasets.mnist(split="all", path=None, **ANY, run=here)
    assert "--data" in caught.value.help
    assert caught.value.note == f"looked in `{tmp_path}` and the working directory `{Path.cwd()}`"
    with pytest.raises(OperatorError) as caught:
        run().find("gone.npz")
    assert caught.value.note == f"looked in the working directory `{Path.cwd()}`; no data directory is set"
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    with pytest.raises(OperatorError, match="cannot be read as npz"):
        datasets.npz(path="broken.npz", images="x", labels="y", **ANY, run=here)
    np.savez(tmp_path / "other.npz", a=PIXELS)
    with pytest.raises(OperatorError, match="holds no array `x`"):
        datasets.npz(path="other.npz", images="x", labels="y", **ANY, run=here)
    write_idx(tmp_path / "short", PIXELS)
    (tmp_path / "short").write_bytes((tmp_path / "short").read_bytes()[:-3])
    with pytest.raises(OperatorError, match="cut short"):
        datasets.read_idx(tmp_path / "short")
    (tmp_path / "text").write_text("no idx here")
    with pytest.raises(OperatorError, match="no idx file"):
        datasets.read_idx(tmp_path / "text")
    (tmp_path / "folder" / "a").mkdir(parents=True)
    with pytest.raises(OperatorError, match="holds no pictures"):
        datasets.folder(path="folder", size=None, grey=True, **ANY, run=here)
    (tmp_path / "folder" / "a" / "x.png").write_text("no picture")
    with pytest.raises(OperatorError, match="cannot be read as a picture"):
        datasets.folder(path="folder", size=None, grey=True, **ANY, run=here)
    Image.fromarray(PIXELS[0]).save(tmp_path / "folder" / "a" / "x.png")
    Image.fromarray(PIXELS[0][:2]).save(tmp_path / "folder" / "a" / "y.png")
    with pytest.raises(OperatorError, match="differ in size") as caught:
        datasets.folder(path="folder", size=None, grey=True, **ANY, run=here)
    assert "size = N" in caught.value.help
    with pytest.raises(OperatorError, match="lacks `train-images"):
        datasets.mnist(split="all", path="folder", **ANY, run=here)


def test_a_pickle_inside_an_npz_is_not_read(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([{"a": 1}], dtype=object), y=np.array([0]))
    with pytest.raises(OperatorError, match="cannot be read as npz"):
        datasets.npz(path="evil.npz", images="x", labels="y", **ANY, run=run(data=tmp_path))
