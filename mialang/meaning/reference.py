"""The reference manual, written from the declarations: `python -m mialang.meaning.reference docs/reference`."""

from __future__ import annotations

import sys
from pathlib import Path

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
from mialang.meaning.everything import standard_declarations
from mialang.meaning.fits import candidate_of
from mialang.meaning.recipes import holes_for
from mialang.meaning.registry import Registry
from mialang.meaning.schema import BLOCKS


def pages() -> dict[str, str]:
    """The pages of the manual by file name."""
    declared, registry = standard_declarations()
    made = {"blocks.md": _blocks()}
    for module, declarations in declared.items():
        made[f"{module}.md"] = _module(module, declarations, registry)
    index = [
        "# Reference",
        "",
        "Written from the declarations in `stdlib/`; do not edit by hand.",
        "",
        "- [Blocks](blocks.md)",
    ]
    index += [f"- [`{name.removesuffix('.md')}`]({name})" for name in sorted(made) if name != "blocks.md"]
    made["index.md"] = "\n".join(index) + "\n"
    return made


def _blocks() -> str:
    lines = ["# Blocks", ""]
    for name, shape in BLOCKS.items():
        lines += [f"## `{name}`", "", f"{shape.about[0].upper()}{shape.about[1:]}.", ""]
        head = (
            name
            + {"yes": " NAME", "no": "", "title": ' "TITLE"'}[shape.named]
            + (" : TYPE" if shape.typed == "yes" else "")
        )
        lines += ["```", f"{head} {{ … }}", "```", ""]
        if shape.required:
            lines.append(f"Needs {_words(shape.required)}.")
        if shape.optional:
            lines.append(f"May have {_words(shape.optional)}.")
        if shape.open:
            lines.append("Other entries are parameters of its type, or names of its own.")
        if shape.verbs:
            lines.append(f"Holds rules: {_words(sorted(shape.verbs))}.")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _words(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


def _module(module: str, declarations: list[Declaration], registry: Registry) -> str:
    lines = [f"# `{module}`", ""]
    for declaration in sorted(declarations, key=lambda each: each.name.casefold()):
        lines += [f"## `{declaration.name}`", "", f"*{_noun(declaration)}*", "", declaration.doc, ""]
        lines += _parameters(declaration.parameters)
        lines += [f"- {fact}" for fact in _facts(declaration, registry)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _noun(declaration: Declaration) -> str:
    match declaration:
        case Operator():
            return f"{'step' if declaration.is_step else 'term'} that returns {declaration.returns.replace('_', ' ')}"
        case Recipe():
            return f"{'baseline' if declaration.baseline else 'attack'} on {declaration.modality} models"
        case Metric():
            return f"metric of {declaration.sort}"
    return declaration.noun


def _parameters(parameters: tuple[Parameter, ...]) -> list[str]:
    if not parameters:
        return []
    lines = ["| parameter | type | default | asks the target for |", "|---|---|---|---|"]
    for each in parameters:
        default = (
            f"`{each.default.span.text}`"
            if each.default is not None
            else ("absent" if each.type.optional else "required")
        )
        lines.append(f"| `{each.name}` | `{each.type}` | {default} | {_words(each.sees)} |")
    return [*lines, ""]


def _facts(declaration: Declaration, registry: Registry) -> list[str]:
    match declaration:
        case Operator():
            return _operator_facts(declaration)
        case Recipe():
            candidate = candidate_of(holes_for(declaration), registry)
            assert candidate is not None
            sights = registry.sights.order.strongest(candidate.needs.access.sees)
            needed = [*sorted(sights), *sorted(f"held.{name}" for name in candidate.needs.access.holds)]
            items = sorted(f"prior.{name}" for name in candidate.needs.items)
            facts = [f"family: {declaration.family}", f"gives: `{declaration.gives.span.text}`"]
            facts.append(f"needs (inferred): {_words([*needed, *items]) or 'nothing'}")
            return facts
        case DefenseDeclaration():
            facts = [f"acts on: {declaration.acts}"]
            facts += [f"changes: {_words(declaration.transforms)}"] if declaration.transforms else []
            return facts + ([f"hides: {_words(declaration.hides)}"] if declaration.hides else [])
        case Metric():
            facts = [f"higher is {declaration.higher}", f"unit: {declaration.unit or 'none'}"]
            facts += [f"measures: {_words(declaration.measures)}"] if declaration.measures else []
            return facts + ([f"parts: {_words(declaration.fields)}"] if declaration.fields else [])
        case ObservableDeclaration():
            facts = [f"follows from: {_words(declaration.sources)}"] if declaration.sources else []
            facts += [f"holds answers of: {_words([declaration.records])}"] if declaration.records else []
            facts += ["reveals records, which leave every metric's universe"] if declaration.reveals else []
            return [*facts, f"decoy: {declaration.decoy}"]
        case ExtentDeclaration():
            return [f"next weaker: {_words(declaration.weaker)}"] if declaration.weaker else []
        case AccessDeclaration():
            return [f"{name}: `{node.span.text}`" for name, node in declaration.parts.items()]
        case ItemDeclaration():
            return [f"kind: {declaration.kind}", f"nature: {declaration.nature}"]
        case Kind():
            facts = [f"a special {declaration.parent}"] if declaration.parent else []
            facts += [
                "artefact: made by steps, kept in the store"
                if declaration.artefact
                else "description: written into a step"
            ]
            return facts + ([f"members: {_words(declaration.members)}"] if declaration.members else [])
    return []


def _operator_facts(declaration: Operator) -> list[str]:
    facts = []
    if declaration.modality:
        facts.append(f"modality: {declaration.modality}")
    if declaration.differentiates:
        facts.append(f"differentiates: {_words(declaration.differentiates)}")
    if declaration.secret:
        facts.append(f"secret: {_words(declaration.secret)}")
    if declaration.answers:
        facts.append(f"answers: {_words(declaration.answers)}")
    for name in ("queries", "outputs", "size"):
        node = getattr(declaration, name)
        if node is not None:
            facts.append(f"{name}, at most: `{node.span.text}`")
    if declaration.is_step:
        facts.append("draws: repeats differ" if declaration.random else "draws nothing: shared by all repeats")
    return [*facts, f"Python: `{declaration.python}`"]


def write(folder: Path) -> None:
    """Write the manual into a folder; pages that nothing declares any more are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
