"""Good specs: together they say everything that can be said, and nothing is found in any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mialang.meaning.audit import VIEWS, Audit
from mialang.meaning.check import check
from mialang.meaning.judgement.gating import ENOUGH_REPEATS
from mialang.meaning.schema import BLOCKS, LIBRARY_BLOCKS
from mialang.meaning.units import UNITS
from mialang.source import Source
from mialang.syntax import parse, tree
from tests.command import mialang

FOLDER = Path(__file__).parent / "good"


def _audit(path: Path) -> Audit:
    audit, _ = check(Source.read(path), path)
    assert audit is not None
    return audit


def _hurries(path: Path) -> bool:
    """Whether a spec is made to be run by a test: too few repeats to say anything, which is rightly doubted."""
    return 1 < _audit(path).matrix.repeat < ENOUGH_REPEATS


SPECS = [path for path in sorted(FOLDER.rglob("*.mia")) if not _hurries(path)]


def _parsed(path: Path) -> tree.File:
    file, _ = parse(Source.read(path))
    assert file is not None
    return file


each_spec = pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(FOLDER)))


@each_spec
def test_nothing_is_found_in_a_good_spec(path: Path) -> None:
    answer = mialang("check", path.name, folder=path.parent)
    assert answer.screen == f"{path.name}: no findings\n"
    assert answer.code == 0


@each_spec
def test_a_good_spec_is_laid_out(path: Path) -> None:
    answer = mialang("fmt", "--check", path, folder=FOLDER)
    assert answer.screen == ""
    assert answer.code == 0


@pytest.mark.parametrize("path", [path for path in SPECS if not _audit(path).is_library], ids=lambda path: path.stem)
def test_a_good_spec_becomes_a_plan_without_a_leak(path: Path, tmp_path: Path) -> None:
    answer = mialang("plan", path, "-o", "plan.json", folder=tmp_path)
    assert answer.err == ""
    assert answer.code == 0
    assert (tmp_path / "plan.json").stat().st_size > 0


NODES = [node for path in SPECS for node in tree.walk(_parsed(path))]


def test_every_sort_of_block_is_there() -> None:
    assert {node.kind.text for node in NODES if isinstance(node, tree.Block)} == BLOCKS.keys()


def test_every_key_of_every_block_is_there() -> None:
    written: dict[str, set[str]] = {kind: set() for kind in BLOCKS}
    for node in NODES:
        if isinstance(node, tree.Block):
            written[node.kind.text] |= {attribute.name.text for attribute in node.attributes()}
    lacking = {
        f"{kind}.{name}"
        for kind, schema in BLOCKS.items()
        if kind not in LIBRARY_BLOCKS
        for name in set(schema.attributes) - written[kind]
    }
    assert lacking == set()


def test_every_piece_of_the_language_is_there() -> None:
    sorts = {sort for sort in vars(tree).values() if isinstance(sort, type) and issubclass(sort, tree.Node)}
    concrete = {sort for sort in sorts if not sort.__subclasses__()}
    assert {sort.__name__ for sort in concrete - {type(node) for node in NODES}} == set()


def test_every_rule_sign_and_word_is_there() -> None:
    assert {node.verb for node in NODES if isinstance(node, tree.Rule)} == {"assert", "require", "warn", "control"}
    signs = {node.operator for node in NODES if isinstance(node, tree.Binary | tree.Compare | tree.Logic)}
    assert signs >= {"+", "-", "*", "/", "==", "!=", "<=", ">=", "<", ">", "and", "or"}
    assert {node.name.text for node in NODES if isinstance(node, tree.Member)} >= {*VIEWS, "at"}


def test_every_unit_is_there() -> None:
    assert {node.unit for node in NODES if isinstance(node, tree.Quantity)} == UNITS.keys()
