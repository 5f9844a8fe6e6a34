"""Which steps are isolated: attacks made of code from outside the project, or all attacks where that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from mialang.plan.model import Node

Json = Any
Mode = Literal["auto", "process", "none"]
OWN = "mialang"


def packages_of(node: Node) -> frozenset[str]:
    """The packages whose code a step runs: that of its operator, and of the terms written into it."""
    return frozenset(package_of(python) for python in (node.python, *_terms(node.params)) if python)


def package_of(python: str) -> str:
    """The package of `module:function`."""
    return python.partition(":")[0].partition(".")[0]


def _terms(params: Json) -> Iterator[str]:
    if isinstance(params, dict):
        if "$term" in params:
            yield params["python"]
        for value in params.values():
            yield from _terms(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from _terms(value)


def foreign(node: Node) -> frozenset[str]:
    """The packages besides mialang whose code a step runs."""
    return packages_of(node) - {OWN}


def isolates(node: Node, mode: Mode) -> bool:
    """Whether a step is to be isolated."""
    if node.role != "attack" or mode == "none":
        return False
    return mode == "process" or bool(foreign(node))


def foreign_attacks(nodes: Iterable[Node]) -> frozenset[str]:
    """The packages besides mialang whose code some attack steps run."""
    return frozenset(name for node in nodes if node.role == "attack" for name in foreign(node))
