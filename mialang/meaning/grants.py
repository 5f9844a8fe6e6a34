"""Grants of access and defenses, from values to the threat side."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mialang.diagnostics import Diagnostic
from mialang.meaning.declarations import AccessDeclaration, DefenseDeclaration, Operator
from mialang.meaning.evaluate import Evaluator
from mialang.meaning.registry import Registry
from mialang.meaning.scope import Scope
from mialang.meaning.types import Type
from mialang.meaning.values import Algebra, Application, Sight, Value, is_unknown
from mialang.threat import Access, Shield

TRAINING = "training_defense"  # the kind of what a model's type takes to change how it is trained
PARTS = {
    "sees": Type("list", (Type("observable"),)),
    "holds": Type("list", (Type("observable"),)),
    "queries": Type("queries"),
    "knows": Type("list", (Type("knowledge"),)),
    "acts": Type("list", (Type("one_of", (Type("observe"), Type("inject"), Type("modify"))),)),
}


def access_of(value: Value, registry: Registry) -> Access | None:
    """The access that a grant stands for; None where it is not one."""
    match value:
        case Algebra(operator="+", kind="access"):
            parts = [access_of(operand, registry) for operand in value.operands]
            if any(part is None for part in parts):
                return None
            joined = parts[0]
            for part in parts[1:]:
                joined = joined | part  # type: ignore[operator]
            return joined
        case Application(declaration=AccessDeclaration() as declaration):
            return _declared(declaration, value.arguments, registry)
    return None


def _declared(declaration: AccessDeclaration, arguments: Mapping[str, Value], registry: Registry) -> Access | None:
    parts = parts_of_access(declaration, arguments, registry, [])
    if any(is_unknown(part) for part in parts.values()):
        return None
    sees, holds = _sights(parts.get("sees")), _sights(parts.get("holds"))
    queries = parts.get("queries")
    default = math.inf if sees else 0.0
    return Access.of(
        registry.sights,
        sees=sees,
        holds=holds,
        queries=float(queries) if isinstance(queries, int | float) else default,
        knows=[name for name in _items(parts.get("knows")) if isinstance(name, str)],
        acts=[name for name in _items(parts.get("acts")) if isinstance(name, str)],
    )


def parts_of_access(
    declaration: AccessDeclaration, arguments: Mapping[str, Value], registry: Registry, found: list[Diagnostic]
) -> dict[str, Value]:
    """What the parts of a grant come to for some arguments; what is wrong with them is added to `found`."""
    home: Scope = registry.homes.get(declaration.identity, Scope())
    evaluator = Evaluator(home.inside(dict(arguments)), registry, found)
    return {name: evaluator.take(node, PARTS[name]) for name, node in declaration.parts.items()}


def _items(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else ()


def _sights(value: Value) -> dict[str, float]:
    return {
        each.name: each.size if each.size is not None else math.inf for each in _items(value) if isinstance(each, Sight)
    }


def defenses_of(value: Value) -> tuple[Application, ...]:
    """The defenses of a threat in the order in which they apply; those that do nothing are left out."""
    if isinstance(value, tuple):
        return tuple(each for item in value for each in defenses_of(item))
    if isinstance(value, Application) and isinstance(value.declaration, DefenseDeclaration):
        return () if value.declaration.acts == "nothing" else (value,)
    return ()


def shield_of(defense: Application, registry: Registry) -> Shield:
    """What a defense does to access."""
    declaration = defense.declaration
    assert isinstance(declaration, DefenseDeclaration)
    home: Scope = registry.homes.get(declaration.identity, Scope())
    evaluator = Evaluator(home.inside(dict(defense.arguments)), registry)
    limits = {
        name: float(size)
        for name, node in declaration.limits.items()
        if isinstance(size := evaluator.take(node, Type("float", low=0)), int | float)
    }
    chosen = defense.arguments.get("on")
    on = frozenset(each.name for each in _items(chosen) if isinstance(each, Sight))
    return Shield(
        declaration.name,
        declaration.acts,
        frozenset(declaration.hides),
        limits,
        frozenset(declaration.transforms),
        on,
    )


def training_slot(operator: Operator) -> str | None:
    """The parameter of a model's type that takes defenses on training; None where it takes none."""
    return next(
        (each.name for each in operator.parameters if each.type.name == "list" and each.type.item.name == TRAINING),
        None,
    )


def behind(access: Access, defenses: tuple[Application, ...], registry: Registry) -> Access:
    """The access that is left behind defenses."""
    for defense in defenses:
        access = shield_of(defense, registry).behind(access, registry.sights)
    return access
