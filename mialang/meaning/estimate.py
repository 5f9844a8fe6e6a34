"""How many: upper bounds on questions, outputs and records, from the expressions that declarations carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mialang.meaning.arithmetic import ARITHMETIC, is_number
from mialang.meaning.blocks import PriorValue
from mialang.meaning.declarations import Operator
from mialang.meaning.recipes import Elaborated, questions, steps, terms
from mialang.meaning.registry import COUNTED
from mialang.meaning.units import Quantity
from mialang.meaning.values import Application, HeldArtefact, Part, PriorItem, Range, TargetHandle, Value
from mialang.syntax import tree


@dataclass(frozen=True)
class Counts:
    """What counting needs to know.

    Attributes:
        classes: how many classes the target tells apart; None where that is not known before data are read.
        granted: the prior items of the threat, by name.
        held: the records that each held artefact is of, by its name.
        secret: the secret records; None where the spec names none.
        measured: sizes known from data that have been read, by digest of the value.
    """

    classes: int | None = None
    granted: Mapping[str, Value] = field(default_factory=dict)
    held: Mapping[str, Value] = field(default_factory=dict)
    secret: Value = None
    measured: Mapping[str, int] = field(default_factory=dict)

    def of_target(self, word: str) -> float | None:
        """How many `classes` or `units` the target has: units are its classes, or its secret records where it has none."""
        if self.classes is not None or word == "classes":
            return self.classes
        return size_of(self.secret, self)


def labels_of(value: Value) -> tuple[int, ...] | None:
    """The class labels that records bear or a model tells apart; None where the spec does not say."""
    if isinstance(value, Part):
        return labels_of(value.base)
    if not isinstance(value, Application) or not isinstance(value.declaration, Operator):
        return None
    node = value.declaration.labels
    labels: tuple[int, ...] | None = None
    match node:
        case tree.Interval(low=tree.Integer() as low, high=tree.Integer() as high):
            labels = tuple(range(low.value, high.value + 1))
        case tree.Call(function=tree.Name(text="labels"), arguments=(tree.Argument(value=tree.Name() as name),)):
            labels = labels_of(value.arguments.get(name.text))
    chosen = value.arguments.get("classes")
    if isinstance(chosen, tuple) and all(isinstance(label, int) for label in chosen):
        return chosen if labels is None else tuple(label for label in labels if label in chosen)
    return labels


def size_of(value: Value, counts: Counts) -> float | None:
    """An upper bound on how many records, pairs or candidates a value holds; None where it is not known yet."""
    match value:
        case tuple():
            return len(value)
        case Range() if value.low is not None and value.high is not None:
            return value.high - value.low + 1
        case PriorItem():
            return size_of(counts.granted.get(value.name), counts)
        case HeldArtefact():
            return size_of(counts.held.get(value.name), counts)
        case Part():
            return counts.measured.get(value.digest) or size_of(value.base, counts)
        case Application(declaration=Operator() as operator):
            if value.digest in counts.measured:
                return counts.measured[value.digest]
            size = evaluate(operator.size, value, counts) if operator.size is not None else None
            if size is None and operator.outputs is not None:
                size = evaluate(operator.outputs, value, counts)
            limit = value.arguments.get("limit")
            if isinstance(limit, int) and (operator.size is not None or size is not None):
                return min(size, limit) if size is not None else limit
            return size if size is not None else (float(limit) if isinstance(limit, int) else None)
    return None


def evaluate(node: tree.Expression | None, step: Application, counts: Counts) -> float | None:
    """Work out an expression over the arguments of a step; None where something in it is not known yet."""
    match node:
        case tree.Integer() | tree.Number():
            return node.value
        case tree.Quantity():
            return Quantity.of(node.value, node.unit).value
        case tree.Name():
            if node.text in COUNTED and node.text not in step.arguments:
                return counts.of_target(node.text)
            value = step.arguments.get(node.text)
            return float(value) if is_number(value) else None  # type: ignore[arg-type]
        case tree.Binary():
            left, right = evaluate(node.left, step, counts), evaluate(node.right, step, counts)
            if left is None or right is None or (node.operator == "/" and right == 0):
                return None
            return ARITHMETIC[node.operator](left, right)
        case tree.Call(function=tree.Name() as function):
            return _call(function.text, node.arguments, step, counts)
    return None


def _call(name: str, arguments: tuple[tree.Argument, ...], step: Application, counts: Counts) -> float | None:
    if name in ("min", "max"):
        numbers = [evaluate(argument.value, step, counts) for argument in arguments]
        known = [number for number in numbers if number is not None]
        if name == "min":
            return min(known, default=None)
        return max(known) if len(known) == len(numbers) else None
    if len(arguments) != 1 or not isinstance(arguments[0].value, tree.Name):
        return None
    word = arguments[0].value.text
    if word in COUNTED and word not in step.arguments:
        return counts.of_target(word)
    value = step.arguments.get(word)
    match name:
        case "count" | "outputs":
            return size_of(value, counts)
        case "asks":
            held = [term for term in terms(value) if any(_holds(argument) for argument in term.arguments.values())]
            return float(len(held)) + isinstance(value, TargetHandle)
    return None


def _holds(argument: Value) -> bool:
    return isinstance(argument, TargetHandle) or (isinstance(argument, tuple) and any(map(_holds, argument)))


def query_estimates(elaborated: Elaborated, counts: Counts) -> list[tuple[Application, float | None]]:
    """Per step that asks the target: an upper bound on its questions, None where it is not known yet."""
    estimates: list[tuple[Application, float | None]] = []
    for step in steps(elaborated.results):
        if not any(True for _ in questions(step)):
            continue
        assert isinstance(step.declaration, Operator)
        estimates.append((step, step_queries(step, counts)))
    return estimates


def step_queries(step: Application, counts: Counts) -> float | None:
    """An upper bound on the questions of one step; a step that asks and declares no bound has none."""
    assert isinstance(step.declaration, Operator)
    if not any(True for _ in questions(step)):
        return 0
    if step.declaration.queries is None:
        return math.inf
    return evaluate(step.declaration.queries, step, counts)


def total_queries(elaborated: Elaborated, counts: Counts) -> float | None:
    """An upper bound on all questions of an attack; None where it is not known before data are read."""
    total = 0.0
    for _, estimate in query_estimates(elaborated, counts):
        if estimate is None:
            return None
        total += estimate
    return total


def granted_by(priors: tuple[PriorValue, ...]) -> dict[str, Value]:
    """The items of several priors by name; a later prior's item stands before an earlier one's."""
    granted: dict[str, Value] = {}
    for prior in priors:
        granted.update(prior.items)
    return granted
