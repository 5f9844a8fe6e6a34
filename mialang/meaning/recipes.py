"""Recipes worked out: from a page of `.mia` to steps and terms, and what they need of the target and the prior.

The needs are computed from the operators that a recipe composes: which term asks the target what, and which step
differentiates through it. Nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.declarations import Declaration, ExtentDeclaration, Operator, Recipe
from mialang.meaning.evaluate import Evaluator, RecipeMembers
from mialang.meaning.registry import Registry
from mialang.meaning.scope import Binding, Lazy, Scope
from mialang.meaning.types import ANY, Type
from mialang.meaning.values import (
    Application,
    HeldArtefact,
    Hole,
    Part,
    PriorItem,
    Sight,
    Special,
    Structured,
    TableValue,
    TargetHandle,
    Unknown,
    Value,
    inside,
    replaced,
    walk,
)
from mialang.syntax import tree
from mialang.threat import Access, Extent

GRADIENTS = "input_gradients"


@dataclass(frozen=True)
class Elaborated:
    """A recipe with its arguments filled in.

    Attributes:
        lets: the named values on its page.
        results: what it hands over, by name; the name is empty where there is one result.
        gives: the extent that it recovers; None where that could not be read.
    """

    lets: Mapping[str, Value]
    results: Mapping[str, Value]
    gives: Extent | None


@dataclass(frozen=True)
class Reason:
    """Why a recipe needs to see something: which step asks, through which term, and whether it differentiates."""

    observable: str
    size: float
    step: Application
    term: Application | None
    differentiates: bool = False

    def words(self) -> str:
        """The reason as a clause."""
        asker = f"{self.term.name}(target)" if self.term is not None else f"{self.step.name}(target)"
        if self.differentiates:
            return f"{self.step.name} differentiates {asker}"
        return f"{self.step.name} asks {asker}" if self.term is not None else f"`{self.step.name}` asks the target"


@dataclass(frozen=True)
class Needs:
    """What an attack needs.

    Attributes:
        access: observables, artefacts and knowledge (queries are estimated apart).
        items: items of prior knowledge that it reads.
        reasons: why each observable is needed.
    """

    access: Access
    items: frozenset[str]
    reasons: tuple[Reason, ...] = field(default=(), repr=False)

    def because(self, observable: str) -> Reason | None:
        """The first reason for an observable."""
        return next((reason for reason in self.reasons if reason.observable == observable), None)


def elaborate(application: Application, registry: Registry, found: list[Diagnostic] | None = None) -> Elaborated:
    """Work out a recipe for given arguments.

    Args:
        application: the recipe with its arguments; they may be holes.
        registry: what is known by name.
        found: where findings go; without it they are dropped (they were reported when the recipe was declared).
    """
    recipe = application.declaration
    assert isinstance(recipe, Recipe)
    found = found if found is not None else []
    if recipe.identity in registry.elaborating:
        circle = [*registry.elaborating[registry.elaborating.index(recipe.identity) :], recipe.identity]
        if recipe.identity == min(circle):  # a circle is told once, from the recipe that comes first by name
            found.append(_circle(recipe, circle))
        return Elaborated({}, {"": Unknown()}, None)
    registry.elaborating.append(recipe.identity)
    try:
        return _elaborate(application, recipe, registry, found)
    finally:
        registry.elaborating.pop()


def _circle(recipe: Recipe, circle: list[str]) -> Diagnostic:
    names = " → ".join(identity.rpartition(":")[2] for identity in circle)
    return error("E0232", f"the recipe `{recipe.name}` is composed of itself", recipe.span, names).help(
        "break the circle: let one of the recipes use operators only"
    )


def _elaborate(application: Application, recipe: Recipe, registry: Registry, found: list[Diagnostic]) -> Elaborated:
    home: Scope = registry.homes.get(recipe.identity, Scope())
    special: dict[str, Value] = {
        "target": TargetHandle(),
        "prior": Special("prior"),
        "held": Special("held"),
        **application.arguments,
    }
    names: dict[str, Binding] = dict(special)
    evaluator = Evaluator(Scope(names, home), registry, found, {}, members_of(registry))
    for name, node in recipe.lets:
        names.setdefault(name, Lazy(name, node.span, partial(evaluator.evaluate, node)))
    lets = {name: evaluator.evaluate(tree.Name(node.span, name)) for name, node in recipe.lets}
    outcome = evaluator.evaluate(recipe.result, ANY)
    results = dict(outcome.entries) if isinstance(outcome, TableValue) else {"": outcome}
    gives = evaluator.take(recipe.gives, Type("extent"))
    return Elaborated(
        {name: flattened(value, registry, found) for name, value in lets.items()},
        {name: flattened(value, registry, found) for name, value in results.items()},
        extent_of(gives),
    )


def decoy_arguments(target: Application, registry: Registry) -> dict[str, Value]:
    """What a decoy of a model is trained with instead of its own data: values over the prior, by parameter."""
    operator = target.declaration
    assert isinstance(operator, Operator)
    home: Scope = registry.homes.get(operator.identity, Scope())
    names: dict[str, Value] = {**target.arguments, "prior": Special("prior")}
    evaluator = Evaluator(Scope(names, home), registry, [], {}, members_of(registry))  # type: ignore[arg-type]
    return {
        parameter: evaluator.take(node, operator.by_name[parameter].type) for parameter, node in operator.decoy.items()
    }


def members_of(registry: Registry) -> RecipeMembers:
    """How the named values of a recipe are found when it is called like a step."""

    def members(application: Application) -> Mapping[str, Value]:
        return elaborate(application, registry).lets

    return members


def flattened(value: Value, registry: Registry, found: list[Diagnostic]) -> Value:
    """Replace recipes called like steps by what they compose."""

    def answer(current: Value) -> Value | None:
        if isinstance(current, Part) and _is_recipe(current.base):
            return elaborate(current.base, registry, found).lets.get(current.name, Unknown())  # type: ignore[arg-type]
        if _is_recipe(current):
            results = elaborate(current, registry, found).results  # type: ignore[arg-type]
            return next(iter(results.values()))
        return None

    return replaced(value, answer)


def _is_recipe(value: Value) -> bool:
    return isinstance(value, Application) and isinstance(value.declaration, Recipe)


def extent_of(value: Value) -> Extent | None:
    """An extent as the threat side knows it."""
    if not isinstance(value, Application) or not isinstance(value.declaration, ExtentDeclaration):
        return None
    per, length = value.arguments.get("per"), value.arguments.get("length")
    return Extent(
        value.name, per if isinstance(per, str) else "", float(length) if isinstance(length, int | float) else None
    )


def holes_for(recipe: Recipe) -> Application:
    """A recipe applied to holes: what can be said of it before anyone gives arguments."""
    return Application(recipe, holes_of(recipe))


def holes_of(declaration: Declaration) -> dict[str, Value]:
    """The parameters of a declaration as values that are still to be given."""
    return {parameter.name: Hole("param", parameter.name, parameter.type) for parameter in declaration.parameters}


# -- needs ---------------------------------------------------------------------------------------------------------


def steps(values: Mapping[str, Value] | Value) -> list[Application]:
    """Every step inside some values, each once, inputs before what uses them."""
    roots = tuple(values.values()) if isinstance(values, Mapping) else (values,)
    order: list[Application] = []
    seen: set[str] = set()

    def visit(root: Value) -> None:
        pending: list[tuple[Value, bool]] = [(root, False)]
        while pending:
            value, ready = pending.pop()
            if not isinstance(value, Structured | tuple):
                continue
            if isinstance(value, Structured):
                if ready:
                    if isinstance(value, Application) and value.is_step:
                        order.append(value)
                    continue
                if value.digest in seen:
                    continue
                seen.add(value.digest)
                pending.append((value, True))
            pending.extend((part, False) for part in reversed(inside(value)))

    for root in roots:
        visit(root)
    return order


def terms(value: Value) -> Iterator[Application]:
    """The terms written into one argument of a step; other steps are inputs and not looked into."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, Application):
            if current.is_step:
                continue
            yield current
        if isinstance(current, Part):
            continue
        pending.extend(inside(current))


