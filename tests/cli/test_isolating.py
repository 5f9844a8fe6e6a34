"""Attacks of other packages through the command line: behind a boundary by default, and said where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mialang.engine.isolation import boundary
from mialang.engine.isolation.boundary import Boundary, available
from tests.command import mialang

STANDS = any(each.stands for each in available())
CODE = '''
import torch
from mialang.operators.candidates import Candidates

def guess(*, of, run):
    """Three pictures of noise, kept with how sure the target is of them."""
    labels = torch.tensor(of.classes)
    pictures = torch.rand(len(labels), *of.shape, generator=run.generator)
    scores = of.ask("scores", pictures).gather(1, of.column(labels).unsqueeze(1)).squeeze(1)
    return Candidates(pictures, labels, scores, labels, tuple(of.classes))
'''
SPEC = '''mia 1

import std.image
import std.access { scores }
import std.metric { attack_accuracy }

operator guess : candidates {
  """Three pictures of noise."""
  param of : classifier { sees = [scores] }
  queries = count(classes)
  outputs = count(classes)
  random  = true
  python  = "stranger.attack:guess"
}

recipe Guess : attack.image {
  """Guess. Nobody, 2024, arXiv:0000.00000. Fidelity: there is nothing to be faithful to."""
  gives  = prototype(per = class)
  family = generate_and_rank
  result = guess(target)
}

data secret : image.Digits { split = "train"  classes = 0..2  limit = 60 }
data public : image.Digits { classes = 5..9  limit = 60 }
target victim : image.Classifier { model = image.mlp(hidden = 8)  trained = secret  epochs = 2 }
judge expert : image.Classifier { model = image.cnn(width = 4)  trained = image.Digits(split = "train", limit = 100)  epochs = 2 }
prior other { images = public }
threat customer { target = victim  access = scores(queries = 100 queries)  prior = other  extent = prototype(per = class) }
attack outside { against = customer  use = [Guess]  controls = none }
evaluate { leak = attack_accuracy(outside, judge = expert, top = [1]) }
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec with an attack of its own, whose code lies in a package beside it."""
    (tmp_path / "code" / "stranger").mkdir(parents=True)
    (tmp_path / "code" / "stranger" / "__init__.py").write_text("")
    (tmp_path / "code" / "stranger" / "attack.py").write_text(CODE)
    (tmp_path / "audit.mia").write_text(SPEC)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return tmp_path


@pytest.mark.skipif(not STANDS, reason="no boundary here; the tests below say what happens then")
def test_code_of_others_runs_behind_a_boundary_and_the_report_says_so(folder: Path) -> None:
    done = mialang("run", "audit.mia", "--trust", "stranger", "--threads", "1", "--format", "json", folder=folder)
    assert done.code == 0, done.screen
    verdict = json.loads(done.out)
    assert verdict["isolation"] in {each.words for each in available()}
    page = next((folder / ".mialang" / "runs").glob("*/report.html")).read_text()
    assert verdict["isolation"] in page
    inline = mialang("run", "audit.mia", "--trust", "stranger", "--threads", "1", "--format", "json", "--isolate", "none",
                     "--store", "open", folder=folder)  # fmt: skip
    open_verdict = json.loads(inline.out)
    assert open_verdict["isolation"] == "none"
    assert open_verdict["measurements"] == verdict["measurements"]


def test_naming_code_is_no_reason_to_run_it_behind_a_boundary_either(folder: Path) -> None:
    done = mialang("run", "audit.mia", "--threads", "1", folder=folder)
    assert done.code == 4
    assert "the code of `stranger` is not trusted" in done.out


def test_without_a_boundary_trust_once_for_all_is_not_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyproject.toml").write_text('[tool.mialang]\ntrusted = ["stranger"]\n')
    none = (Boundary(missing=(("Landlock", "switched off for this test"),)),)
    monkeypatch.setattr(boundary, "available", lambda: none)
    done = mialang("run", "audit.mia", "--threads", "1", folder=folder)
    assert done.code == 2
    assert "there is no boundary here behind which the attacks of `stranger` could run" in done.err
    assert "Landlock: switched off for this test" in done.err
    assert "`--trust stranger`" in done.err


def test_where_all_are_to_be_isolated_and_there_is_no_boundary_it_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mialang.engine.isolation import outside

    none = (Boundary(missing=(("Landlock", "switched off for this test"),)),)
    monkeypatch.setattr(boundary, "available", lambda: none)
    monkeypatch.setattr(outside, "available", lambda: none)
    outside.standing.cache_clear()
    try:
        done = mialang(
            "run", "audit.mia", "--threads", "1", "--trust", "stranger", "--isolate", "process", folder=folder
        )
    finally:
        outside.standing.cache_clear()
    assert "warning: attacks run without a boundary; the report says `isolation: none`" in done.out
    verdict = json.loads(next((folder / ".mialang" / "runs").glob("*/verdict.json")).read_text())
    assert verdict["isolation"] == "none"
    assert not verdict["failures"]


def test_a_way_to_isolate_that_there_is_not_is_answered_with_the_nearest(folder: Path) -> None:
    done = mialang("run", "audit.mia", "--isolate", "proces", folder=folder)
    assert done.code == 2
    assert "did you mean `process`?" in done.err
