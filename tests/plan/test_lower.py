"""Lowering merges what is equal, keeps apart what is not, and derives seeds from what is computed."""

from __future__ import annotations

from collections import Counter

import pytest

from mialang.cli.words import plan_words
from mialang.plan import Plan, lower
from mialang.plan.cost import Cost
from mialang.plan.emit import as_dot, as_json, as_mermaid, as_script, plan_schema, read_plan
from mialang.plan.model import references
from tests.specs import PARTS, sound, spec


def plan_of(**changed: str) -> Plan:
    return lower(sound(spec(**changed)))


def count(plan: Plan, operator: str, role: str = "") -> int:
    return sum(node.operator == operator and role in ("", node.role) for node in plan.nodes.values())


def test_a_target_is_trained_once_a_repeat_and_a_judge_once() -> None:
    plan = plan_of()
    assert count(plan, "Classifier", "target") == 2 * 5
    assert count(plan, "Classifier", "judge") == 1
    assert count(plan, "Digits") == 4


def test_two_recipes_share_the_gan_they_both_train() -> None:
    one = plan_of()
    two = plan_of(attack="attack inside { against = insider  use = [GMI(keep = 5), LOMMA(keep = 5)] }")
    assert count(one, "wgan_gp") == count(two, "wgan_gp") == 5


def test_a_draw_asks_for_an_independent_twin() -> None:
    page = """
recipe Twins : attack.image {
  \"\"\"Twins. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  let first  = wgan_gp(on = prior.images, steps = 5)
  let second = wgan_gp(on = prior.images, steps = 5, draw = 2)
  let search = descend(over = first.latent, minimise = cross_entropy(target) - realism(second), by = adam(lr = 0.1), steps = 5)
  result = best(search, by = confidence(target), keep = 5)
}
"""
    plan = plan_of(attack="attack inside { against = insider  use = [Twins] }", extra=page)
    seeds = [node.seed for node in plan.nodes.values() if node.operator == "wgan_gp"]
    assert len(seeds) == len(set(seeds)) == 10


def test_cells_are_counted_without_the_skipped_ones() -> None:
    assert plan_of().cells == 2
    skipping = "matrix { defense = [none(), negative_label_smoothing()]  keep = [5, 10, 20]  skip = {}  repeat = 5 }"
    skipped = "matrix.keep == 20 or matrix.keep == 10 and matrix.defense != none()"
    used = "attack inside { against = insider  use = [GMI(keep = matrix.keep)] }"
    plan = plan_of(matrix=skipping.replace("{}", skipped), attack=used)
    assert plan.cells == 3
    assert "3 keep (3 cells, the others skipped) × 5 repeats" in plan_words(
        plan, Cost(nodes=0, cached=0, seconds=0, unknown=0, queries=0, usd=0)
    )


def test_a_grant_is_told_as_what_it_came_to() -> None:
    """Names that a spec gave stay; what it chose among by a parameter is told as chosen."""
    prior = (
        "param tiny : bool = true\nprior other { images = minus(image.Digits(classes = [7..9, 5..6][tiny]), secret) }"
    )
    (threat,) = plan_of(prior=prior).threats
    assert any(
        "images (`minus(Digits(all, classes = [5, 6]), without = secret)`)" in sentence for sentence in threat.prose
    ), threat.prose


def test_adding_a_defense_changes_no_other_cell() -> None:
    few = plan_of()
    many = plan_of(
        matrix="matrix { defense = [none(), negative_label_smoothing(), negative_label_smoothing(alpha = -0.1)]  repeat = 5 }"
    )
    assert set(few.nodes) <= set(many.nodes)
    assert all(few.nodes[name].seed == many.nodes[name].seed for name in few.nodes)


def test_more_repeats_keep_the_first_ones() -> None:
    few = plan_of(gate='gate "g" { require utility >= 1 % }', matrix="matrix { defense = [none()]  repeat = 2 }")
    many = plan_of(gate='gate "g" { require utility >= 1 % }', matrix="matrix { defense = [none()]  repeat = 3 }")
    assert set(few.nodes) <= set(many.nodes)


def test_the_root_seed_changes_what_is_drawn_and_nothing_else() -> None:
    audit = sound(spec())
    one, other = lower(audit, 0), lower(audit, 1)
    drawn = {node.seed for node in one.nodes.values() if node.seed is not None}
    assert drawn.isdisjoint({node.seed for node in other.nodes.values()})
    assert Counter(node.operator for node in one.nodes.values()) == Counter(
        node.operator for node in other.nodes.values()
    )
    kept = {node.id for node in one.nodes.values() if node.seed is None and node.repeat is None}
    assert kept <= set(other.nodes)


