"""Artefacts as bytes: one safetensors file each, with its kind and facts in the header."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load, save

from mialang.engine.store import Store
from mialang.plan.model import canonical

Array = np.ndarray[Any, np.dtype[Any]]
HEADER = "mialang"


def pack(kind: str, arrays: dict[str, Array], facts: Any) -> bytes:
    """An artefact as bytes; equal artefacts give equal bytes."""
    return save(arrays, {HEADER: canonical({"kind": kind, "facts": facts}).decode()})


def unpack(data: bytes) -> tuple[str, dict[str, Array], Any]:
    """Kind, arrays and facts of an artefact."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"][HEADER])
    return about["kind"], load(data), about["facts"]


def read_arrays(store: Store, digest: str) -> tuple[dict[str, Array], Any]:
    """Arrays and facts of an artefact in a store, for readers that need no torch."""
    _, arrays, facts = unpack(store.get(digest))
    return arrays, facts


def header(store: Store, digest: str) -> Any:
    """The facts of an artefact, without reading its arrays."""
    with safe_open(store.blob_path(digest), framework="numpy") as file:
        return json.loads(file.metadata()[HEADER])["facts"]
