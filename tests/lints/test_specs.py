"""Lints of evaluation that a spec alone can break: each is broken here, and the finding must say so.

The numbers are those of the project's list of lints; a name stands beside each.
"""

from __future__ import annotations

import pytest

from mialang.meaning.check import check
from mialang.plan import lower
from mialang.plan.flow import prove_flow
from mialang.source import Source
from tests.specs import PARTS, codes, findings, sound, spec

THIEF = '''
recipe Peeking : attack.image {
  """Peeking. Nobody, arXiv:0000.00000. Fidelity: none."""
  param oracle : classifier
  gives  = prototype(per = class)
  family = optimization
  let gan    = wgan_gp(on = prior.images)
  let search = descend(over = gan.latent, minimise = cross_entropy(target), steps = 3)
  result = best(search, per = class, by = confidence(oracle))
}
'''
OPEN_GATE = 'gate "g" { require leak.gain.top1 <= 90 % }'


def title(text: str, code: str) -> str:
    """The title of the one finding of a code."""
    found = [finding for finding in findings(text) if finding.code == code]
    assert len(found) == 1, [(finding.code, finding.title) for finding in findings(text)]
    return found[0].title


def evaluate(lines: str) -> str:
    return "evaluate {\n  " + lines + "\n  utility = accuracy(insider.target, unseen)\n}"


def test_the_spec_that_is_broken_below_is_sound() -> None:
    assert codes(spec()) == []


@pytest.mark.parametrize("judge", ["victim", "insider.target"])
def test_l01_evaluator_is_target(judge: str) -> None:
    text = spec(evaluate=evaluate(f"leak = attack_accuracy(inside, judge = {judge}, top = [1])"))
    assert "model under attack" in title(text, "E0501")


@pytest.mark.parametrize("path", ["victim.safetensors", "./models/../victim.safetensors"])
def test_l01_evaluator_loads_the_targets_checkpoint(path: str) -> None:
    fixed = 'image.Classifier { model = image.MODEL()  weights = "FILE"  classes = 0..4  shape = [1, 8, 8] }'
    text = spec(
        target="target victim : " + fixed.replace("MODEL", "cnn").replace("FILE", "victim.safetensors"),
        judge="judge expert : " + fixed.replace("MODEL", "resnet").replace("FILE", path),
        matrix="matrix { defense = [none()]  repeat = 5 }",
        gate="",
    )
    assert "load the same weights" in title(text, "E0501")
    apart = text.replace(f'image.resnet()  weights = "{path}"', 'image.resnet()  weights = "expert.safetensors"')
    assert "E0501" not in codes(apart)


def test_l01_evaluator_is_a_twin_or_a_student_of_the_target() -> None:
    twin = spec(judge="judge expert : image.Classifier { model = image.cnn()  trained = secret  epochs = 9 }")
    assert "E0503" in codes(twin)
    student = "let student = distill(victim, about = public, into = image.resnet())"
    text = spec(judge=student, evaluate=evaluate("leak = attack_accuracy(inside, judge = student, top = [1])"))
    assert "E0502" in codes(text), codes(text)


def test_l03_evaluator_leak() -> None:
    """The judge may not choose what it will judge: selection by it is a path around the barrier."""
    text = spec(
        extra=THIEF, attack="attack inside { against = insider  use = [Peeking(oracle = expert)] }", gate=OPEN_GATE
    )
    found = prove_flow(lower(sound(text)))
    assert [finding.code for finding in found] == ["E0703"]
    assert "`expert`" in found[0].title
    own = spec(
        extra=THIEF, attack="attack inside { against = insider  use = [Peeking(oracle = victim)] }", gate=OPEN_GATE
    )
    assert prove_flow(lower(check(Source("audit.mia", own))[0])), "nor may the target itself, beside its handle"  # type: ignore[arg-type]


def test_l07_few_classes_no_ci() -> None:
    few = spec(matrix="matrix { defense = [none(), negative_label_smoothing()]  repeat = 4 }",
               gate='gate "g" { control leak.gain.top1 >= 40 %\n require leak.gain.top1 <= 30 % at 95 % confidence }')  # fmt: skip
    assert title(few, "W0604") == "the gate “g” rests on 4 repeats"
    single = few.replace("repeat = 4", "repeat = 1")
    assert "no confidence interval" in title(single, "E0604")
    unreachable = spec(gate='gate "g" { require leak.top1 <= 1 % at 95 % confidence }')
    assert "can never pass" in title(unreachable, "E0603")


