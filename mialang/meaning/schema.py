"""Which blocks there are, and what may stand in them. The grammar knows nothing of this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mialang.diagnostics import Diagnostic, closest, error, listed
from mialang.meaning.words import article, enumerated
from mialang.syntax import tree


@dataclass(frozen=True)
class BlockSchema:
    """The shape of one sort of block.

    Attributes:
        about: what the block is, for messages and the manual.
        named: whether it has a name: `yes`, `no`, or `title` (a quoted text).
        typed: whether a type follows: `yes` or `no`.
        required: attributes that must be given.
        optional: attributes that may be given.
        open: whether other attributes are allowed too (they are parameters of the type, or free names).
        params: whether it holds `param` entries.
        lets: whether it holds `let` entries.
        verbs: the rules it may hold.
        declares: whether it declares a word for others to use, rather than being part of one audit.
    """

    about: str
    named: str = "yes"
    typed: str = "no"
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open: bool = False
    params: bool = False
    lets: bool = False
    verbs: frozenset[str] = field(default_factory=frozenset)
    declares: bool = False

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attributes with a fixed name."""
        return self.required + self.optional


SPEC_BLOCKS: dict[str, BlockSchema] = {
    "data": BlockSchema("records, by the type that loads them", typed="yes", open=True),
    "target": BlockSchema("the model under audit", typed="yes", open=True),
    "judge": BlockSchema("an independent model that recognises what came back", typed="yes", open=True),
    "prior": BlockSchema("what the adversary was given", open=True, verbs=frozenset({"assert"})),
    "threat": BlockSchema(
        "who attacks which model, knowing what, seeing what, to recover what, past which defense",
        required=("target", "access", "extent"),
        optional=("prior", "defense"),
        verbs=frozenset({"assert"}),
    ),
    "matrix": BlockSchema("axes that vary", named="no", optional=("repeat", "skip"), open=True),
    "attack": BlockSchema("recipes run against a threat", required=("against", "use"), optional=("controls",)),
    "evaluate": BlockSchema("measurements by name", named="no", open=True),
    "budget": BlockSchema("what the audit may cost", named="no", optional=("time", "queries", "cost")),
    "gate": BlockSchema("what must hold", named="title", verbs=frozenset({"require", "warn", "control"})),
}

LIBRARY_BLOCKS: dict[str, BlockSchema] = {
    "kind": BlockSchema(
        "a kind of artefact or description", optional=("extends", "artefact", "algebra", "members"), declares=True
    ),
    "observable": BlockSchema(
        "something that can be seen of a model",
        optional=("from", "artefact", "records", "reveals", "decoy", "python", "version"),
        params=True,
        declares=True,
    ),
    "access": BlockSchema(
        "a named grant of access", optional=("sees", "holds", "queries", "knows", "acts"), params=True, declares=True
    ),
    "extent": BlockSchema("an extent of recovery", optional=("weaker", "modality"), params=True, declares=True),
    "item": BlockSchema("an item of prior knowledge", required=("kind",), optional=("nature", "modality"), declares=True),
    "operator": BlockSchema(
        "a step or a term",
        typed="yes",
        required=("python",),
        optional=(
            "modality", "differentiates", "queries", "outputs", "size", "labels", "seconds", "random", "secret",
            "answers", "decoy", "fixed_by", "needs", "served", "same_kind_as", "version",
        ),
        params=True,
        declares=True,
    ),
    "recipe": BlockSchema(
        "an attack composed of operators",
        typed="yes",
        required=("gives", "family", "result"),
        optional=("baseline",),
        params=True,
        lets=True,
        declares=True,
    ),
    "defense": BlockSchema(
        "a defense",
        optional=("acts", "hides", "limits", "transforms", "python", "version", "random", "modality"),
        params=True,
        declares=True,
    ),
    "metric": BlockSchema(
        "a measurement",
        typed="yes",
        required=("higher", "python"),
        optional=("measures", "unit", "fields", "modality", "version", "random"),
        params=True,
        declares=True,
    ),
}  # fmt: skip

BLOCKS = SPEC_BLOCKS | LIBRARY_BLOCKS


def check_shape(block: tree.Block) -> list[Diagnostic]:
    """Findings about the shape of one block: its name, type, attributes and entries."""
    schema = BLOCKS.get(block.kind.text)
    if schema is None:
        title = f"there is no block called `{block.kind.text}`"
        near = closest(block.kind.text, BLOCKS)
        help_ = f"did you mean `{near[0]}`?" if near else "the blocks of a spec are " + listed(SPEC_BLOCKS)
        return [error("E0220", title, block.kind.span).help(help_)]
    return [*_head(block, schema), *_attributes(block, schema), *_entries(block, schema)]


