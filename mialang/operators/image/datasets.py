"""Image data that a spec can name: bundled digits, MNIST and its kin, npz and idx files, folders of pictures."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image, UnidentifiedImageError

from mialang.operators.artefacts import Array
from mialang.operators.errors import OperatorError
from mialang.operators.image.images import BYTE, Images, checked, spread
from mialang.operators.run import Run

GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
TEST_SHARE = 0.2
IDX_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def digits(*, split: str, classes: Iterable[int] | None, limit: int | None, run: Run) -> Images:
    """Load scikit-learn's 1,797 digits, 8×8 grey, raw values 0 to 16.

    The set has no official split: a fixed fifth of each class is `test`.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - it drags in half of scikit-learn

    bunch: Any = load_digits()
    raw, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    images = checked(raw, labels, 16, {n: str(n) for n in range(10)}, "scikit-learn's digits")
    return _selected(_split(images, split), classes, limit, run)


def mnist(*, split: str, classes: Iterable[int] | None, limit: int | None, path: str | None, run: Run) -> Images:
    """Load MNIST, 28×28 grey, from `mnist.npz` or a folder of idx files."""
    names = {n: str(n) for n in range(10)}
    return _selected(_mnist_like("MNIST", ("mnist", "MNIST"), path, split, names=names, run=run), classes, limit, run)


def fashion_mnist(
    *, split: str, classes: Iterable[int] | None, limit: int | None, path: str | None, run: Run
) -> Images:
    """Load Fashion-MNIST, 28×28 grey, from `fashion_mnist.npz` or a folder of idx files."""
    folders = ("fashion_mnist", "FashionMNIST")
    names = dict(enumerate(GARMENTS))
    return _selected(_mnist_like("Fashion-MNIST", folders, path, split, names=names, run=run), classes, limit, run)


def npz(*, path: str, images: str, labels: str, classes: Iterable[int] | None, limit: int | None, run: Run) -> Images:
    """Load images and labels from two arrays of an npz file."""
    found = run.find(path)
    pixels, ids = _arrays(found, images, labels)
    return _selected(_from_arrays(pixels, ids, None, f"`{path}`"), classes, limit, run)


def idx(*, images: str, labels: str, classes: Iterable[int] | None, limit: int | None, run: Run) -> Images:
    """Load images and labels from two idx files, gzipped or not."""
    pixels, ids = read_idx(run.find(images)), read_idx(run.find(labels))
    return _selected(_from_arrays(pixels, ids, None, f"`{images}`"), classes, limit, run)


def folder(
    *, path: str, size: int | None, grey: bool, classes: Iterable[int] | None, limit: int | None, run: Run
) -> Images:
    """Load a folder with one sub-folder of pictures per class, numbered in alphabetical order from 0."""
    root = run.find(path)
    if not root.is_dir():
        raise OperatorError(f"`{path}` is a file, and a folder of pictures belongs there", help="name the folder")
    kinds = sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
    files = [(file, label) for label, kind in enumerate(kinds) for file in _pictures(kind)]
    if not files:
        raise OperatorError(
            f"folder `{path}` holds no pictures",
            note=f"looked for {', '.join(sorted(PICTURES))} in its sub-folders",
            help="make one sub-folder per class and put its pictures there",
        )
    pixels = [_picture(file, size, grey) for file, _ in files]
    for (file, _), values in zip(files, pixels, strict=True):
        if values.shape != pixels[0].shape:
            raise OperatorError(
                f"pictures differ in size: `{file.relative_to(root)}` is {values.shape[1]}×{values.shape[0]}",
                note=f"`{files[0][0].relative_to(root)}` is {pixels[0].shape[1]}×{pixels[0].shape[0]}",
                help="give `size = N` to bring all to N×N pixels",
            )
    labels = np.array([label for _, label in files], dtype=np.int64)
    names = {label: kind.name for label, kind in enumerate(kinds)}
    return _selected(checked(np.stack(pixels), labels, BYTE, names, f"folder `{path}`"), classes, limit, run)


