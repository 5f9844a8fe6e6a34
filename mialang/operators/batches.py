"""Batches: what is asked and answered, one entry a record.

A batch is a tensor `[n, …]`, or a sequence of n strings or of n tensors `[t_i]` of unequal length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from mialang.operators.artefacts import Array, array, tensor

Batch: TypeAlias = Any  # the union of tensors and sequences would cost a cast at every use


def parts(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield a batch in parts of at most `size` records, in order."""
    for at in range(0, len(batch), size):
        yield batch[at : at + size]


def joined(made: Sequence[Batch]) -> Batch:
    """Return parts as one batch; the inverse of `parts`."""
    if all(isinstance(part, torch.Tensor) for part in made):
        return torch.cat(list(made))
    return tuple(entry for part in made for entry in part)


def rows(batch: Batch, places: torch.Tensor) -> Batch:
    """Return the records at some places `[m]`, in that order."""
    if isinstance(batch, torch.Tensor):
        return batch[places.to(batch.device)]
    return tuple(batch[place] for place in places.tolist())


def owned(batch: Batch) -> Batch:
    """Return a batch that shares no memory with whoever made it and may take part in a later gradient."""
    if isinstance(batch, torch.Tensor):
        return batch.clone()
    return tuple(entry.clone() if isinstance(entry, torch.Tensor) else entry for entry in batch)


def plain(batch: Batch, name: str) -> dict[str, Array]:
    """Return a batch as arrays: `name` for a tensor, else its entries in a row with the ends of each."""
    if isinstance(batch, torch.Tensor):
        return {name: array(batch)}
    if all(isinstance(entry, str) for entry in batch):
        return packed(batch, f"{name}.")
    ends = np.cumsum([len(entry) for entry in batch], dtype=np.int64)
    return {f"{name}.rows": array(torch.cat(list(batch))), f"{name}.ends": ends}


def restored(arrays: Mapping[str, Array], name: str) -> Batch:
    """Return the batch that `plain` gave."""
    if name in arrays:
        return tensor(arrays[name])
    if f"{name}.bytes" in arrays:
        return unpacked(arrays, f"{name}.")
    every = tensor(arrays[f"{name}.rows"])
    return tuple(every[start:end] for start, end in _spans(arrays[f"{name}.ends"]))


def packed(lines: Sequence[str], prefix: str = "") -> dict[str, Array]:
    """Return strings as two arrays: `bytes` uint8, all in a row in UTF-8, and `ends` int64 `[n]`."""
    encoded = [line.encode("utf-8", "surrogatepass") for line in lines]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    return {f"{prefix}bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8).copy(), f"{prefix}ends": ends}


def unpacked(arrays: Mapping[str, Array], prefix: str = "") -> tuple[str, ...]:
    """Return the strings of `packed` arrays."""
    data = arrays[f"{prefix}bytes"].tobytes()
    return tuple(data[start:end].decode("utf-8", "surrogatepass") for start, end in _spans(arrays[f"{prefix}ends"]))


def _spans(ends: Array) -> Iterator[tuple[int, int]]:
    return pairwise([0, *(int(end) for end in ends)])
