"""Lints of evaluation that only running can break: what is measured, on what, and what it means if it cannot be."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from mialang.meaning.declarations import Metric
from mialang.operators.candidates import Candidates
from mialang.operators.defenses import outputs
from mialang.operators.defenses.training import dp_sgd, negative_label_smoothing
from mialang.operators.errors import OperatorError
from mialang.operators.image import architectures, datasets, gan_networks, generators
from mialang.operators.image.classifier import classifier
from mialang.operators.metrics import attack_accuracy, feature_distance, knn_distance
from mialang.operators.objectives import confidence, l2, one_minus_confidence
from mialang.operators.optimisers import sgd
from mialang.operators.search import descend
from mialang.operators.selection import best
from mialang.operators.spaces import Pixels, clamp
from mialang.report.evidence import Missing
from mialang.report.page import as_page
from tests.engine.test_handles import answers
from tests.operators.stand_in import Formula, StandIn, corners, run
from tests.operators.test_search import Logged
from tests.report.audits import audit
from tests.test_contract import shipped

UNITS = (0, 1, 4)
JUDGE = StandIn(Formula(UNITS, (3,), lambda x: 9 * x))
CERTAIN = torch.eye(3)
GIVEN = {"tested": None, "accuracy": None, "weights": None, "classes": None, "shape": None, "epochs": 2, "batch": 32}


class Private:
    """Private records: one certain picture a class."""

    inputs, targets, classes = CERTAIN, torch.tensor(UNITS), UNITS

    def __len__(self) -> int:
        return 3


def handed_over(values: torch.Tensor, labels: list[int], attempted: tuple[int, ...] = UNITS) -> Candidates:
    claimed = torch.tensor(labels)
    return Candidates(values, claimed, torch.zeros(len(labels)), claimed, attempted)


def mean(measurement: object, field: str = "") -> float:
    values, _ = measurement.fields[field]  # type: ignore[attr-defined]
    return sum(values) / len(values)


# -- what a figure counts ----------------------------------------------------------------------------------------------


def test_l04_metric_on_successes() -> None:
    """An output that no judge recognises counts in every metric as one that it does."""
    hits = handed_over(CERTAIN, list(UNITS))
    far = handed_over(torch.cat([CERTAIN, -CERTAIN]), [*UNITS, *UNITS])
    assert mean(attack_accuracy(of=hits, judge=JUDGE, top=[1], run=run()), "top1") == 1.0
    assert mean(attack_accuracy(of=far, judge=JUDGE, top=[1], run=run()), "top1") == 0.5
    for metric in (knn_distance, feature_distance):
        measured = metric(of=far, secret=Private(), features=JUDGE, run=run())  # type: ignore[arg-type]
        assert len(measured.fields[""][0]) == 6
        assert mean(measured) > mean(metric(of=hits, secret=Private(), features=JUDGE, run=run()))  # type: ignore[arg-type]


def test_l05_failed_metric_is_value(tmp_path: Path) -> None:
    """A metric that breaks, or cannot be computed, leaves no number: not in the evidence, and not in the verdict."""
    made = audit(tmp_path)
    record = made.record()
    figure = record.evidence.figure("retrieval", {"defense": 0}, "", "", "", 0.95)
    assert isinstance(figure.value, Missing)
    assert figure.value.kind == "failed"
    assert record.verdict.status == "error"
    nothing = handed_over(CERTAIN[:1], [0])
    for metric in (knn_distance, feature_distance):
        measured = metric(of=nothing, secret=Private(), features=JUDGE, run=run())  # type: ignore[arg-type]
        assert measured.fields == {}
        assert measured.reasons[""]


@pytest.mark.parametrize("found", [0, 1, 2])
def test_l06_denominator_incomplete(found: int) -> None:
    """Units attempted without output are failures, however many there are; so is an attack that finds nothing."""
    some = handed_over(CERTAIN[:found], list(UNITS[:found]))
    measured = attack_accuracy(of=some, judge=JUDGE, top=[1], run=run())
    assert mean(measured, "top1") == pytest.approx(found / 3)


def test_l07_every_figure_of_repeats_has_an_interval(tmp_path: Path) -> None:
    made = audit(tmp_path)
    value = made.record().evidence.figure("leak", {"defense": 0}, "GMI", "", "top1", 0.95).value
    assert not isinstance(value, Missing)
    assert value.lower is not None
    assert value.upper is not None
    assert value.lower < value.point < value.upper


def test_l09_budget_mismatch(tmp_path: Path) -> None:
    """What an attack was given stands beside its figure: outputs, repeats, questions."""
    made = audit(tmp_path)
    page = re.sub(r"<[^>]+>", " ", as_page(made.record()))
    assert "repeats × outputs" in page
    assert "2 × 3" in page
    assert "estimated, at most" in page


@pytest.mark.parametrize("k", [3, 5])
def test_l28_topk_exceeds_classes(k: int) -> None:
    measured = attack_accuracy(of=handed_over(CERTAIN, list(UNITS)), judge=JUDGE, top=[1, k], run=run())
    assert set(measured.fields) == {"top1"}
    assert "always right" in measured.reasons[f"top{k}"]


def test_l30_ambiguous_metric_name() -> None:
    """A distance says from what to what it is, in which norm, and whether it is squared."""
    metrics = [each for each in shipped()[0] if isinstance(each, Metric)]
    distances = [metric for metric in metrics if metric.unit == "distance"]
    assert {metric.name for metric in distances} >= {"knn_distance", "feature_distance"}
    for metric in distances:
        assert re.search(r"(?i)squared l2 distance from .* to the (nearest|centroid)", metric.doc), metric.name
    assert len({metric.doc for metric in metrics}) == len(metrics)


# -- chance ------------------------------------------------------------------------------------------------------------


def disturb() -> None:
    """Use up every global source of randomness."""
    random.random()
    np.random.rand()  # noqa: NPY002 - the very thing that must not matter
    torch.rand(3)


def trained(seed: int = 0, training: tuple[object, ...] = ()) -> object:
    digits = datasets.digits(split="train", classes=(1, 4, 7), limit=90, run=run())
    model = architectures.mlp(hidden=8, layers=1)
    return classifier(model=model, trained=digits, lr=3e-3, training=list(training), run=run(seed), **GIVEN)  # type: ignore[arg-type]


def weights(model: object) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.state.values()])  # type: ignore[attr-defined]


def test_l22_unseeded_rng() -> None:
    """What a step draws comes from its seed alone, whatever others drew before."""
    public = datasets.digits(split="all", classes=(5, 6), limit=60, run=run())

    def draws() -> list[torch.Tensor]:
        disturb()
        gan = generators.wgan_gp(on=public, latent=4, networks=gan_networks.dense(hidden=8), steps=3, critic_steps=2,
                                 lr=1e-3, batch=16, run=run(7))  # fmt: skip
        noise = outputs.noise_scores(deviation=0.3)(torch.full((4, 3), 1 / 3), generator=run(7).generator)
        search = descend(over=Pixels((4,), 0.2, 0.1), minimise=one_minus_confidence(of=StandIn(corners())), by=sgd(lr=0.1, momentum=0.0),
                         steps=3, starts=2, until=None, keep="last", run=run(7))  # fmt: skip
        return [weights(gan), weights(trained(7)), noise, search.values]

    for one, other in zip(draws(), draws(), strict=True):
        assert torch.equal(one, other)


def test_l29_shared_noise_across_targets() -> None:
    """No two classes, and no two starts of a class, begin in the same place."""
    still = descend(over=clamp(space=Pixels((4,), 0.2, 0.1), to=1.0), minimise=one_minus_confidence(of=StandIn(corners())),
                    by=sgd(lr=0.0, momentum=0.0), steps=1, starts=4, until=None, keep="last", run=run(3))  # fmt: skip
    assert len({tuple(code) for code in still.code.tolist()}) == 12  # type: ignore[union-attr]


# -- defenses ----------------------------------------------------------------------------------------------------------


def test_l24_null_defence() -> None:
    """A defense that its settings make void is refused (R-BIDO-1: a released one ships with weights of 0)."""
    scores = torch.tensor([[0.6, 0.3, 0.1]])
    for void in (
        lambda: negative_label_smoothing(alpha=0.0, start=0.5, full=0.75),
        lambda: dp_sgd(noise_multiplier=0.0, epsilon=None, max_grad_norm=1.0, delta=1e-5),
        lambda: dp_sgd(noise_multiplier=1.0, epsilon=None, max_grad_norm=0.0, delta=1e-5),
        lambda: outputs.noise_scores(deviation=0.0),
        lambda: outputs.cut_scores(below=0.0),
        lambda: outputs.truncate_scores(k=3)(scores, generator=torch.Generator()),
    ):
        with pytest.raises(OperatorError):
            void()


@pytest.mark.parametrize(
    "defense",
    [outputs.round_scores(digits=1), outputs.truncate_scores(k=1), outputs.cut_scores(below=0.25), outputs.labels_only(),
     outputs.noise_scores(deviation=0.2)],
    ids=lambda defense: type(defense).__name__,
)  # fmt: skip
def test_l25_defence_without_effect_on_answers(defense: outputs.OutputTransform) -> None:
    scores = torch.tensor([[0.61, 0.29, 0.10], [0.45, 0.33, 0.22]])
    assert (defense(scores, generator=run(0).generator) != scores).any(1).all()


@pytest.mark.parametrize(
    "defense",
    [negative_label_smoothing(alpha=-0.05, start=0.0, full=0.0),
     dp_sgd(noise_multiplier=1.0, epsilon=None, max_grad_norm=1.0, delta=1e-5)],
    ids=lambda defense: type(defense).__name__,
)  # fmt: skip
def test_l25_defence_without_effect_on_weights(defense: object) -> None:
    """Training behind a defense gives other weights than training without, and the same ones again."""
    plain, defended, again = trained(), trained(training=(defense,)), trained(training=(defense,))
    assert not torch.equal(weights(plain), weights(defended))
    assert torch.equal(weights(defended), weights(again))


def test_l33_dp_claim_unit() -> None:
    private = trained(training=(dp_sgd(noise_multiplier=1.0, epsilon=None, max_grad_norm=0.7, delta=1e-5),))
    facts = private.about  # type: ignore[attr-defined]
    assert facts["privacy_unit"] == "one training record"
    assert facts["accountant"]
    assert (facts["clip"], facts["delta"], facts["noise_multiplier"]) == (0.7, 1e-5, 1.0)
    assert 0 < facts["epsilon"] < float("inf")
    assert 0 < facts["sample_rate"] < 1
    assert facts["steps"] > 0


def test_l33_dp_claim_unit_in_the_report(tmp_path: Path) -> None:
    made = audit(tmp_path)
    private = {"epsilon": 3.21, "delta": 1e-5, "privacy_unit": "one training record", "accountant": "Rényi"}
    made.step("victim", "target", "Classifier", "classifier", ("secret",), params={"epochs": 3}, notes=private)
    said = re.sub(r"<[^>]+>", "", as_page(made.record()))
    assert "ε 3.21 at δ 1e-05 per one training record (Rényi accountant)" in said


# -- what is handed over ------------------------------------------------------------------------------------------------


def test_l10_preflight_accuracy() -> None:
    digits = datasets.digits(split="train", classes=(1, 4, 7), limit=90, run=run())
    model = architectures.mlp(hidden=8, layers=1)
    with pytest.raises(OperatorError, match=r"99\.00% are declared"):
        classifier(model=model, trained=digits, lr=1e-5, training=[], run=run(), **{**GIVEN, "accuracy": 0.99})  # type: ignore[arg-type]


def test_l37_stale_best() -> None:
    """What is handed over is what was scored best: scoring it again gives the score that it carries."""
    target = StandIn(corners())
    wild = sgd(lr=0.3, momentum=0.9)  # overshoots, so that the last point is not the best

    def searched(keep: str) -> tuple[Candidates, torch.Tensor]:
        log: list[tuple[torch.Tensor, torch.Tensor]] = []
        loss = Logged(one_minus_confidence(of=target) + 0.3 * l2(), log)
        made = descend(
            over=Pixels((4,), 0.2, 0.1), minimise=loss, by=wild, steps=12, starts=3, until=None, keep=keep, run=run(2)
        )
        return made, torch.stack([cost for _, cost in log])

    (lowest, costs), (last, _) = searched("lowest"), searched("last")
    torch.testing.assert_close(lowest.scores, costs.min(0).values)
    torch.testing.assert_close(last.scores, costs[-1])
    assert (lowest.scores < last.scores).any()
    chosen = best(of=lowest, per="class", by=confidence(of=target), keep=2, run=run())
    again = target.ask("scores", chosen.values)[torch.arange(len(chosen)), target.column(chosen.labels)]
    torch.testing.assert_close(chosen.scores, again)
    for unit in UNITS:
        ranked = chosen.scores[chosen.group == unit].tolist()
        assert all(before >= after for before, after in pairwise(ranked))


def test_l38_split_undefined() -> None:
    """A split is a fixed partition: the same for every seed, nothing shared, nothing lost."""
    parts = {split: datasets.digits(split=split, classes=None, limit=None, run=run(seed))
             for seed, split in enumerate(("train", "test", "all"))}  # fmt: skip
    again = datasets.digits(split="test", classes=None, limit=None, run=run(99))
    assert np.array_equal(again.raw, parts["test"].raw)
    rows = {split: sorted(picture.tobytes() for picture in part.raw) for split, part in parts.items()}
    assert sorted(rows["train"] + rows["test"]) == rows["all"]
    assert len(parts["train"]) + len(parts["test"]) == len(parts["all"]) == 1797


def test_l32_precision_loss() -> None:
    """Outputs come back from the store bit for bit, in the type that they were made in."""
    values = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)) * 1e-7
    made = replace(handed_over(values, [0, 0, 1, 4]), code=values.flatten(1))
    back = Candidates.restore(made.arrays(), made.facts())
    assert isinstance(back.values, torch.Tensor)
    assert back.values.dtype == torch.float32
    assert torch.equal(back.values, values)


@pytest.mark.parametrize(("digits", "changes"), [(1, True), (12, False)])
def test_l25_defence_without_effect_is_measured_on_the_answers_that_attacks_get(digits: int, changes: bool) -> None:
    model = answers(transforms=[(["scores"], outputs.round_scores(digits=digits))])
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    model("label", x)
    model("logits", x)
    assert model.defended == 6
    assert (model.changed > 0) is changes


@pytest.mark.parametrize("changed", [0, 3])
def test_l25_defence_without_effect_is_told_in_the_report(changed: int, tmp_path: Path) -> None:
    record = audit(tmp_path).record()
    for name, action in record.actions.items():
        if name.startswith("best-GMI-attack-1"):
            action.evidence.update(defended=4_000, changed=changed)
    page = as_page(record)
    assert ("changed none of the 8,000 answers that GMI got" in page) is (changed == 0)