def read_idx(path: Path) -> Array:
    """Read an idx file: two zero bytes, type, rank, big-endian sizes, values.

    Raises:
        OperatorError: it is no idx file, or shorter than it says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as problem:
        raise OperatorError(
            f"`{path.name}` cannot be read", note=str(problem), help="give the files as published, gzipped or not"
        ) from problem
    kind = IDX_TYPES.get(data[2]) if len(data) > 4 and data[:2] == b"\0\0" else None
    if kind is None:
        raise OperatorError(f"`{path.name}` is no idx file", help="give the files as published, gzipped or not")
    start = 4 + 4 * data[3]
    sizes = tuple(int(size) for size in np.frombuffer(data[4:start], dtype=">i4"))
    count = int(np.prod(sizes))
    if len(data) - start != count * kind.itemsize:
        raise OperatorError(
            f"`{path.name}` is cut short or damaged",
            note=f"it announces {count} values of {kind.itemsize} bytes and holds {len(data) - start} bytes",
            help="fetch the file again",
        )
    values = np.frombuffer(data, dtype=kind, offset=start).reshape(sizes)
    return values.astype(kind.newbyteorder("=")) if kind.byteorder == ">" else values


def _mnist_like(
    title: str, folders: tuple[str, ...], path: str | None, split: str, *, names: dict[int, str], run: Run
) -> Images:
    stem = folders[0]
    guesses = [path] if path else [f"{stem}.npz", f"image/{stem}.npz", *folders, *(f"image/{f}" for f in folders)]
    found = run.find(*guesses)
    halves = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}[split]
    read = _npz_half if found.is_file() else _idx_half
    parts = [read(found, half) for half in halves]
    pixels, labels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return _from_arrays(pixels, labels, names, title)


def _npz_half(path: Path, half: str) -> tuple[Array, Array]:
    return _arrays(path, f"x_{half}", f"y_{half}")


def _idx_half(path: Path, half: str) -> tuple[Array, Array]:
    stem = {"train": "train", "test": "t10k"}[half]
    found = []
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        names = [f"{base}{stem}-{kind}{end}" for base in ("", "raw/") for end in ("", ".gz")]
        file = next((path / name for name in names if (path / name).exists()), None)
        if file is None:
            raise OperatorError(
                f"folder `{path.name}` lacks `{stem}-{kind}`",
                help="put the four idx files there as published, gzipped or not",
            )
        found.append(read_idx(file))
    return found[0], found[1]


def _arrays(path: Path, images: str, labels: str) -> tuple[Array, Array]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            for name in (images, labels):
                if name not in file:
                    raise OperatorError(
                        f"`{path.name}` holds no array `{name}`",
                        note=f"it holds {', '.join(f'`{each}`' for each in sorted(file)) or 'none'}",
                        help='say which are meant: `images = "NAME"  labels = "NAME"`, or save them under these names',
                    )
            return file[images], file[labels]
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as problem:
        # numpy's own words for a file that is something else advise to unpickle it.
        reason = "it is a folder" if path.is_dir() else "it is no npz file, is damaged, or holds objects"
        raise OperatorError(
            f"`{path.name}` cannot be read as npz", note=reason, help="write it with numpy.savez, without objects"
        ) from problem


def _from_arrays(pixels: Array, labels: Array, names: dict[int, str] | None, source: str) -> Images:
    return checked(pixels, labels, BYTE if pixels.dtype == np.uint8 else 1, names, source)


def _split(images: Images, split: str) -> Images:
    if split == "all":
        return images
    order = spread(images.labels)
    cut = round(len(order) * TEST_SHARE)
    return images.take(np.sort(order[:cut] if split == "test" else order[cut:]))


def _selected(images: Images, classes: Iterable[int] | None, limit: int | None, run: Run) -> Images:
    chosen = images if classes is None else images.only(classes)
    chosen = chosen if limit is None else chosen.first(limit)
    counts = {str(label): int((chosen.labels == label).sum()) for label in chosen.classes}
    run.note("records", len(chosen))
    run.note("records_by_class", counts)
    return chosen


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)


def _picture(path: Path, size: int | None, grey: bool) -> Array:
    try:
        with Image.open(path) as picture:
            plain = picture.convert("L" if grey else "RGB")
            if size is not None:
                plain = plain.resize((size, size), Image.Resampling.BILINEAR)
            values = np.asarray(plain)
            return values[:, :, None] if grey else values
    except (OSError, UnidentifiedImageError) as problem:
        raise OperatorError(
            f"`{path.name}` cannot be read as a picture", note=str(problem), help="remove it or convert it to PNG"
        ) from problem
