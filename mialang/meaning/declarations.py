"""Declarations: everything that a spec can name, as read from `.mia` files.

Python implements what is declared and repeats no default and no range; from these models come validation, the
reference manual and the JSON schema.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mialang.meaning.types import Type
from mialang.source import Span

Syntax = Any  # a node of mialang.syntax.tree; pydantic keeps it as it is


class Parameter(BaseModel):
    """One parameter: its type, its default as written, and what an argument that is the target's handle is asked."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, defer_build=True)

    name: str
    type: Type
    default: Syntax = None
    sees: tuple[str, ...] = ()
    knows: tuple[str, ...] = ()
    span: Span | None = Field(default=None, repr=False)

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is None and not self.type.optional


class Declaration(BaseModel):
    """What every declaration has: a name, the module it stands in, a doc string, parameters."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, defer_build=True)

    noun: ClassVar[str] = "declaration"

    name: str
    module: str = ""
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    span: Span | None = Field(default=None, repr=False)

    @property
    def identity(self) -> str:
        """The name that no other declaration has."""
        return f"{self.noun}:{self.module}:{self.name}"

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """The parameters by name."""
        return {parameter.name: parameter for parameter in self.parameters}

    @property
    def summary(self) -> str:
        """The first sentence of the doc string."""
        first = self.doc.split("\n\n")[0].replace("\n", " ")
        return first.split(". ")[0].rstrip(".") + "." if first else ""


class Kind(Declaration):
    """A kind of artefact or description: what steps and terms return and take.

    Attributes:
        parent: the kind that it is a special case of.
        artefact: artefacts are made by steps and stored; descriptions are written into the step that uses them.
        algebra: whether `+ - * /` join its values.
        members: names that stand for parts of an artefact, with their kinds.
    """

    noun: ClassVar[str] = "kind"
    parent: str = ""
    artefact: bool = False
    algebra: bool = False
    members: dict[str, str] = {}


class ObservableDeclaration(Declaration):
    """Something that can be seen of a model.

    Attributes:
        sources: the stronger observables from which it can be computed, each enough on its own.
        artefact: the kind of artefact that is held, for leaked things; empty for answers to questions.
        records: the observable whose answers about the secret records a leaked thing holds.
        reveals: whether whoever holds a leaked thing knows some of the secret records; those leave every metric's universe.
        decoy: how a blind control fakes it.
        python: the function that computes it from a source, or (for artefacts) takes it from the target.
    """

    noun: ClassVar[str] = "observable"
    sources: tuple[str, ...] = ()
    artefact: str = ""
    records: str = ""
    reveals: bool = False
    decoy: Literal["permuted", "zero", "retrained", "none"] = "none"
    python: str = ""
    version: int = 1

    @property
    def sized(self) -> bool:
        """Whether a size belongs to it, as in `top_k(5)`: it has a parameter."""
        return bool(self.parameters)


class AccessDeclaration(Declaration):
    """A named grant of access; its parts are expressions over its parameters."""

    noun: ClassVar[str] = "access"
    parts: dict[str, Syntax] = {}


class ExtentDeclaration(Declaration):
    """An extent of recovery and the weaker ones that follow directly from it."""

    noun: ClassVar[str] = "extent"
    weaker: tuple[str, ...] = ()
    modality: str = ""


class ItemDeclaration(Declaration):
    """An item that a prior may grant.

    Attributes:
        kind: the kind of artefact granted.
        nature: what granting it makes of the prior.
        modality: where it belongs; empty for all.
    """

    noun: ClassVar[str] = "item"
    kind: str
    nature: Literal["statistics", "public", "shadow", "overlapping"] = "public"
    modality: str = ""


class Operator(Declaration):
    """An operator: a step, which becomes a node of the graph, or a term, which is written into a step.

    Attributes:
        returns: the kind of what it returns.
        is_step: whether that kind is an artefact.
        modality: `image`, …; empty where it serves all.
        differentiates: parameters whose terms are differentiated with respect to their input.
        queries: upper bound on questions to the target, an expression over the parameters.
        outputs: upper bound on how many candidates come out.
        size: upper bound on how many records come out.
        labels: the class labels that records can bear.
        seconds: rough running time on two CPU cores.
        random: whether it draws; what does not draw is shared by all repeats.
        secret: parameters that name what must not leak (`trained`, `stores`, `observes`).
        answers: the observables that a model made by it answers natively.
        decoy: what a decoy of the model is trained with instead: an expression over the prior per parameter.
        fixed_by: parameters that fix the result where they are given (`weights`): nothing is drawn or trained then.
        needs: the sets of parameters one of which must be given, all of it.
        served: whether somebody else runs what it reaches, so that nothing of it can be changed here.
        same_kind_as: the parameter whose argument is of the kind that is returned, where that is narrower than `returns`.
        python: `module:function`.
        version: raised when the same arguments give another result.
    """

    noun: ClassVar[str] = "operator"
    returns: str
    is_step: bool = False
    modality: str = ""
    differentiates: tuple[str, ...] = ()
    queries: Syntax = None
    outputs: Syntax = None
    size: Syntax = None
    labels: Syntax = None
    seconds: Syntax = None
    random: bool = False
    secret: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    decoy: dict[str, Syntax] = {}
    fixed_by: tuple[str, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()
    served: bool = False
    same_kind_as: str = ""
    python: str
    version: int = 1


class Recipe(Declaration):
    """An attack composed of operators.

    Attributes:
        modality: what it attacks.
        gives: the extent that it recovers, an expression.
        family: `optimization`, `training` or `generate_and_rank`; `baseline` for decoders of what was granted.
        baseline: whether it only decodes what was granted, without any search.
        lets: named values, in order.
        result: what it hands over; a table of results by name where there are several.
    """

    noun: ClassVar[str] = "recipe"
    modality: str
    gives: Syntax
    family: str
    baseline: bool = False
    lets: tuple[tuple[str, Syntax], ...] = ()
    result: Syntax

    @property
    def citation(self) -> str:
        """The part of the doc string before the fidelity note."""
        return self.doc.split("Fidelity:")[0].strip().replace("\n", " ")

    @property
    def fidelity(self) -> str:
        """What the recipe follows where paper and released code differ."""
        _, _, note = self.doc.partition("Fidelity:")
        return note.strip().replace("\n", " ")


class DefenseDeclaration(Declaration):
    """A defense.

    Attributes:
        acts: on `data`, `training`, `model`, `output` or `representation`.
        hides: observables that are no longer answered.
        limits: observables answered at most at a size, an expression per name.
        transforms: observables whose answers it changes.
        python: the function behind it; empty for a defense that does nothing or only hides.
        random: whether it draws.
    """

    noun: ClassVar[str] = "defense"
    acts: Literal["data", "training", "model", "output", "representation", "nothing"]
    hides: tuple[str, ...] = ()
    limits: dict[str, Syntax] = {}
    transforms: tuple[str, ...] = ()
    python: str = ""
    version: int = 1
    random: bool = False
    modality: str = ""


class Metric(Declaration):
    """A measurement.

    Attributes:
        sort: `leakage` (of an attack), `utility` (of a model), `cost`, or `objective` (what an attack itself strives for, so
            that it never stands for what leaked).
        measures: the extents that it can speak for; leakage only.
        higher: whether more is `worse` or `better` for privacy (leakage), for use (utility).
        unit: `share`, or a plain word.
        fields: names of its parts; `{name}` stands for each value of a list parameter.
        python: the function behind it.
    """

    noun: ClassVar[str] = "metric"
    sort: Literal["leakage", "utility", "cost", "objective"]
    measures: tuple[str, ...] = ()
    higher: Literal["worse", "better"]
    unit: str = ""
    fields: tuple[str, ...] = ()
    modality: str = ""
    python: str
    version: int = 1
    random: bool = False