def _head(block: tree.Block, schema: BlockSchema) -> Iterable[Diagnostic]:
    kind = block.kind.text
    if schema.named == "no" and block.label is not None:
        yield error("E0221", f"`{kind}` has no name", block.label.span, "a name is given here").help(
            f"write `{kind} {{ … }}`"
        )
    if schema.named == "yes" and not isinstance(block.label, tree.Name):
        span = block.label.span if block.label else block.kind.span
        shape = f"{kind} NAME : TYPE" if schema.typed == "yes" else f"{kind} NAME"
        yield error("E0221", f"{a_block(kind)} needs a name", span).help(
            f"write `{shape} {{ … }}`; a name is a bare word"
        )
    if schema.named == "title" and block.label is None:
        yield error("E0221", f"{a_block(kind)} needs a title", block.kind.span).help(
            f'write `{kind} "what it stands for" {{ … }}`'
        )
    if schema.typed == "yes" and block.type is None:
        yield error("E0221", f"{a_block(kind)} needs a type", block.head).help(
            f"write `{kind} {block.name or 'NAME'} : TYPE {{ … }}`"
        )
    if schema.typed == "no" and block.type is not None:
        yield error("E0221", f"{a_block(kind)} has no type", block.type.span, "a type is given here").help(
            f"write `{kind} {block.name or 'NAME'} {{ … }}`"
        )


def _attributes(block: tree.Block, schema: BlockSchema) -> Iterable[Diagnostic]:
    seen: dict[str, tree.Attribute] = {}
    for attribute in block.attributes():
        name = attribute.name.text
        if name in seen:
            yield (
                error("E0205", f"`{name}` is given twice", attribute.name.span, "again here")
                .also(seen[name].name.span, "first here")
                .help("keep one of them")
            )
        seen.setdefault(name, attribute)
        if not schema.open and name not in schema.attributes:
            yield unknown_key(attribute.name, block, schema)
    meant = {near for name in seen if name not in schema.attributes for near in closest(name, schema.attributes)}
    missing = [name for name in schema.required if name not in seen and (schema.open or name not in meant)]
    if missing:
        title = f"{_this(block)} lacks {enumerated(missing)}"
        yield error("E0204", title, block.head).help("add " + ", ".join(f"`{name} = …`" for name in missing))


def unknown_key(name: tree.Name, block: tree.Block, schema: BlockSchema) -> Diagnostic:
    """The finding for a key that does not belong where it stands."""
    finding = error("E0203", f"{a_block(block.kind.text)} has no `{name.text}`", name.span, "unknown here")
    near = closest(name.text, schema.attributes)
    holds = [f"`{attribute}`" for attribute in schema.attributes] + [f"`{verb} …`" for verb in sorted(schema.verbs)]
    return finding.help(f"did you mean `{near[0]}`?" if near else "it holds " + ", ".join(holds))


def a_block(kind: str) -> str:
    """A sort of block with its article."""
    return f"{article(kind)} `{kind}`"


def _this(block: tree.Block) -> str:
    return f"`{block.kind.text} {block.name}`" if block.name else f"this `{block.kind.text}`"


def block_of(verb: str) -> str:
    """The sort of block that a rule belongs in."""
    return next((name for name, schema in BLOCKS.items() if verb in schema.verbs), "gate")


def _entries(block: tree.Block, schema: BlockSchema) -> Iterable[Diagnostic]:
    kind = block.kind.text
    for entry in block.entries:
        match entry:
            case tree.Param() if not schema.params:
                yield error("E0222", f"{a_block(kind)} holds no parameters", entry.span).help(
                    "put `param` at the top of the file; `--set name=value` overrides it"
                )
            case tree.Let() if not schema.lets:
                yield error("E0222", f"{a_block(kind)} holds no `let`", entry.span).help(
                    "put `let` at the top of the file"
                )
            case tree.Rule() if entry.verb not in schema.verbs:
                yield error("E0222", f"`{entry.verb}` does not belong in {a_block(kind)}", entry.span).help(
                    f"move it into a `{block_of(entry.verb)}`"
                )
            case tree.Block():
                yield error("E0222", "blocks do not nest", entry.head, f"inside {a_block(kind)}").help(
                    "move it to the top of the file and refer to it by name"
                )
