"""The page: self-contained, well formed, honest about what is missing, and silent about what is private."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mialang.report.page import as_page
from mialang.report.sections import reconstructions
from tests.report.audits import GMI, SPEC, THREAT, UTILITY, Audit, audit, limit

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
HOSTILE = '<script>alert("x")</script> & \' " `</code>`'


class Page(HTMLParser):
    """Reads a page: balance of tags, ids, links, tables, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    return [Image.open(BytesIO(base64.b64decode(each))) for each in found]


@pytest.fixture
def made(tmp_path: Path) -> Audit:
    return audit(tmp_path)


@pytest.fixture
def page(made: Audit) -> str:
    return as_page(made.record())


def test_the_page_is_well_formed(page: str) -> None:
    read = Page(page)
    assert not read.problems
    assert not read.open
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in read.all("a"):
        assert link["href"].removeprefix("#") in ids


def test_the_page_is_self_contained(made: Audit) -> None:
    for reveal in (False, True):
        page = as_page(made.record(), reveal=reveal)
        assert "http:" not in page
        assert "https:" not in page
        assert not re.search(r"<(script|iframe|object|embed|link|form|base)\b", page)
        assert not re.search(r"\bon\w+=", page)
        assert all(image["src"].startswith("data:image/png;base64,") for image in Page(page).all("img"))
        assert "url(" not in page
        assert "@import" not in page
        assert "default-src 'none'" in page


def test_the_page_is_accessible(page: str) -> None:
    read = Page(page)
    assert all(image.get("alt") for image in read.all("img"))
    assert all("scope" in head for head in read.all("th"))
    assert len(read.all("caption")) + sum("aria-label" in each for each in read.all("ol")) >= len(read.all("table"))
    assert all(
        chart.get("aria-hidden") == "true" or chart.get("aria-label") for chart in read.all("svg") if "role" in chart
    )
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


# -- the verdict ---------------------------------------------------------------------------------------------------


def test_every_status_has_its_word(page: str) -> None:
    text = Page(page).text
    for word in ("pass", "fail", "inconclusive", "error", "not evaluated"):
        assert re.search(rf'class="chip [a-z]+"><span class="sign" aria-hidden="true">.</span> {word}</span>', page), (
            word
        )
    assert "Of 4 gates, 1 holds, 1 fails, 1 is inconclusive, 1 could not be judged." in text
    assert "an attack that fails proves nothing" in text


def test_a_failed_step_is_told_with_its_way_out(page: str) -> None:
    text = Page(page).text
    assert "the metric broke" in text
    assert "a note" in text
    assert "a help" in text


