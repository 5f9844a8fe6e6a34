"""Affordable: with which value of a parameter an attack keeps to the questions that a threat grants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mialang.meaning.fits import Candidate, Setting, candidate_of, fits, shortfalls
from mialang.meaning.registry import Registry
from mialang.meaning.values import Application


def affordable(candidate: Candidate, setting: Setting, registry: Registry) -> tuple[str, int] | None:
    """The parameter to lower, and to what, where the number of questions is all that keeps an attack from fitting.

    Of several parameters it is the one that must be lowered least.
    """
    lacking = shortfalls(candidate, setting, registry)
    if len(lacking) != 1 or lacking[0].gap is None or lacking[0].gap.dimension != "queries":
        return None
    found: dict[str, tuple[float, int]] = {}
    for parameter in candidate.recipe.parameters:
        value = candidate.application.arguments.get(parameter.name)
        if parameter.type.name == "int" and parameter.type.low is not None and isinstance(value, int):
            enough = partial(_fits_with, candidate.application, parameter.name, setting, registry)
            most = _largest(math.ceil(parameter.type.low), value, enough)
            if most is not None:
                found[parameter.name] = (most / value, most)
    name = max(found, key=lambda each: found[each][0], default="")
    return (name, found[name][1]) if name else None


def _fits_with(application: Application, name: str, setting: Setting, registry: Registry, value: int) -> bool:
    changed = replace(application, arguments={**application.arguments, name: value})
    candidate = candidate_of(changed, registry)
    return candidate is not None and fits(candidate, setting, registry)


def _largest(low: int, high: int, enough: Callable[[int], bool]) -> int | None:
    """The largest value from `low` up to below `high` that is enough, rounded down to two digits; None where none is."""
    if low >= high or not enough(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    unit = 10 ** max(0, len(str(low)) - 2)
    return low // unit * unit if enough(low // unit * unit) else low
