"""The recipes of the standard library: what can be offered when an attack does not fit, and the baselines of every audit."""

from __future__ import annotations

from mialang.meaning.declarations import Recipe
from mialang.meaning.library import files_of
from mialang.meaning.modules import Module, Modules
from mialang.meaning.recipes import holes_for
from mialang.meaning.registry import Registry
from mialang.meaning.scope import Scope
from mialang.meaning.values import Application

MODULES = ("std.attack", "std.baseline")


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


def _with_defaults(recipe: Recipe, loader: Modules) -> Application:
    if any(parameter.required for parameter in recipe.parameters):
        return holes_for(recipe)
    value = loader.evaluator(Module("", None, Scope(around=loader.prelude))).apply(recipe, (), None)
    assert isinstance(value, Application), recipe.name
    return value
