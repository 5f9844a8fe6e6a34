"""Recipes and grants of the standard library: what is offered when an attack does not fit, and the baselines of every audit."""

from __future__ import annotations

from mialang.meaning.declarations import AccessDeclaration, Recipe
from mialang.meaning.grants import access_of
from mialang.meaning.library import files_of
from mialang.meaning.modules import Module, Modules
from mialang.meaning.recipes import holes_for
from mialang.meaning.registry import Registry
from mialang.meaning.scope import Scope
from mialang.meaning.values import Application
from mialang.threat import Access

MODULES = ("std.attack", "std.baseline")
GRANTS = "std.access"


def library_recipes(registry: Registry, module: str = MODULES[0]) -> dict[str, Application]:
    """The recipes of a module with their default arguments, by name.

    They are read once for a registry, and only when somebody asks.
    """
    key = f"recipes of {module}"
    if key not in registry.worked_out:
        loader: Modules = registry.loader
        namespace = loader.folder_namespace(module, files_of(module))
        found: dict[str, Application] = {}
        for name in namespace.names():
            recipe = namespace.look(name)
            if isinstance(recipe, Recipe):
                found[name] = _with_defaults(recipe, loader)
        registry.worked_out[key] = found
    known: dict[str, Application] = registry.worked_out[key]
    return known


def baselines(registry: Registry) -> dict[str, Application]:
    """The recipes that decode what was granted without any search."""
    return library_recipes(registry, MODULES[1])


def library_grants(registry: Registry) -> dict[str, Access]:
    """The named grants of access that need no argument, by name."""
    if GRANTS not in registry.worked_out:
        loader: Modules = registry.loader
        namespace = loader.folder_namespace(GRANTS, files_of(GRANTS))
        found: dict[str, Access] = {}
        for name in namespace.names():
            grant = namespace.look(name)
            if isinstance(grant, AccessDeclaration) and not any(each.required for each in grant.parameters):
                value = loader.evaluator(Module("", None, Scope(around=loader.prelude))).apply(grant, (), None)
                if (access := access_of(value, registry)) is not None:
                    found[name] = access
        registry.worked_out[GRANTS] = found
    known: dict[str, Access] = registry.worked_out[GRANTS]
    return known


def _with_defaults(recipe: Recipe, loader: Modules) -> Application:
    if any(parameter.required for parameter in recipe.parameters):
        return holes_for(recipe)
    value = loader.evaluator(Module("", None, Scope(around=loader.prelude))).apply(recipe, (), None)
    assert isinstance(value, Application), recipe.name
    return value