def test_the_headline_names_cell_attack_bound_and_limit(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.gates = []
    made.gate("closed", limit("<=", 0.2, confidence=0.95, cells=(0,)))
    text = Page(as_page(made.record())).text
    assert "The gate “closed” fails." in text
    assert re.search(r"66\.7 % \(bound 99\.\d %\) where 20\.0 % is the limit", text)


@pytest.mark.parametrize(
    ("rule", "word"),
    [(limit("<=", 0.9), "Pass"), (limit("<=", 0.1), "Fail"), (limit("<=", 0.95, confidence=0.95), "Inconclusive"),
     (limit(">=", 0.1, read="retrieval", view=""), "Error")],
)  # fmt: skip
def test_the_whole_verdict_stands_first(tmp_path: Path, rule: Any, word: str) -> None:
    made = audit(tmp_path)
    made.gates = []
    if word != "Error":
        made.outcome["failures"] = {}
    made.gate("gate", rule)
    assert re.search(rf'<p class="big">.*</span> {word}</p>', as_page(made.record()))


def test_a_spec_without_gates_passes_nothing(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.gates, made.outcome["failures"] = [], {}
    page = as_page(made.record())
    assert "No gate</p>" in page
    assert "nothing was judged" in page


# -- figures -------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named_with_its_reason(page: str) -> None:
    text = Page(page).text
    assert "not evaluated does not apply behind hidden(weights): it needs weights" in text
    assert "not available there is no decoy for weights" in text
    assert "failed the metric broke" in text
    assert "2 of 6 units without output" in text


def test_a_missing_figure_is_never_a_number(tmp_path: Path) -> None:
    made = Audit(tmp_path)
    made.measurements = [UTILITY]
    for repeat in range(2):
        made.read("utility", {"defense": 0}, repeat, None)
    page = as_page(made.record())
    body = page[page.index('id="measured-utility"') : page.index('id="reconstructions"')]
    assert "failed" in body
    assert 'class="point"' not in body
    assert "hold mark" not in body


def test_figures_stand_beside_blind_baseline_and_gain(page: str) -> None:
    read = Page(page).text
    for word in ("83.3 %", "16.7 %", "66.7 %", "NearestPublic", "−7.0 points against none()"):
        assert word in read
    heads = ("attack", "value", "blind control", "gain", "best baseline", "over baseline", "repeats × outputs")
    assert " ".join(heads) in read


def test_a_single_repeat_has_no_bounds(tmp_path: Path) -> None:
    made = Audit(tmp_path, repeats=1)
    made.measurements = [UTILITY]
    made.read("utility", {"defense": 0}, 0, [0.5, 1.0])
    text = Page(as_page(made.record())).text
    assert "75.0 % no bounds: a single repeat" in text


def test_controls_that_are_off_are_said_to_be_off(made: Audit) -> None:
    made.changes = {"controls": False}
    assert "Controls are off" in as_page(made.record())


# -- what is private -----------------------------------------------------------------------------------------------


def private_pixels(made: Audit) -> set[bytes]:
    return {row.tobytes() for image in made.secret[:, 0] for row in image}


def test_hidden_means_absent(made: Audit, page: str) -> None:
    found = pictures(page)
    assert found
    for image in found:
        assert max(image.size) <= 4
        assert image.mode == "L"
        assert len(np.unique(np.asarray(image))) <= 8
        assert not image.info
    for name in made.names.values():
        assert name not in page
    assert "shown in full" not in page


def test_revealed_means_whole(made: Audit) -> None:
    page = as_page(made.record(), reveal=True)
    rows = {row.tobytes() for image in pictures(page) for row in np.asarray(image)}
    assert rows & private_pixels(made)
    assert {image.size for image in pictures(page)} == {(12, 12)}
    assert "Person 0" in page
    assert "shown in full" in page


def test_the_nearest_private_record_is_the_nearest(made: Audit) -> None:
    page = as_page(made.record(), reveal=True)
    near = [
        image["src"] for image in Page(page).all("img") if image["alt"].startswith("nearest private record of class 0")
    ]
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(near[0].partition(",")[2]))))
    assert np.array_equal(shown, made.secret[0, 0])  # the attack in the first cell returned this very record
    assert "Δ 0.00" in page


def test_kinds_without_a_picture_are_said_so(made: Audit) -> None:
    made.secret_kind = "scrolls"
    read = Page(as_page(made.record()))
    assert "Not shown: this report has no picture of artefacts of kind scrolls ." in read.text
    assert not read.all("img")


def test_only_one_table_knows_the_kinds_of_artefact() -> None:
    assert set(reconstructions.SHOWN) == {"graph", "images", "texts"}


# -- hostile input -------------------------------------------------------------------------------------------------


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    made = Audit(tmp_path, (HOSTILE, "b"))
    made.measurements = [UTILITY]
    made.names = dict.fromkeys(made.names, HOSTILE)
    made.attack("GMI", 0, [[1.0], [0.0]])
    for repeat in range(2):
        made.read("utility", {"defense": 0}, repeat, [0.5])
        made.read("utility", {"defense": 1}, repeat, None)
    made.fail("victim", HOSTILE, HOSTILE, HOSTILE)
    made.gate(HOSTILE, limit("<=", 0.4, read="utility", view="", because=HOSTILE))
    made.findings = (
        {
            "code": "W1",
            "severity": "warning",
            "title": HOSTILE,
            "at": {"line": 2},
            "notes": [HOSTILE],
            "helps": [HOSTILE],
        },
    )
    made.changes = {
        "spec": SPEC + HOSTILE,
        "doc": HOSTILE,
        "threats": (THREAT.model_copy(update={"prose": (HOSTILE,), "access": HOSTILE, "modality": HOSTILE}),),
        "attacks": (
            GMI.model_copy(
                update={"citation": HOSTILE, "fidelity": HOSTILE, "needs": (HOSTILE,), "formulas": (HOSTILE,)}
            ),
        ),
        "spec_name": f"{HOSTILE}.mia",
    }
    for reveal in (False, True):
        page = as_page(made.record(), reveal=reveal)
        read = Page(page)
        assert "<script" not in page
        assert not read.problems
        assert not read.open
        assert read.text.count("alert(") >= 10


