"""Which steps are isolated: attacks made of code from outside the project, or all attacks where that is asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from mialang.operators.trust import OWN, package_of
from mialang.plan.model import Node

Json = Any
Mode = Literal["auto", "process", "none"]
NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # how a parameter names code


def functions_of(node: Node) -> tuple[str, ...]:
    """The functions that a step runs, as `module:function`: that of its operator, and of the terms written into it."""
    return tuple(dict.fromkeys(python for python in (node.python, *_terms(node.params)) if python))


def _terms(params: Json) -> Iterator[str]:
    if isinstance(params, dict):
        if "$term" in params:
            yield params["python"]
        for value in params.values():
            yield from _terms(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from _terms(value)


def packages_of(node: Node, trusted: Collection[str] = ()) -> frozenset[str]:
    """The packages whose code a step runs: of its functions, and of what its parameters name in packages that are trusted.

    What is named in others is not imported anyway.
    """
    named = {package_of(text) for text in _texts(node.params) if NAMED.fullmatch(text)}
    return frozenset(map(package_of, functions_of(node))) | (named & set(trusted))


def _texts(params: Json) -> Iterator[str]:
    if isinstance(params, str):
        yield params
    elif isinstance(params, dict):
        for name, value in params.items():
            if name not in ("$node", "$model", "$handle", "python"):
                yield from _texts(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from _texts(value)


def strangers(nodes: Mapping[str, Node], trusted: Collection[str]) -> dict[str, frozenset[str]]:
    """The packages besides mialang whose code was run by the attack steps that each node rests on, itself included.

    What such a step made may name code in turn: so whoever uses it is told apart as well.

    Args:
        nodes: a plan's, inputs before what uses them.
        trusted: packages whose code may be imported.
    """
    found: dict[str, frozenset[str]] = {}
    for name, node in nodes.items():
        own = packages_of(node, trusted) - {OWN} if node.role == "attack" else frozenset()
        found[name] = own.union(*(found.get(each, frozenset()) for each in node.inputs))
    return found


def isolates(node: Node, mode: Mode, foreign: Collection[str]) -> bool:
    """Whether a step is to be isolated: an attack, where all are, or where code from outside the project has a hand in it."""
    if node.role != "attack" or mode == "none":
        return False
    return mode == "process" or bool(foreign)


__all__ = ["OWN", "Mode", "functions_of", "isolates", "package_of", "packages_of", "strangers"]
