"""Artefacts: what steps hand to each other and the store keeps, as plain arrays and JSON facts. Nothing is pickled."""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch

from mialang.operators.errors import OperatorError
from mialang.operators.run import Json

Array = np.ndarray[Any, np.dtype[Any]]


class Artefact(ABC):
    """A value with an exact plain form: `restore(arrays(), facts())` equals the original, byte for byte.

    Subclasses are frozen dataclasses that name their kind: `class Images(Artefact, kind="images")`.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, kind: str, **rest: Any) -> None:
        """Register the class under the name of its kind."""
        super().__init_subclass__(**rest)
        cls.kind = kind
        KINDS[kind] = cls

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return everything large, as contiguous arrays of plain number types."""

    @abstractmethod
    def facts(self) -> dict[str, Json]:
        """Return everything small, as JSON."""

    @classmethod
    @abstractmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild the artefact from its plain form."""


KINDS: dict[str, type[Artefact]] = {}
A = TypeVar("A", bound=Artefact)


def restore(kind: str, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Artefact:
    """Rebuild an artefact of a named kind.

    Raises:
        OperatorError: no artefact of that name is known (its module may not have been imported yet).
    """
    if kind not in KINDS:
        raise OperatorError(f"no artefact kind `{kind}`", help="import the operator that makes it first")
    return KINDS[kind].restore(arrays, facts)


def known(kind: str) -> bool:
    """Whether mialang itself has artefacts of a named kind; its modules are looked through until one is found."""
    if kind in KINDS:
        return True
    import mialang.operators  # noqa: PLC0415 - the package that this module lies in

    for module in pkgutil.walk_packages(mialang.operators.__path__, "mialang.operators."):
        if kind in KINDS:
            break
        with suppress(ImportError):  # of an extra that is not installed
            import_module(module.name)
    return kind in KINDS


def array(tensor: torch.Tensor) -> Array:
    """Return a tensor as a contiguous array on the CPU."""
    # Not `ascontiguousarray`, which gives a lone number one dimension.
    return np.array(tensor.detach().cpu().numpy(), order="C")


def tensor(values: Array) -> torch.Tensor:
    """Return an array as a tensor that owns its memory."""
    with torch.inference_mode(mode=False):
        return torch.from_numpy(np.array(values, copy=True))
