"""What can be seen of a model, and which sight can be computed from which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mialang.threat.order import Order


@dataclass(frozen=True)
class Observable:
    """One thing that an adversary may see.

    Attributes:
        name: its name.
        sources: the stronger observables that it can be computed from, each enough on its own.
        sized: whether a size belongs to it (`top_k(5)`); a larger size holds the smaller ones.
        artefact: whether it is a leaked thing (held, asked of nobody) rather than an answer to a question.
        decoy: how a blind control fakes it: `permuted`, `zero`, `retrained`, or `none`.
        python: the function that computes it from a source; empty where the model answers natively.
    """

    name: str
    sources: tuple[str, ...] = ()
    sized: bool = False
    artefact: bool = False
    decoy: str = "none"
    python: str = ""


@dataclass(frozen=True, eq=False)
class Observables:
    """All known observables and their order."""

    by_name: Mapping[str, Observable]

    @cached_property
    def order(self) -> Order:
        """From strong to weak."""
        weaker: dict[str, list[str]] = {name: [] for name in self.by_name}
        for observable in self.by_name.values():
            for source in observable.sources:
                weaker.setdefault(source, []).append(observable.name)
        return Order({name: tuple(sorted(below)) for name, below in weaker.items()})

    def closure(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """Close a set of sights downwards: what can be computed from them is seen too, at any size."""
        closed: dict[str, float] = {}
        for name, size in sizes.items():
            if size <= 0:
                continue
            closed[name] = max(closed.get(name, 0), size if self._sized(name) else math.inf)
            for below in self.order.below(name) - {name}:
                closed[below] = math.inf
        return {name: closed[name] for name in sorted(closed, key=lambda each: (-len(self.order.below(each)), each))}

    def _sized(self, name: str) -> bool:
        return name in self.by_name and self.by_name[name].sized

    def derivation(self, name: str, native: Iterable[str]) -> tuple[str, ...] | None:
        """The chain from an observable that a model answers natively down to `name`, strongest first.

        Returns None where no chain exists.
        """
        natives = set(native)
        pending: list[tuple[str, ...]] = [(name,)]
        seen: set[str] = set()
        while pending:
            chain = pending.pop(0)
            head = chain[0]
            if head in natives:
                return chain
            if head in seen or head not in self.by_name:
                continue
            seen.add(head)
            pending.extend((source, *chain) for source in self.by_name[head].sources)
        return None
