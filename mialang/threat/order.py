"""A finite partial order given by its covering pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, eq=False)
class Order:
    """Names ordered from strong to weak: `weaker[a]` lists what follows directly from `a`."""

    weaker: Mapping[str, tuple[str, ...]]

    @cached_property
    def _below(self) -> dict[str, frozenset[str]]:
        return {name: self._reach(name) for name in self.weaker}

    def _reach(self, name: str) -> frozenset[str]:
        reached: set[str] = set()
        pending = [name]
        while pending:
            current = pending.pop()
            if current not in reached:
                reached.add(current)
                pending.extend(self.weaker.get(current, ()))
        return frozenset(reached)

    def below(self, name: str) -> frozenset[str]:
        """Everything that follows from `name`, itself included. An unknown name stands alone."""
        return self._below.get(name, frozenset({name}))

    def above(self, name: str) -> frozenset[str]:
        """Everything from which `name` follows, itself included."""
        return frozenset(other for other, below in self._below.items() if name in below) | {name}

    def follows(self, weak: str, strong: str) -> bool:
        """Whether `weak` can be computed from `strong`."""
        return weak in self.below(strong)

    def strongest(self, names: Iterable[str]) -> frozenset[str]:
        """The names of a set that follow from no other name of it."""
        members = set(names)
        return frozenset(
            name for name in members if not any(name != other and self.follows(name, other) for other in members)
        )

    def cycle(self) -> tuple[str, ...]:
        """Names that each follow from the next and so cannot be ordered; empty for a true order."""
        for name in sorted(self.weaker):
            for other in sorted(self.below(name)):
                if other != name and name in self.below(other):
                    return (name, other)
        return ()