def questions(step: Application) -> Iterator[Reason]:
    """What one step asks of the target, itself or through its terms."""
    operator = step.declaration
    assert isinstance(operator, Operator)
    for parameter in operator.parameters:
        argument = step.arguments.get(parameter.name)
        if isinstance(argument, TargetHandle):
            yield from (Reason(name, size, step, None) for name, size in _sights(step, parameter.sees))
        lifted = parameter.name in operator.differentiates
        for term in terms(argument):
            asked = list(_asked_by(term))
            yield from (Reason(name, size, step, term) for name, size in asked)
            if lifted and asked:
                yield Reason(GRADIENTS, math.inf, step, term, differentiates=True)


def _asked_by(term: Application) -> Iterator[tuple[str, float]]:
    for parameter in term.declaration.parameters:
        argument = term.arguments.get(parameter.name)
        held = argument if isinstance(argument, tuple) else (argument,)
        if any(isinstance(item, TargetHandle) for item in held):
            yield from _sights(term, parameter.sees)


def _sights(application: Application, names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for name in names:
        given = application.arguments.get(name)
        if isinstance(given, Sight):
            yield given.name, given.size if given.size is not None else math.inf
        elif isinstance(given, tuple):
            yield from ((each.name, each.size or math.inf) for each in given if isinstance(each, Sight))
        elif name not in application.declaration.by_name:
            yield name, math.inf


def needs(elaborated: Elaborated, registry: Registry) -> Needs:
    """Infer what a recipe needs from what it composes."""
    reasons: list[Reason] = []
    sees: dict[str, float] = {}
    knows: set[str] = set()
    for step in steps(elaborated.results):
        for reason in questions(step):
            if reason.observable not in registry.sights.by_name:
                continue  # told where the operator names it
            reasons.append(reason)
            size = 1.0 if math.isinf(reason.size) and registry.sights.by_name[reason.observable].sized else reason.size
            sees[reason.observable] = max(sees.get(reason.observable, 0), size)
        knows |= set(_knowledge(step))
    items: set[str] = set()
    holds: dict[str, float] = {}
    for value in elaborated.results.values():
        for part in walk(value):
            if isinstance(part, PriorItem):
                items.add(part.name)
            if isinstance(part, HeldArtefact):
                # Of what comes in sizes any size will do: a step takes as many pairs as there are.
                holds[part.name] = 1.0 if registry.sights.by_name[part.name].sized else math.inf
    access = Access.of(registry.sights, sees=sees, holds=holds, queries=0, knows=knows)
    return Needs(access, frozenset(items), tuple(reasons))


def _knowledge(step: Application) -> Iterator[str]:
    for application in (step, *(term for value in step.arguments.values() for term in terms(value))):
        for parameter in application.declaration.parameters:
            if isinstance(application.arguments.get(parameter.name), TargetHandle):
                yield from parameter.knows
