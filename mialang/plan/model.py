"""A plan as a value: what will run, what depends on what, what is measured and what must hold. It is what `run` executes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import mialang

Json = Any
Role = Literal["data", "target", "judge", "grant", "handle", "attack", "check", "metric", "held"]
PLAN_FORMAT = 2
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
KEY_DIGITS = 10  # of its structural key that a node's name ends with


def canonical(value: Json) -> bytes:
    """JSON with one spelling per value: what digests are taken over."""
    return CANONICAL.encode(value).encode()


def digest(value: Json) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()


class Frozen(BaseModel):
    """Base of everything in a plan: immutable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(Frozen):
    """One application of one operator.

    Attributes:
        id: unique name in the plan.
        label: short name for people.
        role: what it is to the audit; the flow proof and the report go by it.
        operator: the declared name.
        python: `module:function`; empty for grants and handles, which only pass on what they allow.
        version: of the operator.
        kind: what it returns.
        params: arguments as JSON; `{"$node": id}` is an artefact, `{"$model": id}` a model behind an open handle,
            `{"$handle": id}` the target's handle, `{"$term": …}` a description, `{"$algebra": …}` descriptions joined.
        inputs: the nodes mentioned in `params`.
        after: nodes that must have succeeded before, without being inputs.
        seed: seed of the step; None where nothing is drawn.
        repeat: the repeat it belongs to; None where all repeats share it.
        queries: upper bound on questions to the target; None is unmetered.
        granted: how many of the threat's `queries` it may use, what came to nothing included; None is as many as `queries`.
        seconds: rough running time; None where nothing is declared.
        place: `name:line:column` of what asks for it in the spec, or in a file that the spec imports; no part of its key.
    """

    id: str
    label: str
    role: Role
    operator: str
    python: str
    version: int
    kind: str
    params: dict[str, Json]
    inputs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    seed: int | None = None
    repeat: int | None = None
    queries: int | None = None
    granted: int | None = None
    seconds: float | None = None
    place: str = Field(default="", pattern=r"^$|:[1-9]\d*:[1-9]\d*$")

    @property
    def passes_on(self) -> bool:
        """Whether it computes nothing and only passes on its input (a grant, a handle)."""
        return not self.python


class Cell(Frozen):
    """Axis values of one cell, as places in the matrix and as words."""

    places: dict[str, int]
    words: dict[str, str]


class Arm(Frozen):
    """One way an attack is run in one cell and repeat: for real, against a decoy, or a baseline in its place.

    Attributes:
        attack: the attack block.
        instance: the recipe's name in it.
        arm: `attack`, `blind`, or `baseline`.
        baseline: the baseline's name where the arm is one.
        node: the node whose artefact is handed over; None where the arm cannot run.
        reason: why it cannot run.
        nodes: all nodes of the attack that ask the target, for the query count.
    """

    attack: str
    instance: str
    arm: Literal["attack", "blind", "baseline"]
    baseline: str = ""
    cell: dict[str, int]
    repeat: int
    node: str | None
    reason: str = ""
    nodes: tuple[str, ...] = ()


class Reading(Frozen):
    """Where one value of a measurement is found: cell, repeat, and for attacks the instance and the arm.

    Attributes:
        selected: whether it is wanted; what is not wanted is not evaluated.
    """

    measurement: str
    cell: dict[str, int]
    repeat: int
    instance: str = ""
    arm: str = ""
    baseline: str = ""
    node: str | None
    reason: str = ""
    selected: bool = True


class MeasurementPlan(Frozen):
    """A measurement as the verdict needs it."""

    name: str
    metric: str
    sort: Literal["leakage", "utility", "cost", "objective"]
    higher: Literal["worse", "better"]
    unit: str
    fields: tuple[str, ...]
    axes: tuple[str, ...]
    attack: str = ""
    threat: str = ""


class RulePlan(Frozen):
    """A rule of a gate, its condition as JSON and its cells listed."""

    verb: Literal["require", "warn", "control"]
    text: str
    condition: Json
    confidence: float | None
    because: str
    cells: tuple[dict[str, int], ...]
    place: str


class GatePlan(Frozen):
    """A gate."""

    title: str
    rules: tuple[RulePlan, ...]


class AttackPlan(Frozen):
    """A recipe of an attack, for the report.

    Attributes:
        needs: what was inferred: observables, items, knowledge, in words.
        objective: its searches as formulas.
    """

    attack: str
    instance: str
    recipe: str
    citation: str
    fidelity: str
    family: str
    gives: str
    needs: tuple[str, ...]
    formulas: tuple[str, ...]
    queries: int | None


class ThreatPlan(Frozen):
    """A threat in words, for the report; `queries` is the budget of questions, None where nobody counts."""

    name: str
    prose: tuple[str, ...]
    access: str
    queries: float | None
    prior: str
    extent: str
    modality: str
    strict: bool
    fixed_model: bool


class BudgetPlan(Frozen):
    """Limits; None is no limit."""

    seconds: float | None = None
    queries: float | None = None
    usd: float | None = None


NAMED: Any = {  # what holds the name of the spec's file, which is no part of what is run
    "spec_name": True, "findings": True, "nodes": {"__all__": {"place"}}, "gates": {"__all__": {"rules": {"__all__": {"place"}}}},
}  # fmt: skip


class Plan(Frozen):
    """Everything that `run` needs.

    Attributes:
        cells: how many cells the matrix has, without those that are skipped.
        nodes: by id, inputs before what uses them.
        observables: how observables follow from each other: name → sources, function, parameter of size.
        results: nodes whose artefacts the report shows.
        secrets: per threat, the node that holds the secret records.
        selected: nodes that are wanted; None wants all.
    """

    format: int = PLAN_FORMAT
    mialang: str = mialang.__version__
    spec: str
    spec_name: str
    doc: str
    seed: int
    repeats: int
    matrix: dict[str, tuple[str, ...]]
    cells: int
    nodes: dict[str, Node]
    observables: dict[str, Json]
    threats: tuple[ThreatPlan, ...]
    attacks: tuple[AttackPlan, ...]
    arms: tuple[Arm, ...]
    measurements: tuple[MeasurementPlan, ...]
    readings: tuple[Reading, ...]
    gates: tuple[GatePlan, ...]
    budget: BudgetPlan
    secrets: dict[str, str]
    findings: tuple[Json, ...] = ()
    controls: bool = True
    selected: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """A digest of the plan, whatever its spec is called."""
        return digest(self.model_dump(mode="json", exclude=NAMED))

    def steps_among(self, names: Iterable[str]) -> list[str]:
        """Those of some nodes that compute something: what people count. Grants and handles only pass on."""
        return [name for name in names if not self.nodes[name].passes_on]

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every dependency, from what is needed to what needs it."""
        for node in self.nodes.values():
            for source in dict.fromkeys((*node.inputs, *node.after)):
                yield source, node.id


def structure_of(name: str) -> str:
    """What a node computes, by its name alone: the digits of its structural key, whatever stands before them."""
    _, _, digits = name.rpartition("-")
    return digits if len(digits) == KEY_DIGITS and not set(digits) - set("0123456789abcdef") else name


def references(params: Json) -> Iterator[str]:
    """The nodes that some parameters mention, in order."""
    if isinstance(params, dict):
        for sign in ("$node", "$model", "$handle"):
            if sign in params:
                yield params[sign]
                return
        for value in params.values():
            yield from references(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from references(value)
