"""Names and what they are bound to, in nested scopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from mialang.diagnostics import Diagnostic
from mialang.meaning.declarations import Declaration
from mialang.meaning.values import Value
from mialang.source import Span


@dataclass
class Lazy:
    """A named value that is worked out when first asked for, so that blocks may stand in any order."""

    name: str
    span: Span
    work: Callable[[], Value]
    state: str = "waiting"
    value: Value = None


@dataclass(frozen=True, eq=False)
class Deferred:
    """A name whose file is read when it is first looked up."""

    name: str
    load: Callable[[], Binding]


@dataclass(frozen=True, eq=False)
class Namespace:
    """A module seen from another one: `image`, or `f` after `import "file.mia" as f`."""

    name: str
    look: Callable[[str], Binding | None]
    names: Callable[[], list[str]]


Binding = Declaration | Lazy | Deferred | Namespace | Value


@dataclass
class Scope:
    """Names bound here, and the scope around."""

    names: dict[str, Binding] = field(default_factory=dict)
    around: Scope | None = None

    def look(self, name: str) -> tuple[bool, Binding]:
        """Return whether a name is bound, and to what."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                binding = scope.names[name]
                if isinstance(binding, Deferred):
                    binding = scope.names[name] = binding.load()
                return True, binding
            scope = scope.around
        return False, None

    def visible(self) -> Iterator[str]:
        """Every name that can be seen from here."""
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.around

    def own(self) -> Iterator[Scope]:
        """The scopes from here to the one of the file; the outermost, which every file sees, is left out."""
        scope: Scope = self
        while scope.around is not None:
            yield scope
            scope = scope.around

    def inside(self, names: Mapping[str, Binding]) -> Scope:
        """A scope within this one."""
        return Scope(dict(names), self)


@dataclass
class Findings:
    """Where phases put what they find."""

    all: list[Diagnostic] = field(default_factory=list)

    def add(self, *findings: Diagnostic) -> None:
        """Keep findings."""
        self.all.extend(findings)
