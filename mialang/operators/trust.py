"""Whose code may run: the project's own, and that of packages which the user trusts.

A spec is data. Where it names code (the class of an architecture, the function behind an observable), naming it is no
reason to run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from mialang.operators.errors import OperatorError

OWN = "mialang"
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


def trust(packages: Iterable[str]) -> None:
    """Trust some packages from here on, in this thread."""
    _trusted.set(frozenset(packages))


@contextmanager
def trusting(packages: Iterable[str]) -> Iterator[None]:
    """Trust some packages for a while."""
    before = _trusted.set(frozenset(packages))
    try:
        yield
    finally:
        _trusted.reset(before)


def package_of(name: str) -> str:
    """The package of `package.module:name`, or of a module."""
    return name.partition(":")[0].partition(".")[0]


def borrowed(path: str, found: Any) -> bool:
    """Whether the project did not make what a path into it leads to, but only brought it in for its own use."""
    return package_of(path) == OWN and package_of(getattr(found, "__module__", None) or "") != OWN


def load(path: str) -> Any:
    """What `package.module:name` names, if it may run.

    Raises:
        OperatorError: its package is not trusted.
        ImportError: there is no such module.
        AttributeError: the module has no such name.
    """
    module, _, name = path.partition(":")
    allowed = {OWN, *_trusted.get()}
    if package_of(path) not in allowed:
        raise untrusted(path, package_of(path))
    found = getattr(import_module(module), name)
    if borrowed(path, found):
        raise AttributeError(f"`{module}` makes no `{name}` of its own")
    return found


def untrusted(path: str, package: str) -> OperatorError:
    """The failure of a step whose spec names code of a package that nobody trusts."""
    return OperatorError(
        f"the code of `{package}` is not trusted",
        note=f"the spec names `{path}`, and naming code is no reason to run it",
        help=f"look at it, then allow it with `--trust {package}`",
    )
