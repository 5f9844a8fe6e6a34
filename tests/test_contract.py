"""Declarations and Python agree: same parameters, steps take a run and terms do not, Python repeats no default."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from mialang.diagnostics.render import as_text
from mialang.meaning.declarations import (
    Declaration,
    DefenseDeclaration,
    Metric,
    ObservableDeclaration,
    Operator,
    Parameter,
    Recipe,
)
from mialang.meaning.library import declared_in, files_of, known_modules
from mialang.meaning.modules import Modules
from mialang.operators.artefacts import KINDS


@cache
def shipped() -> tuple[tuple[Declaration, ...], Modules]:
    modules = Modules()
    for name in known_modules():
        namespace = modules.folder_namespace(name, files_of(name))
        for word in namespace.names():
            namespace.look(word)
    said = [as_text(finding) for finding in modules.found]
    assert said == []
    found = {each.identity: each for module in modules.loaded.values() for each in module.declarations}
    return tuple(found.values()), modules


def with_python() -> list[Any]:
    return [pytest.param(each, id=each.identity) for each in shipped()[0] if getattr(each, "python", "")]


def function_of(declaration: Any) -> Any:
    module, _, name = declaration.python.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("declaration", with_python())
def test_python_takes_exactly_what_is_declared(declaration: Any) -> None:
    signature = inspect.signature(function_of(declaration))
    declared = {parameter.name for parameter in declaration.parameters}
    if isinstance(declaration, ObservableDeclaration):
        expected = (
            {"of", "records", "size", "permuted", "turn", "run"}
            if declaration.artefact
            else {"answer", "classes"} | declared
        )
    elif isinstance(declaration, DefenseDeclaration):
        expected = declared | ({"of", "run"} if declaration.acts in ("data", "model") else set())
        expected -= {"on"}
    elif isinstance(declaration, Metric) or (isinstance(declaration, Operator) and declaration.is_step):
        expected = declared | {"run"}
    else:
        expected = declared
    assert set(signature.parameters) == expected
    for parameter in signature.parameters.values():
        assert parameter.default is inspect.Parameter.empty, f"{parameter.name} repeats a default"
        if not isinstance(declaration, ObservableDeclaration) or declaration.artefact:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name


@pytest.mark.parametrize("declaration", with_python())
def test_python_lies_in_the_operators_room(declaration: Any) -> None:
    assert declaration.python.startswith("mialang.operators.")


def test_every_declaration_is_documented() -> None:
    for declaration in shipped()[0]:
        assert declaration.doc, declaration.identity


def test_recipes_carry_citation_and_fidelity_note() -> None:
    recipes = [each for each in shipped()[0] if isinstance(each, Recipe)]
    assert len(recipes) >= 5
    for recipe in recipes:
        if not recipe.baseline:
            assert recipe.fidelity, recipe.name
            assert any(
                word in recipe.citation for word in ("arXiv", "CCS", "USENIX", "S&P", "ACL", "EMNLP", "NeurIPS")
            ), recipe.name


def test_a_recipe_is_a_page_named_after_it() -> None:
    for module in ("std.attack", "std.baseline"):
        for path in files_of(module):
            assert declared_in(path)[0] == path.stem


def test_every_default_fits_its_type() -> None:
    """Applying a declaration without its optional arguments evaluates and fits every default."""
    declarations, modules = shipped()
    for declaration in declarations:
        if any(parameter.required for parameter in declaration.parameters):
            continue
        evaluator = modules.evaluator(next(iter(modules.loaded.values())))
        evaluator.apply(declaration, (), None)
        said = [as_text(finding) for finding in evaluator.found]  # a finding's own form holds the whole library
        assert said == [], declaration.identity


def test_artefact_kinds_that_steps_return_can_be_restored() -> None:
    declarations, modules = shipped()
    for declaration in declarations:
        if isinstance(declaration, Operator) and declaration.is_step:
            function_of(declaration)
            line = modules.registry.ancestors(declaration.returns)
            below = {name for name in modules.registry.kinds if modules.registry.is_a(name, declaration.returns)}
            assert (set(line) | below) & set(KINDS), declaration.identity


def test_models_answer_natively_what_is_declared() -> None:
    declarations, modules = shipped()
    for declaration in declarations:
        if (
            isinstance(declaration, Operator)
            and modules.registry.is_a(declaration.returns, "model")
            and declaration.answers
            and not declaration.served  # a service answers what its declaration says, whatever kind of model it stands for
        ):
            made = next(KINDS[name] for name in modules.registry.ancestors(declaration.returns) if name in KINDS)
            assert set(declaration.answers) == set(getattr(made, "natives", ())), declaration.identity


def parameters() -> Iterator[tuple[Declaration, Parameter]]:
    for declaration in shipped()[0]:
        for parameter in declaration.parameters:
            yield declaration, parameter


def test_steps_that_ask_declare_a_bound_on_their_questions() -> None:
    for declaration, parameter in parameters():
        if isinstance(declaration, Operator) and declaration.is_step and parameter.sees:
            assert declaration.queries is not None, declaration.identity