def test_a_defense_that_is_bypassed_costs_nothing() -> None:
    plain = plan_of(
        matrix="matrix { defense = [none()]  repeat = 5 }", gate='gate "g" { require leak.gain.top1 <= 90 % }'
    )
    bypassed = plan_of(matrix="matrix { defense = [none(), round_scores()]  repeat = 5 }",
                       gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    attack = {node.id for node in plain.nodes.values() if node.role == "attack"}
    assert {node.id for node in bypassed.nodes.values() if node.role == "attack"} == attack


def test_every_attack_has_its_blind_control_and_baselines() -> None:
    plan = plan_of()
    arms = Counter((arm.instance, arm.arm, arm.baseline) for arm in plan.arms)
    assert arms == {
        ("GMI", "attack", ""): 10, ("GMI", "blind", ""): 10,
        ("GMI", "baseline", "ClassMeanOfPrior"): 10, ("GMI", "baseline", "NearestPublic"): 10,
    }  # fmt: skip
    decoys = [node for node in plan.nodes.values() if node.role == "handle" and node.params["decoy"]]
    assert decoys
    off = plan_of(attack="attack inside { against = insider  use = [GMI(keep = 5)]  controls = none }",
                  gate='gate "g" { control leak.top1 >= 1 %  require leak.top1 <= 90 % }')  # fmt: skip
    assert {arm.arm for arm in off.arms} == {"attack"}
    assert not off.controls


def test_blind_runs_are_free_and_real_ones_are_capped_by_their_estimate() -> None:
    threat = PARTS["threat"].replace("white_box()", "label_only(queries = 1_000 queries)")
    plan = plan_of(threat=threat, attack="attack inside { against = insider  use = [BREPMI(at_most = 100)] }",
                   gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    for arm in plan.arms:
        caps = [plan.nodes[name].queries for name in arm.nodes]
        if arm.arm == "blind":
            assert caps == [None]
        elif arm.arm == "attack":
            assert caps == [500]
            assert [plan.nodes[name].granted for name in arm.nodes] == [1_000]


def test_the_steps_of_an_attack_are_granted_what_they_need_and_together_no_more_than_the_threat_allows() -> None:
    page = """
recipe Picky : attack.image {
  \"\"\"Picky. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = training
  let pairs   = ask(target, scores, about = prior.images)
  let decoder = fit_inverse_decoder(on = pairs, epochs = 1)
  result = best(decode_classes(decoder), by = confidence(target), keep = 1)
}
"""
    plan = plan_of(threat=PARTS["threat"].replace("white_box()", "scores(queries = 5_001 queries)"), extra=page,
                   attack="attack inside { against = insider  use = [Picky] }",
                   gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    arms = [[plan.nodes[name] for name in arm.nodes] for arm in plan.arms if arm.arm == "attack"]
    assert arms
    for nodes in arms:
        spare = {(node.granted or 0) - (node.queries or 0) for node in nodes}
        assert len(nodes) == 2
        assert len(spare) == 1
        assert min(spare) > 0
        assert sum(node.granted or 0 for node in nodes) in (5_000, 5_001)


def test_an_attack_behind_a_defense_that_hides_its_sight_is_not_evaluated() -> None:
    threat = PARTS["threat"].replace("white_box()", "scores()")
    plan = plan_of(threat=threat, attack="attack inside { against = insider  use = [Yang2019] }",
                   matrix="matrix { defense = [none(), labels_only()]  repeat = 5 }",
                   gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    hidden = [arm for arm in plan.arms if arm.cell == {"defense": 1}]
    assert hidden
    assert all(arm.node is None and "labels_only" in arm.reason for arm in hidden)


def test_nodes_stand_after_what_they_need() -> None:
    plan = plan_of()
    seen: set[str] = set()
    for node in plan.nodes.values():
        assert {*node.inputs, *node.after} <= seen
        assert set(references(node.params)) == set(node.inputs)
        seen.add(node.id)


def test_no_attack_runs_before_the_overlap_is_checked() -> None:
    plan = plan_of()
    checks = {node.id for node in plan.nodes.values() if node.role == "check"}
    assert checks
    for node in plan.nodes.values():
        if node.role in ("grant", "handle") and node.operator == "grant":
            assert set(node.after) == checks


# -- writing it down -----------------------------------------------------------------------------------------------


def test_a_plan_survives_json() -> None:
    plan = plan_of()
    again, found = read_plan(as_json(plan), "plan.json")
    assert found == []
    assert again == plan
    assert again is not None
    assert again.key == plan.key


def test_a_plan_is_the_same_whatever_its_spec_is_called() -> None:
    one, other = (lower(sound(spec(), name)) for name in ("audit.mia", "elsewhere/copy.mia"))
    assert one.spec_name != other.spec_name
    assert next(iter(one.nodes.values())).place != next(iter(other.nodes.values())).place
    assert one.key == other.key
    assert one.key != lower(sound(spec(attack="attack inside { against = insider  use = [GMI(keep = 6)] }"))).key


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"nodes": 3}', "null"])
def test_what_is_no_plan_is_a_finding(text: str) -> None:
    plan, found = read_plan(text, "plan.json")
    assert plan is None
    assert [finding.code for finding in found] == ["E0710"]


def test_the_schema_of_a_plan_names_its_parts() -> None:
    assert {"nodes", "gates", "readings", "threats", "seed"} <= set(plan_schema()["properties"])


def test_drawings_show_every_sort_of_node_once() -> None:
    plan = plan_of()
    for text in (as_mermaid(plan), as_dot(plan)):
        assert text.count("victim: Classifier") == 1
        assert "×10" in text
    assert len(as_mermaid(plan, whole=True).splitlines()) > len(plan.nodes)


def test_the_script_is_python_and_calls_every_node() -> None:
    plan = plan_of()
    text = as_script(plan)
    compile(text, "script.py", "exec")
    for node in plan.nodes.values():
        assert (repr(node.id) in text) is not node.passes_on


UNSIZED = {
    "data": PARTS["data"].replace(
        "data public : image.Digits { classes = 5..9 }", 'data public : image.Npz { path = "p.npz" }'
    ),
    "threat": PARTS["threat"].replace("white_box()", "scores(queries = 1_000 queries)"),
    "attack": "attack inside { against = insider  use = [Yang2019] }",
    "gate": 'gate "g" { require leak.gain.top1 <= 99 % }',
}


def test_a_count_that_only_the_data_know_is_asked_for_and_caps_the_questions() -> None:
    audit = sound(spec(**UNSIZED))

    def caps(plan: Plan) -> set[int | None]:
        return {plan.nodes[name].queries for arm in plan.arms if arm.arm == "attack" for name in arm.nodes}

    assert caps(lower(audit)) == {1000}, "without a count the whole budget is the cap"
    asked: list[str] = []

    def measure(plan: Plan) -> dict[str, int]:
        asked.extend(node.operator for node in plan.nodes.values() if node.role == "data")
        return {node.id: 70 for node in plan.nodes.values() if node.operator == "Npz"}

    assert 70 in caps(lower(audit, 0, measure))
    assert "Npz" in asked
    from mialang.meaning.judgement.fitting import attacks_fit

    assert [finding.code for finding in attacks_fit(audit)] == []
    audit.measured.update(dict.fromkeys(audit.measured, 5_000))
    assert {finding.code for finding in attacks_fit(audit)} == {"E0301"}


def test_counts_that_the_spec_tells_need_no_data() -> None:
    def measure(plan: Plan) -> dict[str, int]:
        raise AssertionError("no data need be read")

    lower(sound(spec()), 0, measure)


def test_an_attack_on_the_weights_is_blinded_by_a_model_trained_on_the_prior() -> None:
    page = """
observable layer_statistics { \"\"\"Something that only the weights tell.\"\"\" from = [weights]  decoy = retrained }
operator guess : candidates {
  \"\"\"Guess from the weights.\"\"\"
  param of    : classifier { sees = [weights] }
  param about : images
  queries = 0
  outputs = count(classes)
  python  = "mialang.operators.baselines:class_means"
}
recipe Reader : attack.image {
  \"\"\"Reader. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  result = guess(target, about = prior.images)
}
"""
    changed = {"attack": "attack inside { against = insider  use = [Reader] }", "extra": page,
               "gate": 'gate "g" { require leak.gain.top1 <= 99 % }'}  # fmt: skip
    plan = plan_of(**changed)
    blind = next(arm for arm in plan.arms if arm.arm == "blind" and arm.cell == {"defense": 0})
    assert blind.node is not None
    handle = plan.nodes[next(name for name in plan.nodes[blind.node].inputs if plan.nodes[name].role == "handle")]
    decoy = plan.nodes[handle.inputs[0]]
    assert (decoy.operator, decoy.label) == ("Classifier", "victim_decoy")
    assert plan.nodes[decoy.params["trained"]["$node"]].operator == "relabelled"
    bare = plan_of(
        prior="prior other { images = public }",
        **{**changed, "extra": page.replace("about = prior.images", "about = prior.images")},
    )
    assert bare.key == plan.key
    unable = plan_of(**{**changed, "threat": PARTS["threat"].replace("prior   = other\n", ""),
                        "extra": page.replace("param about : images\n", "").replace(", about = prior.images", "")})  # fmt: skip
    missing = [arm for arm in unable.arms if arm.arm == "blind"]
    assert all(arm.node is None and "prior grants nothing" in arm.reason for arm in missing)
