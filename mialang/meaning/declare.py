"""From library blocks to declarations.

What is read here has been checked while it was read, so the models are constructed without checking it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from mialang.diagnostics import Diagnostic, closest, did_you_mean, error, listed
from mialang.meaning.declarations import (
    AccessDeclaration,
    Declaration,
    DefenseDeclaration,
    ExtentDeclaration,
    ItemDeclaration,
    Kind,
    Metric,
    ObservableDeclaration,
    Operator,
    Parameter,
    Recipe,
)
from mialang.meaning.literals import LiteralReader
from mialang.syntax import tree

FAMILIES = ("optimization", "training", "generate_and_rank", "baseline")
SORTS = ("leakage", "utility", "cost", "objective")
HANDED = ("target", "prior", "held")  # what every recipe is handed


class _Declarer:
    """Reads one block."""

    def __init__(self, block: tree.Block, module: str, artefact: Callable[[str], bool]) -> None:
        self.block = block
        self.artefact = artefact
        self.module = module
        self.read = LiteralReader()
        self.given = {attribute.name.text: attribute.value for attribute in block.attributes()}

    def names_once(self, taken: tuple[str, ...] = ()) -> bool:
        """Whether parameters and `let`s have names of their own, and none that the language gives."""
        before = len(self.read.found)
        first: dict[str, tree.Name] = {}
        for entry in self.block.entries:
            if not isinstance(entry, tree.Param | tree.Let):
                continue
            name = entry.name
            if name.text in taken:
                finding = error(
                    "E0107",
                    f"`{name.text}` is a word of the language",
                    name.span,
                    f"in a {self.block.kind.text} it has a meaning already",
                )
                self.read.found.append(finding.help("choose another name"))
            elif name.text in first:
                finding = error("E0206", f"two things are called `{name.text}`", name.span, "again here")
                self.read.found.append(finding.also(first[name.text].span, "first here").help("rename one of them"))
            first.setdefault(name.text, name)
        return len(self.read.found) == before

    def common(self) -> dict[str, Any]:
        """What every declaration has."""
        return {
            "name": self.block.name,
            "module": self.module,
            "doc": self.block.doc.text if self.block.doc else "",
            "parameters": tuple(self.parameter(entry) for entry in self.block.entries if isinstance(entry, tree.Param)),
            "span": self.block.label.span if self.block.label else self.block.kind.span,
        }

    def parameter(self, entry: tree.Param) -> Parameter:
        """One `param`."""
        facts = {fact.name.text: fact for fact in entry.facts}
        for name in facts.keys() - {"sees", "knows"}:
            self.read.found.append(
                error("E0203", f"a parameter has no fact `{name}`", facts[name].name.span).help(
                    did_you_mean(name, ["sees", "knows"])
                )
            )
        return Parameter.model_construct(
            name=entry.name.text,
            type=self.read.type(entry.type),
            default=entry.default,
            sees=self.read.names(facts["sees"].value) if "sees" in facts else (),
            knows=self.read.names(facts["knows"].value) if "knows" in facts else (),
            span=entry.span,
        )

    def choice(self, attribute: str, options: tuple[str, ...], default: str) -> str:
        """One of some words."""
        node = self.given.get(attribute)
        if node is None:
            return default
        name = self.read.name(node)
        if name not in options:
            near = closest(name, options)
            self.read.found.append(
                error("E0210", f"`{name}` is none of {listed(options)}", node.span, f"for `{attribute}`").help(
                    f"did you mean `{near[0]}`?" if near else f"write one of {listed(options)}"
                )
            )
            return default
        return name

    def names(self, attribute: str) -> tuple[str, ...]:
        """A list of names."""
        return self.read.names(self.given.get(attribute))

    def header(self) -> str:
        """The path after the colon."""
        return self.block.type.text if self.block.type else ""


def _kind(d: _Declarer) -> Kind:
    members = {name: d.read.name(value) for name, value in d.read.table(d.given.get("members")).items()}
    return Kind.model_construct(
        **d.common(),
        parent=d.read.name(d.given.get("extends")),
        artefact=d.read.boolean(d.given.get("artefact")),
        algebra=d.read.boolean(d.given.get("algebra")),
        members=members,
    )


def _observable(d: _Declarer) -> ObservableDeclaration:
    return ObservableDeclaration.model_construct(
        **d.common(),
        sources=d.names("from"),
        artefact=d.read.name(d.given.get("artefact")),
        records=d.read.name(d.given.get("records")),
        reveals=d.read.boolean(d.given.get("reveals")),
        decoy=d.choice("decoy", ("permuted", "zero", "retrained", "none"), "none"),
        python=d.read.text(d.given.get("python")),
        version=d.read.integer(d.given.get("version"), 1),
    )


def _access(d: _Declarer) -> AccessDeclaration:
    parts = {name: d.given[name] for name in ("sees", "holds", "queries", "knows", "acts") if name in d.given}
    return AccessDeclaration.model_construct(**d.common(), parts=parts)


def _extent(d: _Declarer) -> ExtentDeclaration:
    return ExtentDeclaration.model_construct(
        **d.common(), weaker=d.names("weaker"), modality=d.read.name(d.given.get("modality"))
    )


def _item(d: _Declarer) -> ItemDeclaration:
    natures = ("statistics", "public", "shadow", "overlapping")
    return ItemDeclaration.model_construct(
        **d.common(),
        kind=d.read.name(d.given.get("kind")),
        nature=d.choice("nature", natures, "public"),
        modality=d.read.name(d.given.get("modality")),
    )


def _operator(d: _Declarer) -> Operator:
    decoy = d.read.table(d.given.get("decoy"))
    return Operator.model_construct(
        **d.common(),
        returns=d.header(),
        is_step=d.artefact(d.header()),
        modality=d.read.name(d.given.get("modality")),
        differentiates=d.names("differentiates"),
        queries=d.given.get("queries"),
        outputs=d.given.get("outputs"),
        size=d.given.get("size"),
        labels=d.given.get("labels"),
        seconds=d.given.get("seconds"),
        random=d.read.boolean(d.given.get("random")),
        secret=d.names("secret"),
        answers=d.names("answers"),
        decoy=decoy,
        fixed_by=d.names("fixed_by"),
        needs=d.read.groups(d.given.get("needs")),
        served=d.read.boolean(d.given.get("served")),
        same_kind_as=d.read.name(d.given.get("same_kind_as")),
        python=d.read.text(d.given.get("python")),
        version=d.read.integer(d.given.get("version"), 1),
    )


def _recipe(d: _Declarer) -> Recipe | None:
    head, _, modality = d.header().partition(".")
    if head != "attack" or not modality:
        span = d.block.type.span if d.block.type else d.block.head
        d.read.found.append(
            error("E0240", "a recipe is an attack on some kind of model", span).help(
                f"write `recipe {d.block.name} : attack.MODALITY {{ … }}`"
            )
        )
        return None
    baseline = d.read.boolean(d.given.get("baseline"))
    lets = tuple((entry.name.text, entry.value) for entry in d.block.entries if isinstance(entry, tree.Let))
    return Recipe.model_construct(
        **d.common(),
        modality=modality,
        gives=d.given["gives"],
        family=d.choice("family", FAMILIES, "optimization"),
        baseline=baseline,
        lets=lets,
        result=d.given["result"],
    )


def _defense(d: _Declarer) -> DefenseDeclaration:
    acts: Any = d.choice("acts", get_args(DefenseDeclaration.model_fields["acts"].annotation), "nothing")
    return DefenseDeclaration.model_construct(
        **d.common(),
        acts=acts,
        hides=d.names("hides"),
        limits=d.read.table(d.given.get("limits")),
        transforms=d.names("transforms"),
        python=d.read.text(d.given.get("python")),
        version=d.read.integer(d.given.get("version"), 1),
        random=d.read.boolean(d.given.get("random")),
        modality=d.read.name(d.given.get("modality")),
    )


def _metric(d: _Declarer) -> Metric | None:
    sort: Any = d.header()
    if sort not in SORTS:
        span = d.block.type.span if d.block.type else d.block.head
        d.read.found.append(
            error("E0240", "a metric measures leakage, utility or cost", span).help(
                did_you_mean(sort, SORTS) if sort else f"write `metric {d.block.name} : leakage {{ … }}`"
            )
        )
        return None
    higher: Any = d.choice("higher", ("worse", "better"), "worse")
    return Metric.model_construct(
        **d.common(),
        sort=sort,
        measures=d.names("measures"),
        higher=higher,
        unit=d.read.name(d.given.get("unit")),
        fields=d.names("fields"),
        modality=d.read.name(d.given.get("modality")),
        python=d.read.text(d.given.get("python")),
        version=d.read.integer(d.given.get("version"), 1),
        random=d.read.boolean(d.given.get("random")),
    )


DECLARERS: dict[str, Callable[[_Declarer], Declaration | None]] = {
    "kind": _kind,
    "observable": _observable,
    "access": _access,
    "extent": _extent,
    "item": _item,
    "operator": _operator,
    "recipe": _recipe,
    "defense": _defense,
    "metric": _metric,
}


def declare(
    block: tree.Block, module: str, artefact: Callable[[str], bool]
) -> tuple[Declaration | None, list[Diagnostic]]:
    """Read one library block of the right shape.

    Args:
        block: the block; `schema.check_shape` has found nothing wrong with it.
        module: the name of the module that it stands in.
        artefact: whether values of a kind are artefacts, so that what returns them is a step.
    """
    declarer = _Declarer(block, module, artefact)
    named = declarer.names_once(HANDED if block.kind.text == "recipe" else ())
    declaration = DECLARERS[block.kind.text](declarer)
    return declaration if named else None, declarer.read.found
