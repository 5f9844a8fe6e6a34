"""The pages about findings are manual and test at once: what they quote is what the program says, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mialang
from mialang.source import Source
from mialang.syntax import parse
from mialang.syntax.format import format_text
from tests.command import mialang as command
from tests.docs.pages import FOLDER, PAGES, Page, answer, on_screen, read

CODE = re.compile(r"\b[EW]\d{4}\b")
SENTENCE = re.compile(r"[.!?:](?=\s|$)")
REFRESH = "look at it as a reader, then run `python -m tests.docs.refresh`"

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def codes_in_the_source() -> set[str]:
    root = Path(mialang.__file__).parent
    return {code for path in root.rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES} == codes_in_the_source()
    assert {path.suffix for path in FOLDER.iterdir()} == {".md"}


@each_page
def test_a_page_quotes_the_program_word_for_word(path: Path) -> None:
    page = read(path)
    assert page.code == path.stem
    said = answer(page.command, page.files)
    assert on_screen(said.screen) == page.said, REFRESH
    assert f"[{page.code}]: " in page.said
    assert set(CODE.findall(page.said)) == {page.code}, "a page is about one finding"
    if page.code.startswith("E"):
        assert said.code in (2, 4)
    else:
        assert said.code == 0


@each_page
def test_the_way_out_leads_out(path: Path) -> None:
    page = read(path)
    if not page.changes:
        assert page.prose.rstrip().endswith("."), "without a change the page ends with the next step"
        return
    said = answer(page.command, page.mended)
    assert page.code not in said.screen
    assert "error" not in said.screen
    assert said.code == 0
    for name, text in page.mended.items():
        assert format_text(text.decode()) == text.decode(), f"{name} of the mended audit is not laid out"


@each_page
def test_a_page_is_prose_for_a_reader(path: Path) -> None:
    page = read(path)
    _, first, *_ = page.prose.split("\n\n")
    assert len(SENTENCE.findall(first)) >= 2, "what it means and why it matters takes two sentences"
    assert not page.title.endswith(".")
    for name, text in page.files.items():
        if name.endswith(".mia") and page.code >= "E0200" and parse(Source(name, text.decode()))[0] is not None:
            assert format_text(text.decode()) == text.decode(), f"{name} is not laid out"


def quoted(page: Page) -> str:
    return page.path.read_text(encoding="utf-8").rstrip()


def test_explain_shows_the_page(tmp_path: Path) -> None:
    page = read(PAGES[0])
    for written in (page.code, page.code.lower(), f"[{page.code}]"):
        said = command("explain", written, folder=tmp_path)
        assert said.code == 0
        assert said.out.rstrip() == quoted(page)


def test_explain_without_a_code_lists_all(tmp_path: Path) -> None:
    said = command("explain", folder=tmp_path)
    assert said.out.splitlines() == [f"{page.code}: {page.title}" for page in map(read, PAGES)]


def test_explain_answers_a_slip_with_the_nearest_code(tmp_path: Path) -> None:
    said = command("explain", "E301", folder=tmp_path)
    assert said.code == 2
    assert "did you mean `E0301`?" in said.err
    said = command("explain", "E0399", folder=tmp_path)
    assert said.code == 2
    assert "`E0301`, " in said.err
    assert "`E0201`" not in said.err
    said = command("explain", "nonsense", folder=tmp_path)
    assert said.code == 2
    assert "`mialang explain` lists all findings" in said.err
