"""Defects of released code, each turned into what must hold here. Those of one operator stand with that operator's tests."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from mialang.operators.candidates import Candidates
from mialang.operators.defenses.private import PrivateTraining, fit_privately
from mialang.operators.image import datasets, gan_networks, generators
from mialang.operators.metrics import attack_accuracy
from mialang.operators.objectives import confidence, one_minus_confidence
from mialang.operators.optimisers import sgd
from mialang.operators.repulsion import sphere_repulsion
from mialang.operators.search import descend
from mialang.operators.selection import best
from mialang.operators.spaces import Pixels, clamp
from mialang.operators.training import Schedule, fit
from mialang.plan import lower
from mialang.report.evidence import Missing
from mialang.report.page import as_page
from tests.operators.stand_in import Formula, StandIn, corners, run
from tests.operators.test_repulsion import Plain
from tests.report.audits import audit
from tests.specs import sound, spec

ROOT = Path(__file__).parents[2]
TAG = re.compile(r"\bR-[A-Z]+-[A-Z]?\d+\b")
APPLIES = {
    *(f"R-MIB-{number}" for number in (1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)),
    "R-PPA-1", "R-PPA-2", "R-GMI-1", "R-GMI-2", "R-KED-1", "R-KED-2", "R-LOMMA-1", "R-PLG-1", "R-DIFF-1", "R-BREP-1", "R-VMI-1",
    "R-LEAK-1", "R-LEAK-2", "R-ART-1", "R-ART-2", "R-ART-3", "R-AIJ-1", "R-MLD-1", "R-DAR-2", "R-DAR-4", "R-BIDO-1",
}  # fmt: skip
UNITS = (2, 5, 7)


def test_every_defect_that_applies_has_its_test() -> None:
    """A test that guards against a defect names it; those that need a text, a graph or an absent method do not apply."""
    own = Path(__file__).read_text(encoding="utf-8").partition("UNITS = ")[2]
    others = [
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    ]
    assert set(TAG.findall("\n".join([own, *others]))) >= APPLIES


def outputs(values: torch.Tensor, labels: list[int], attempted: tuple[int, ...] = UNITS) -> Candidates:
    claimed = torch.tensor(labels)
    return Candidates(values, claimed, torch.zeros(len(labels)), claimed, attempted)


# -- selection and search ------------------------------------------------------------------------------------------------


def test_selection_ranks_each_class_by_its_own_score() -> None:
    """R-MIB-1, R-LEAK-2: one release scores every class as class 1, another ranks by the argmax; all classes get their best."""
    target = StandIn(corners())
    centres = 2 * torch.eye(4)[:3]
    near, far = centres * 0.9, centres * 0.5
    values = torch.cat([far, near])  # the better one of each class comes second
    chosen = best(of=outputs(values, [*UNITS, *UNITS]), per="class", by=confidence(of=target), keep=1, run=run())
    assert chosen.labels.tolist() == list(UNITS)
    assert torch.equal(chosen.values, near)


def test_what_is_returned_decodes_to_what_is_shown_and_claims_one_class() -> None:
    """R-MIB-14, R-MIB-8: codes returned are those of the pictures returned; one label an output; the score is recomputed."""
    target = StandIn(corners())
    space = clamp(space=Pixels((4,), 0.3, 0.2), to=1.0)
    made = descend(over=space, minimise=one_minus_confidence(of=target), by=sgd(lr=0.2, momentum=0.9), steps=15, starts=3,
                   until=None, keep="lowest", run=run(4))  # fmt: skip
    assert made.code is not None
    torch.testing.assert_close(space.decode(made.code), made.values)
    assert made.labels.shape == (9,)
    scores = target.ask("scores", made.values)[torch.arange(9), target.column(made.labels)]
    torch.testing.assert_close(1 - scores, made.scores)
    chosen = best(of=made, per="class", by=confidence(of=target), keep=1, run=run())
    assert chosen.code is not None
    torch.testing.assert_close(space.decode(chosen.code), chosen.values)


def test_bounds_of_a_latent_space_hold_for_what_is_generated() -> None:
    """R-KED-1: a released clamp has no effect, since codes are drawn again after it."""
    public = datasets.digits(split="all", classes=(5, 6), limit=60, run=run())
    gan = generators.wgan_gp(on=public, latent=3, networks=gan_networks.dense(hidden=4), steps=2, critic_steps=1, lr=1e-3,
                             batch=16, run=run(1))  # fmt: skip
    target = StandIn(Formula((0, 1), (1, 8, 8), lambda x: 9 * x.flatten(1)[:, :2]))
    made = descend(over=clamp(space=gan.latent, to=0.25), minimise=one_minus_confidence(of=target), by=sgd(lr=5.0, momentum=0.9),
                   steps=6, starts=4, until=None, keep="last", run=run(2))  # fmt: skip
    assert made.code is not None
    assert float(made.code.abs().max()) <= 0.25
    assert (made.code.abs() == 0.25).any(), "the bound was met, so that it was tested"
    torch.testing.assert_close(gan.latent.decode(made.code), made.values)


def test_accepted_points_keep_their_class_and_only_outside_points_push() -> None:
    """R-MIB-10: a release moves by points inside and outside, and keeps points that left the class."""
    inside_only = StandIn(Formula((0, 1), (4,), lambda x: torch.stack([x[:, 0] * 0 + 1, x[:, 0] * 0], 1)))
    made = sphere_repulsion(over=Plain(), of=inside_only, points=8, radius=1.0, growth=1.3, inside=0.75, stride=3.0, patience=5,
                            starts=2, at_most=300, run=run(1))  # fmt: skip
    assert made.code is not None
    first = torch.randn(256, 4, generator=run(1).generator)  # what the starts are taken from
    assert len(made) == 2
    assert all((first == code).all(1).any() for code in made.code), "nothing lies outside, and something pushed"
    torn = StandIn(Formula((0, 1), (4,), lambda x: torch.stack([x[:, 0], -x[:, 0]], 1)))
    made = sphere_repulsion(over=Plain(), of=torn, points=8, radius=1.0, growth=1.3, inside=0.75, stride=3.0, patience=5,
                            starts=2, at_most=300, run=run(1))  # fmt: skip
    assert torch.equal(torn.ask("label", made.values), made.labels)


# -- training ----------------------------------------------------------------------------------------------------------


def test_the_gradient_of_a_record_is_clipped_before_it_counts() -> None:
    """R-MIB-11, R-MIB-12: one release clips gradients before there are any, another crashes at the first private step."""
    x, columns = torch.randn(16, 3, generator=torch.Generator().manual_seed(0)) * 100, torch.tensor([0, 1] * 8)
    norms = []

    network = nn.Linear(3, 2)
    with run(0).seeded():
        nn.init.normal_(network.weight)
    before = network.weight.detach().clone()
    private = PrivateTraining(1e-9, None, 0.5, 1e-5)
    torch_step = torch.optim.Adam.step

    def watch(self: torch.optim.Adam, *arguments: object, **rest: object) -> object:
        grads = [parameter.grad.flatten() for group in self.param_groups for parameter in group["params"]]
        norms.append(float(torch.cat(grads).norm()))
        return torch_step(self, *arguments, **rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watch)
        facts = fit_privately(
            network, x, columns, schedule=Schedule(2, 0.1, 16), private=private, defenses=[private], run=run(0)
        )
    assert len(norms) == facts["steps"] >= 2
    # Sixteen gradients of norm 0.5 at most, summed and divided by the batch of sixteen.
    assert all(norm <= 0.5 * (1 + 1e-5) for norm in norms)
    assert not torch.equal(network.weight.detach(), before)


def test_the_learning_rate_falls_as_it_is_said_to() -> None:
    """R-MIB-13: a released script builds a schedule and overwrites it with nothing."""
    rates = []
    step = torch.optim.Adam.step

    def watch(self: torch.optim.Adam, *arguments: object, **rest: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watch)
        fit(
            nn.Linear(2, 2),
            torch.randn(8, 2),
            torch.tensor([0, 1] * 4),
            schedule=Schedule(10, 0.1, 8),
            defenses=(),
            run=run(),
        )
    assert rates[0] == pytest.approx(0.1)
    assert all(one > other for one, other in pairwise(rates))
    assert rates[-1] < 0.01


def test_no_model_is_chosen_by_its_test_accuracy() -> None:
    """R-MIB-18: a release keeps the checkpoint of best test accuracy; here a target never meets unseen data."""
    plan = lower(sound(spec()))
    targets = [node for node in plan.nodes.values() if node.role in ("target", "judge")]
    assert targets
    for node in targets:
        assert all(plan.nodes[name].params.get("split") != "test" for name in node.inputs)


# -- metrics and verdicts ------------------------------------------------------------------------------------------------


def test_a_metric_that_breaks_fails_the_run_and_gives_no_number(tmp_path: Path) -> None:
    """R-MIB-5, R-MIB-6: a release prints the exception and goes on, and takes a failed distance for 0, the best there is."""
    record = audit(tmp_path).record()
    assert record.verdict.status == "error"
    for view in ("", "gain", "blind"):
        figure = record.evidence.figure("retrieval", {"defense": 0}, "", view, "", 0.95)
        assert isinstance(figure.value, Missing)
    assert "the metric broke" in as_page(record)


def test_success_is_the_class_intended_and_not_what_the_target_says() -> None:
    """R-MLD-1, R-LEAK-1, R-VMI-1: random claims give chance, however sure the target is, and no judge takes part in an attack."""
    generator = torch.Generator().manual_seed(0)
    sure = torch.nn.functional.one_hot(torch.randint(0, 3, (3000,), generator=generator), 4).float() * 2
    claims = torch.tensor(UNITS)[torch.randint(0, 3, (3000,), generator=generator)].tolist()
    measured = attack_accuracy(of=outputs(sure, claims), judge=StandIn(corners()), top=[1], run=run())
    values, _ = measured.fields["top1"]
    assert abs(sum(values) / len(values) - 1 / 3) < 0.03


def test_the_number_of_targets_is_that_of_the_classes_attacked() -> None:
    """R-PPA-2: a release takes the length of the word that names the targets: `all` are three."""
    made = descend(over=Pixels((4,), 0.2, 0.1), minimise=one_minus_confidence(of=StandIn(corners(classes=(1, 2, 3, 8)))),
                   by=sgd(lr=0.1, momentum=0.0), steps=1, starts=1, until=None, keep="last", run=run())  # fmt: skip
    assert made.attempted == (1, 2, 3, 8)


def test_an_empty_list_is_a_list() -> None:
    """R-MIB-3: a released default of a list is a function."""
    (victim,) = {node.id: node for node in lower(sound(spec(matrix="matrix { defense = [none()]  repeat = 5 }", gate=""))).nodes.values()
                 if node.role == "target" and node.repeat == 0}.values()  # fmt: skip
    assert victim.params["training"] == []


# -- the project -------------------------------------------------------------------------------------------------------


def test_what_an_attack_spends_is_declared(tmp_path: Path) -> None:
    """R-MIB-15: a release evaluates five outputs a class and does not say so."""
    text = re.sub(r"<[^>]+>", " ", as_page(audit(tmp_path).record()))
    for words in ("repeats × outputs", "2 × 3", "asked", "estimated, at most", "handed over"):
        assert words in text


def test_requirements_are_names_that_exist_and_versions_that_are_pinned() -> None:
    """R-MIB-16: a release pins packages under names of others. Each of ours has one exact version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    known = {name.lower().replace("_", "-") for name in pinned}
    for requirement in wanted:
        name = re.split(r"[<>=\[;]", requirement)[0].strip().lower()
        assert name in known, f"{name} has no exact version in constraints.txt"
