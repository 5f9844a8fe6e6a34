"""What the prose shows works: specs check clean, operators run, findings are quoted word for word, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from mialang.diagnostics.render import as_text
from mialang.meaning.check import check
from mialang.plan import lower
from mialang.source import Source
from mialang.syntax.format import format_text
from tests.command import mialang
from tests.operators.stand_in import StandIn, corners, run
from tests.specs import PARTS, spec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROSE = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<to>[^)#\s]+)[^)]*\)|!\[[^\]]*\]\((?P<picture>[^)\s]+)\)")
COMMAND = re.compile(
    r"^\$ mialang (?P<name>\w+)(?P<rest>.*?)(?: {2,}#.*)?$|`mialang (?P<quoted>\w+)(?P<more>[^`]*)`", re.MULTILINE
)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a page."""
    return [
        found["text"] for found in FENCED.finditer(path.read_text(encoding="utf-8")) if found["language"] == language
    ]


def errors(text: str, path: Path | None = None) -> list[str]:
    return [as_text(finding) for finding in check(Source("audit.mia", text), path)[1] if finding.is_error]


# -- README ------------------------------------------------------------------------------------------------------------


def test_the_spec_of_the_readme_is_sound_and_laid_out() -> None:
    (text,) = blocks(ROOT / "README.md", "mia")
    audit, found = check(Source("audit.mia", text))
    assert [as_text(finding) for finding in found] == []
    assert audit is not None
    assert lower(audit).gates
    assert format_text(text) == text


def test_what_the_readme_shows_of_the_quickstart_stands_in_it() -> None:
    (text,) = blocks(ROOT / "README.md", "mia")
    whole = " ".join((ROOT / "specs" / "quickstart.mia").read_text(encoding="utf-8").split())
    for block in ("data secret", "data public", "data unseen", "threat insider", "gate"):
        start = text.index(f"\n{block}") + 1
        shown = text[start:].partition("\n}\n" if text[start:].partition("\n")[0].endswith("{") else "\n")[0]
        lines = [line for line in map(str.strip, shown.splitlines()) if line]
        assert all(" ".join(line.split()) in whole for line in lines), block


# -- the tour ----------------------------------------------------------------------------------------------------------


def tour() -> list[str]:
    return blocks(DOCS / "tour.md", "mia")


def test_the_tour_adds_up_to_a_sound_audit() -> None:
    text = "\n".join(tour())
    defended = re.sub(r"(  extent = prototype\(per = class\)\n)(?=\})", r"\1  defense = matrix.defense\n", text)
    assert defended.count("defense = matrix.defense") == 2
    audit, found = check(Source("audit.mia", defended))
    assert [as_text(finding) for finding in found if finding.is_error] == []
    assert [finding.code for finding in found] == ["W0308"], "the tour says that `check` warns of rounding"
    assert audit is not None
    assert len(list(audit.matrix.cells())) == 3


def test_the_tour_quotes_what_check_says() -> None:
    said = next(text for text in blocks(DOCS / "tour.md", "text") if text.startswith("error["))
    text = re.sub(r"use     = \[BREPMI\(.*\)\]", "use     = [GMI]", "\n".join(tour()[:3]))
    assert said.rstrip("\n") in [error.rstrip() for error in errors(text)]


# -- an attack without Python ------------------------------------------------------------------------------------------


def test_an_attack_without_python_is_one(tmp_path: Path) -> None:
    page, use = blocks(DOCS / "attack-without-python.md", "mia")
    (tmp_path / "my_attacks.mia").write_text(page)
    assert format_text(page) == page
    assert mialang("check", "my_attacks.mia", folder=tmp_path).out == "my_attacks.mia: no findings\n"
    head, _, attack = use.partition("\n\n")
    audit = tmp_path / "audit.mia"
    audit.write_text(spec(imports=PARTS["imports"] + head, attack=attack))
    said = mialang("check", "audit.mia", folder=tmp_path)
    assert said.out == "audit.mia: no findings\n"
    for words in ("input gradients", "logits", "scores"):
        assert f"needs {words}" in mialang("plan", "audit.mia", folder=tmp_path).out


def test_the_table_of_things_to_reach_for_is_of_things_that_exist() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| (.+) \|$", (DOCS / "attack-without-python.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    written = [found for row in rows for found in re.findall(r"`((?:mean|let|wgan_gp)\b[^`]*)`", row)]
    assert len(written) >= 3
    lines = [each if each.startswith("let ") else f"let v{place} = {each}" for place, each in enumerate(written)]
    body = "\n  ".join(lines).replace("student]", "twin]")
    recipe = f'''
import std.attack {{ GMI }}
recipe Mine : attack.image {{
  """Mine. Nobody, arXiv:0000.00000. Fidelity: none."""
  gives  = prototype(per = class)
  family = optimization
  let twin = distill(target, about = prior.images, into = image.cnn())
  {body}
  result = best(base, per = class, by = confidence(target))
}}
'''
    assert errors("mia 1\nimport std.image\n" + recipe) == []


# -- an operator -------------------------------------------------------------------------------------------------------


def test_the_term_of_the_operator_page_computes() -> None:
    (code,) = blocks(DOCS / "add-an-operator.md", "python")
    space: dict[str, object] = {}
    prelude = (
        "from dataclasses import dataclass\nimport torch\nfrom mialang.operators.algebra import Objective, Point\n"
        "from mialang.operators.handles import Handle\n"
    )
    exec(prelude + code, space)
    from mialang.operators.algebra import Point

    term = space["entropy"](of=StandIn(corners()))  # type: ignore[operator]
    x = torch.zeros(2, 4)
    x[1, 0] = 2.0
    entropy = term(Point(x, x, None, run().generator))
    assert entropy.shape == (2,)
    assert entropy[1] < entropy[0]
    torch.testing.assert_close(entropy[0], torch.tensor(3.0).log())
    assert term.formula() == "entropy(target)"


def test_the_declarations_of_the_operator_page_are_sound() -> None:
    for block in blocks(DOCS / "add-an-operator.md", "mia"):
        assert errors("mia 1\n\n" + block) == []
        assert format_text(block) == block


# -- all of it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PROSE, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(page.read_text(encoding="utf-8")):
        to = found["to"] or found["picture"]
        if not to.startswith(("https://", "http://", "mailto:")):
            assert (page.parent / to).exists(), f"{page.name} links to {to}"


@pytest.mark.parametrize("page", PROSE, ids=lambda path: path.name)
def test_every_command_that_prose_names_exists_with_its_options(page: Path, tmp_path: Path) -> None:
    known = re.findall(r"^ {2}(\w+) {2,}\S", mialang("--help", folder=tmp_path).out, re.MULTILINE)
    for found in COMMAND.finditer(page.read_text(encoding="utf-8")):
        name = found["name"] or found["quoted"]
        assert name in known, f"{page.name} names `mialang {name}`"
        said = mialang(name, "--help", folder=tmp_path).out
        for option in re.findall(r"--[a-z]+", found["rest"] or found["more"] or ""):
            assert option in said, f"{page.name} names `mialang {name} {option}`"


def test_every_page_of_the_documentation_is_listed() -> None:
    listed = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in listed, page.name


def test_the_picture_of_the_report_is_light_enough_for_a_page() -> None:
    assert 10_000 < (DOCS / "pictures" / "report.png").stat().st_size < 400_000
