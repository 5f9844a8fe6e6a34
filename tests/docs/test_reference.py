"""The reference manual is current, and the schema covers every declared word."""

from __future__ import annotations

from pathlib import Path

from mialang.meaning.everything import standard_declarations
from mialang.meaning.reference import pages
from mialang.meaning.schema_export import language_schema

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_manual_is_what_the_declarations_say() -> None:
    made = pages()
    assert {path.name for path in REFERENCE.glob("*.md")} == set(made)
    for name, text in made.items():
        assert (REFERENCE / name).read_text() == text, "run `python -m mialang.meaning.reference docs/reference`"


def test_the_schema_holds_every_declaration_with_its_parameters() -> None:
    schema = language_schema()["declarations"]
    declared, _ = standard_declarations()
    for declarations in declared.values():
        for declaration in declarations:
            entry = schema[declaration.identity]
            assert set(entry["properties"]) == set(declaration.by_name)
            assert set(entry["required"]) <= set(entry["properties"])