# -- the rest ------------------------------------------------------------------------------------------------------


def test_the_spec_is_whole_and_numbered(page: str) -> None:
    start = page.index('<ol class="spec">')
    body = page[start : page.index("</ol>", start)]
    lines = [
        "".join(Page(line).words).removesuffix("\n") for line in re.findall(r"<li[^>]*><code>(.*?)</code></li>", body)
    ]
    assert lines == SPEC.split("\n")[:-1]
    assert '<a class="line" href="#line-8">line 8</a>' in page
    assert "/somewhere/private" not in page


def test_cost_and_questions_are_told(page: str) -> None:
    text = Page(page).text
    assert "5,000; 0.14 % used" in text
    assert "seed 7" in text
    assert "GMI in inside" in text
    assert "arXiv:1911.07135" in text


def test_a_run_that_did_not_end_says_so(made: Audit) -> None:
    made.outcome.clear()
    page = as_page(made.record())
    assert "The run did not end" in page
    assert not Page(page).problems


def test_a_spent_time_budget_is_said_and_decides_nothing(tmp_path: Path) -> None:
    made = Audit(tmp_path)
    made.measurements = [UTILITY]
    left = [made.read("utility", {"defense": 0}, repeat, [1.0]) for repeat in range(2)]
    made.outcome["unfinished"] = left
    for name in left:
        made.outcome["nodes"].pop(name)
    made.gate("kept", limit(">=", 0.5, read="utility", view=""))
    text = Page(as_page(made.record())).text
    assert "The time budget was spent: 2 steps were left undone." in text
    assert "Inconclusive" in text


def test_command_lines_in_the_doc_of_a_spec_stay_lines(made: Audit) -> None:
    made.changes = {"doc": "Who sees what?\n\n    mialang run a.mia\n    mialang run b.mia > <file>\n\nAnd `why`?"}
    page = as_page(made.record())
    assert '<pre class="lede"><code>mialang run a.mia\nmialang run b.mia &gt; &lt;file&gt;</code></pre>' in page
    assert '<p class="lede">And <code>why</code>?</p>' in page


def test_skipped_cells_are_not_counted(made: Audit) -> None:
    assert "3 cells" in Page(as_page(made.record())).text
    made.changes = {"cells": 2}
    assert "2 cells" in Page(as_page(made.record())).text


def test_an_empty_audit_has_a_page(tmp_path: Path) -> None:
    made = Audit(tmp_path)
    made.changes = {"nodes": {}, "attacks": (), "threats": (), "secrets": {}, "spec": "", "doc": "", "matrix": {}}
    made.outcome["nodes"] = {}
    assert not Page(as_page(made.record())).problems


def test_the_size_is_sane(made: Audit) -> None:
    assert len(as_page(made.record())) < 120_000
    many = np.zeros((3000, 1, 12, 12), dtype=np.float32)
    labels = np.zeros(3000, dtype=np.int64)
    name = next(arm.node for arm in made.arms if arm.node)
    made.keep(name, "candidates", {"values": many, "labels": labels, "group": labels}, {"attempted": [0]})
    page = as_page(made.record())
    assert len(page) < 600_000
    assert "more outputs found no place here" in page


def test_writing_a_page_needs_no_torch() -> None:
    code = (
        "import sys, mialang.report.page; assert not {'torch', 'transformers', 'torch_geometric'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_steps_that_fail_alike_are_told_once(made: Audit) -> None:
    for name in ("victim", "expert"):
        made.fail(name, "no such network", "a note")
    for name in [each for each in made.nodes if each.startswith("utility")][:3]:
        made.nodes[name] = made.nodes[name].model_copy(update={"label": "utility"})
        made.fail(name, "no such data")
    text = Page(as_page(made.record())).text
    assert text.count("! no such network") == 2  # two different steps
    assert text.count("! no such data") == 1
    assert "Step utility , 3 times" in text


def test_a_measurement_without_any_figure_has_no_plot(tmp_path: Path) -> None:
    made = Audit(tmp_path)
    made.measurements = [UTILITY]
    for repeat in range(2):
        made.read("utility", {"defense": 0}, repeat, None)
    assert "Interval plot" not in as_page(made.record())