def test_l08_target_confidence_as_success() -> None:
    """No leakage metric takes the target's own word: not as a judge, and not for its features."""
    for line in (
        "leak = attack_accuracy(inside, judge = victim, top = [1])",
        "leak = attack_accuracy(inside, judge = expert, top = [1])\n  near = knn_distance(inside, secret, features = victim)",
        "leak = attack_accuracy(inside, judge = expert, top = [1])\n  near = feature_distance(inside, secret, features = insider.target)",
    ):
        assert "E0501" in codes(spec(evaluate=evaluate(line)))


def test_l12_defence_without_utility() -> None:
    bare = "evaluate { leak = attack_accuracy(inside, judge = expert, top = [1]) }"
    assert "what the defense of `insider` costs" in title(spec(evaluate=bare), "W0609")
    wrong = bare.replace(" }", "\n  utility = accuracy(victim, unseen)\n}")
    assert "W0609" in codes(spec(evaluate=wrong)), "the undefended model has not paid"
    undefended = PARTS["threat"].replace("  defense = matrix.defense\n", "")
    text = spec(evaluate=bare, threat=undefended, matrix="matrix { repeat = 5 }", gate=OPEN_GATE)
    assert "W0609" not in codes(text)


def test_l13_control_missing() -> None:
    text = spec(gate='gate "g" { require leak.gain.top1 <= 30 % }')
    assert "has no control" in title(text, "W0603")
    plan = lower(sound(spec()))
    real = {(arm.instance, arm.repeat, tuple(arm.cell.items())) for arm in plan.arms if arm.arm == "attack"}
    for name in ("blind", "baseline"):
        beside = {(arm.instance, arm.repeat, tuple(arm.cell.items())) for arm in plan.arms if arm.arm == name}
        assert beside == real, f"every attack has its {name}, unasked"
    off = lower(
        sound(spec(attack="attack inside { against = insider  use = [GMI(keep = 5)]  controls = none }", gate=""))
    )
    assert not off.controls
    assert {arm.arm for arm in off.arms} == {"attack"}


def test_l14_prior_not_granted() -> None:
    assert "E0302" in codes(spec(prior="prior other { }", gate=OPEN_GATE))
    empty = spec(prior="", threat=PARTS["threat"].replace("  prior   = other\n", ""), gate=OPEN_GATE)
    assert "E0302" in codes(empty)


def test_l15_prior_private_overlap() -> None:
    by_class = spec(prior="prior other { images = public  assert disjoint(public, secret, by = class) }",
                    data=PARTS["data"].replace("classes = 5..9", "classes = 4..9"))  # fmt: skip
    assert "share class 4" in title(by_class, "E0401")
    assert "grants the secret itself" in title(spec(prior="prior other { images = secret }"), "E0402")
    plan = lower(sound(spec()))
    checks = [name for name, node in plan.nodes.items() if node.role == "check" and node.params["by"] == "record"]
    assert checks, "shared records are looked for unasked"
    for node in plan.nodes.values():
        if node.role == "attack" and node.inputs:
            assert set(checks) & upstream(node.id, plan), f"{node.id} may run before the records were compared"


def upstream(name: str, plan: object) -> set[str]:
    nodes = plan.nodes  # type: ignore[attr-defined]
    seen: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending += [*nodes[current].inputs, *nodes[current].after]
    return seen


def test_l20_l21_nothing_is_fit_or_chosen_on_the_test_split() -> None:
    """Unseen records reach measurements alone: no training, no selection, no statistics."""
    plan = lower(sound(spec()))
    unseen = [name for name, node in plan.nodes.items() if node.params.get("split") == "test"]
    assert unseen
    readers = {
        node.role for name, node in plan.nodes.items() if set(unseen) & upstream(name, plan) and name not in unseen
    }
    assert readers == {"metric"}
    wider = lower(
        sound(spec(data=PARTS["data"].replace('split = "test"  classes = 0..4', 'split = "test"  classes = 0..3')))
    )
    same = {name for name, node in plan.nodes.items() if node.role in ("target", "judge", "attack")}
    assert same <= wider.nodes.keys(), "another test split changes no model and no attack"


