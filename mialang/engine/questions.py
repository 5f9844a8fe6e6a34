"""Questions that answers are differentiated by: the tensors inside them, and how they are set apart from what else uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any


def leaves(question: Any) -> list[Any]:
    """The tensors of a question that require gradients, in order."""
    import torch  # noqa: PLC0415 - loaded only when something is computed

    if isinstance(question, torch.Tensor):
        return [question] if question.requires_grad else []
    if isinstance(question, Mapping):
        return [leaf for each in question.values() for leaf in leaves(each)]
    if isinstance(question, list | tuple):
        return [leaf for each in question if not isinstance(each, str) for leaf in leaves(each)]
    if _is_value(question):
        return [leaf for each in fields(question) for leaf in leaves(getattr(question, each.name))]
    return []


def apart(question: Any) -> Any:
    """The same question, its tensors behind a step of their own in the graph of gradients.

    All that a model makes of a tensor is then summed before anything else is added to the gradient, in whichever process
    the model is asked: sums in another order would round differently.
    """
    import torch  # noqa: PLC0415

    if isinstance(question, torch.Tensor):
        return question.view_as(question) if question.requires_grad else question
    if isinstance(question, tuple) and leaves(question):
        return tuple(map(apart, question))
    if _is_value(question) and leaves(question):
        held = {each.name: getattr(question, each.name) for each in fields(question) if each.init}
        return replace(question, **{name: apart(value) for name, value in held.items() if leaves(value)})
    return question


def _is_value(question: Any) -> bool:
    """Whether a question is a value with fields; artefacts are whole, and nothing is differentiated by them."""
    return is_dataclass(question) and not isinstance(question, type) and not hasattr(question, "arrays")
