"""The language as JSON Schema: blocks with their attributes, and every declared word with its parameters."""

from __future__ import annotations

from typing import Any

from mialang.meaning.declarations import Declaration, Operator, Parameter
from mialang.meaning.everything import standard_declarations
from mialang.meaning.literals import plain
from mialang.meaning.schema import BLOCKS
from mialang.meaning.types import Type

Json = Any
PLAIN = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "string": "string",
    "path": "string",
    "variable": "string",
    "url": "string",
    "template": "string",
    "answer_path": "string",
    "table": "object",
}
UNITS = {
    "share": "a share: `5 %`, or a number from 0 to 1", "seconds": "a time: `20 min`", "queries": "`5_000 queries`",
    "tokens": "`32 tokens`", "usd": "`20 usd`", "bytes": "`500 MB`",
}  # fmt: skip


def type_schema(type_: Type) -> dict[str, Json]:
    """A type as JSON Schema; artefacts and descriptions are given by the kind that they are of."""
    made: dict[str, Json]
    if type_.name == "one_of":
        return {"enum": list(type_.options)}
    if type_.name in ("list", "set"):
        made = {"type": "array", "items": type_schema(type_.item), "uniqueItems": type_.name == "set"}
        return made if type_.low is None else {**made, "minItems": type_.low}
    if type_.optional:
        return {"anyOf": [type_schema(type_.item), {"type": "null"}]}
    if type_.name in PLAIN:
        made = {"type": PLAIN[type_.name]}
    elif type_.name in UNITS:
        made = {"type": "number", "description": UNITS[type_.name]}
    else:
        made = {"kind": type_.name}
    if type_.low is not None:
        made["minimum"] = type_.low
    if type_.high is not None:
        made["maximum"] = type_.high
    return made


def _parameter(parameter: Parameter) -> dict[str, Json]:
    made = {**type_schema(parameter.type), "mialang": str(parameter.type)}
    default = plain(parameter.default) if parameter.default is not None else None
    if default is not None:
        made["default"] = default
    if parameter.sees:
        made["sees"] = list(parameter.sees)
    return made


def _declaration(declaration: Declaration) -> dict[str, Json]:
    made: dict[str, Json] = {
        "title": declaration.name,
        "description": declaration.doc,
        "noun": declaration.noun,
        "module": declaration.module,
        "type": "object",
        "properties": {parameter.name: _parameter(parameter) for parameter in declaration.parameters},
        "required": [parameter.name for parameter in declaration.parameters if parameter.required],
        "additionalProperties": False,
    }
    if isinstance(declaration, Operator):
        made["returns"] = declaration.returns
    return made


def language_schema() -> dict[str, Json]:
    """The whole language: block shapes and declared words."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "blocks": {
            name: {
                "description": shape.about,
                "named": shape.named,
                "typed": shape.typed,
                "required": list(shape.required),
                "optional": list(shape.optional),
                "open": shape.open,
                "rules": sorted(shape.verbs),
            }
            for name, shape in BLOCKS.items()
        },
        "declarations": {
            declaration.identity: _declaration(declaration)
            for declarations in standard_declarations()[0].values()
            for declaration in declarations
        },
    }