def test_l22_unseeded_rng() -> None:
    """Every node that draws has a seed of its own, and nothing else of a plan depends on chance."""
    plan, again = lower(sound(spec())), lower(sound(spec()))
    assert plan.key == again.key
    drawn = {name: node.seed for name, node in plan.nodes.items() if node.seed is not None}
    assert {"victim", "expert", "wgan_gp", "descend"} <= {plan.nodes[name].label for name in drawn}
    assert len(set(drawn.values())) == len(drawn)
    with_more = lower(sound(spec(attack="attack inside { against = insider  use = [GMI(keep = 5), LOMMA(keep = 5)] }")))
    assert {name: with_more.nodes[name].seed for name in drawn if name in with_more.nodes} == drawn


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"attack": "attack inside { against = insider  use = [GMI(keep = 5, learning_rate = 3)] }"}, "E0203"),
        ({"threat": PARTS["threat"].replace("  prior ", "  noise = 3\n  prior ")}, "E0203"),
        ({"target": "target victim : image.Classifier { model = image.cnn(depth = 3)  trained = secret }"}, "E0203"),
        ({"extra": "param steps : int(1..) = 600"}, "W0208"),
        ({"extra": "let loss = 3"}, "W0208"),
        ({"extra": THIEF.replace("  gives", "  param spare : int(1..) = 3\n  gives")}, "W0208"),
        (
            {"extra": THIEF.replace("  result", "  let spare = wgan_gp(on = prior.images, latent = 3)\n  result")},
            "W0208",
        ),
    ],
)
def test_l23_option_ignored(changed: dict[str, str], code: str) -> None:
    assert code in codes(spec(**changed))


def test_l23_unknown_options_of_the_command_line_are_ignored_nowhere() -> None:
    assert codes(spec(), {"epsilon": "3"}) == ["E0203"]


@pytest.mark.parametrize(
    ("name", "grant", "needed"),
    [
        ("LOMMA", "scores(queries = 1_000_000 queries)", "input gradients"),
        ("GMI", "label_only(queries = 1_000_000 queries)", "scores"),
        ("MIFace", "scores(queries = 1_000_000 queries)", "input gradients"),
        ("Yang2019", "label_only(queries = 1_000_000 queries)", "scores"),
        ("BREPMI", "label_only(queries = 10 queries)", "label"),
    ],
)
def test_l26_access_violation(name: str, grant: str, needed: str) -> None:
    """What an attack needs is read off its operators, so that LOMMA (R-MIB-17) cannot be sold as a black-box attack."""
    attack = f"attack inside {{ against = insider  use = [{name}] }}"
    weak = spec(threat=PARTS["threat"].replace("white_box()", grant), attack=attack, gate=OPEN_GATE)
    assert f"attack `{name}` needs more than threat `insider` grants" in title(weak, "E0301")
    (strong,) = lower(sound(spec(attack=attack, gate=OPEN_GATE))).attacks
    assert any(need.startswith(f"{needed}: ") for need in strong.needs), strong.needs


def test_l28_topk_exceeds_classes() -> None:
    text = spec(evaluate=evaluate("leak = attack_accuracy(inside, judge = expert, top = [1, 10])"))
    assert title(text, "E0607") == "top 10 of 10 classes is always reached"


def test_l34_extent_mismatch() -> None:
    metric = '''
metric sameness : leakage {
  """How alike two classes are."""
  param of       : attack
  param secret   : records
  param features : classifier
  measures = [property]
  higher   = better
  unit     = distance
  fields   = []
  python   = "mialang.operators.metrics:feature_distance"
}
'''
    text = spec(extra=metric, evaluate=evaluate("leak = sameness(inside, secret, features = expert)"),
                gate='gate "g" { require leak.gain <= 9 }')  # fmt: skip
    assert "cannot speak for prototype per class" in title(text, "E0306")
    feared = PARTS["threat"].replace("prototype(per = class)", "instance(per = record)")
    assert "E0303" in codes(spec(threat=feared, gate=OPEN_GATE)), "a class average is no record"


def test_l35_strictness_mismatch() -> None:
    """Whether training data of a finished model are at stake is derived, and stands in the plan."""
    (threat,) = lower(sound(spec())).threats
    assert threat.strict
    assert any("strict sense" in sentence for sentence in threat.prose)
