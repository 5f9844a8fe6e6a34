"""Audits of a model that somebody else runs, through the command line: a service on this machine stands for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import mialang
from tests.service import serving

SPEC = """mia 1

import std.image
import std.service {{ http }}
import std.access {{ scores }}
import std.extent {{ prototype }}
import std.attack {{ Yang2019 }}
import std.metric {{ accuracy, queries }}

data secret : image.Digits {{ split = "train"  classes = 0..2  limit = 30 }}
data public : image.Digits {{ classes = 5..9  limit = 40 }}
data unseen : image.Digits {{ split = "test"  classes = 0..2  limit = 20 }}

target api : image.ScoreService {{
  at      = http(url = "{url}/scores", batch = 16, timeout = {timeout}, attempts = 2, wait = 10 ms, price = 0.01 usd)
  trained = secret
}}

prior other {{ images = public }}
threat customer {{ target = api  access = scores(queries = {queries} queries)  prior = other  extent = prototype(per = class) }}
attack outside {{ against = customer  use = [Yang2019(epochs = 1)]  controls = none }}
evaluate {{
  asked   = queries(outside)
  utility = accuracy(customer.target, unseen)
}}
budget {{ cost = {cost} usd }}
"""


def written(folder: Path, url: str, *, queries: int = 1000, cost: float = 5, timeout: str = "5 s") -> None:
    (folder / "audit.mia").write_text(SPEC.format(url=url, queries=queries, cost=cost, timeout=timeout))


def run(folder: Path, *more: str) -> tuple[int, str]:
    done = mialang("run", "audit.mia", "--threads", "1", *more, folder=folder)
    return done.code, done.screen


def test_a_service_is_audited_and_what_it_cost_is_kept(tmp_path: Path) -> None:
    with serving() as desk:
        written(tmp_path, desk.url)
        code, screen = run(tmp_path)
        assert code == 0, screen
        first = len(desk.requests)
        assert run(tmp_path)[0] == 0
        assert len(desk.requests) == first  # what is known is not asked again
        why = mialang("why", "last", "ask", folder=tmp_path).out
        questions = desk.questions
    spent = json.loads((tmp_path / ".mialang" / "ledger" / "spent.json").read_text())
    assert sum(each["usd"] for each in spent.values()) == pytest.approx(0.01 * questions)
    assert "cost 0.40 usd in 3 requests" in why
    assert "run by somebody else" in mialang("plan", "audit.mia", folder=tmp_path).out
    assert len(list((tmp_path / ".mialang" / "transcripts").iterdir())) == len(spent)


def test_money_that_does_not_suffice_ends_the_step_and_no_later_run_spends_more(tmp_path: Path) -> None:
    with serving() as desk:
        written(tmp_path, desk.url, cost=0.45)  # enough for the attack, and not for what is measured
        for _ in range(2):
            code, screen = run(tmp_path)
            assert code == 4
            assert "the budget of 0.45 usd is spent" in screen
        assert desk.questions <= 45


def test_money_that_cannot_suffice_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with serving() as desk:
        written(tmp_path, desk.url, cost=0.3)
        for command in ("plan", "run"):
            said = mialang(command, "audit.mia", folder=tmp_path)
            assert said.code == 2, said.screen
            assert "the attacks' questions may cost up to 0.40 usd, and the budget is 0.30 usd" in said.err
        assert desk.requests == []
        written(tmp_path, desk.url)
        assert "for up to 0.40 usd" in mialang("plan", "audit.mia", folder=tmp_path).out
        assert run(tmp_path)[0] not in (2, 4)
        written(tmp_path, desk.url, cost=0.3)
        assert run(tmp_path)[0] not in (2, 4)  # what is known is not asked again


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("hang", "does not answer: it said nothing complete for 0.3 s"),
        (429, "does not answer: it says 429"),
        (500, "does not answer: it says 500"),
        ("garbage", "answers what is no JSON"),
    ],
)
def test_a_service_in_trouble_fails_its_steps_in_words(tmp_path: Path, trouble: object, words: str) -> None:
    with serving() as desk:
        desk.troubles = {0: trouble}
        written(tmp_path, desk.url, timeout="300 ms")
        code, screen = run(tmp_path)
    assert code == 4
    assert words in screen
    assert "Traceback" not in screen


def test_contents_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    with serving() as desk:
        written(tmp_path, desk.url)
        assert run(tmp_path, "--transcript", "contents")[0] == 0
    lines = [
        json.loads(line)
        for path in (tmp_path / ".mialang" / "transcripts").iterdir()
        for line in path.read_text().splitlines()
    ]
    assert all("inputs" in json.loads(each["contents"]["sent"]) for each in lines)


def test_defenses_on_what_somebody_else_runs_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "http://127.0.0.1:9")
    text = (tmp_path / "audit.mia").read_text()
    text = text.replace("import std.metric", "import std.defense { negative_label_smoothing }\nimport std.metric")
    text = text.replace(
        "extent = prototype(per = class) }", "extent = prototype(per = class)  defense = negative_label_smoothing() }"
    )
    (tmp_path / "audit.mia").write_text(text)
    said = mialang("check", "audit.mia", folder=tmp_path)
    assert said.code == 2
    assert "somebody else runs it" in said.out


@pytest.mark.parametrize("device", ["cuda:7", "gpu"])
def test_a_device_that_there_is_not_ends_with_words(tmp_path: Path, device: str) -> None:
    written(tmp_path, "http://127.0.0.1:9")
    said = mialang("run", "audit.mia", "--device", device, folder=tmp_path)
    assert said.code == 2
    assert f"`{device}`" in said.err
