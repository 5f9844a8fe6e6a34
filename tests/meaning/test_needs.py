"""Access is inferred: what a recipe needs follows from what it composes, and nobody has to claim it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.meaning.fits import candidate_of, setting_of, shortfalls
from mialang.threat import KNOWLEDGE, Access
from tests.specs import PARTS, codes, findings, sound, spec

AUDIT = sound(spec())
EXPECTED = {
    "GMI": {"input_gradients", "scores", "top_k", "label"},
    "LOMMA": {"input_gradients", "logits", "features", "scores", "top_k", "label"},
    "MIFace": {"input_gradients", "scores", "top_k", "label"},
    "Yang2019": {"scores", "top_k", "label"},
    "BREPMI": {"label"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_needs_of_the_shipped_recipes(name: str) -> None:
    candidate = candidate_of(AUDIT.recipes[name], AUDIT.registry)
    assert candidate is not None
    assert set(candidate.needs.access.sees) == EXPECTED[name]


OWN = """
recipe Mine : attack.image {
  "Mine. Nobody, arXiv:0000.00000. Fidelity: none."
  gives  = prototype(per = class)
  family = optimization
  let gan    = wgan_gp(on = prior.images, steps = 10)
  let search = descend(over = gan.latent, minimise = LOSS, by = adam(lr = 0.1), steps = 5)
  result = best(search, by = SCORE)
}
"""


def own(loss: str, score: str) -> str:
    text = (
        OWN.replace("LOSS", loss)
        .replace("SCORE", score)
        .replace('"Mine. Nobody', '"""Mine. Nobody')
        .replace('none."', 'none."""')
    )
    return spec(attack="attack inside { against = insider  use = [Mine] }", extra=text,
                threat=PARTS["threat"].replace("white_box()", "GRANT"))  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "score", "grant", "fits"),
    [
        ("cross_entropy(target)", "confidence(target)", "white_box()", True),
        ("cross_entropy(target)", "confidence(target)", "scores()", False),
        ("-realism(gan)", "confidence(target)", "scores()", True),
        ("-realism(gan)", "confidence(target)", "label_only()", False),
        ("-realism(gan)", "agreement(target)", "label_only()", True),
        ("cross_entropy(student)", "agreement(target)", "label_only()", False),
    ],
)
def test_changing_a_term_changes_what_is_needed(loss: str, score: str, grant: str, fits: bool) -> None:
    text = own(loss, score).replace("GRANT", grant)
    if "student" in loss:
        text = text.replace(
            "let search", "let student = distill(target, about = prior.images, into = image.cnn())\n  let search"
        )
    if loss == "-realism(gan)":
        text = text.replace(
            "over = gan.latent, minimise = -realism(gan)",
            "over = gan.latent, minimise = 0 * cross_entropy(other) - realism(gan)",
        )
        text = text.replace("let search", "let other = distill(target, about = prior.images, into = image.cnn())\n  let search") \
            if grant == "scores()" else text.replace("minimise = 0 * cross_entropy(other) - realism(gan)", "minimise = -1 * realism(gan)")  # fmt: skip
    found = codes(text)
    assert ("E0301" in found) is not fits, [finding.title for finding in findings(text)]


def test_asking_ones_own_student_needs_nothing() -> None:
    text = own("cross_entropy(student)", "agreement(target)").replace("GRANT", "scores()")
    text = text.replace(
        "let search", "let student = distill(target, about = prior.images, into = image.cnn())\n  let search"
    )
    assert "E0301" not in codes(text)


def test_the_message_names_the_operator_that_causes_the_need() -> None:
    text = spec(threat=PARTS["threat"].replace("white_box()", "scores(queries = 5_000 queries)"))
    (finding,) = [each for each in findings(text) if each.code == "E0301"]
    assert finding.primary is not None
    assert finding.primary.text == "descend differentiates cross_entropy(target): needs input gradients"
    assert finding.others[0].text == "grants scores, top k, label; 5,000 queries"
    assert "input gradients can only come from weights" in finding.notes
    assert finding.helps[0] == "these fit: Yang2019; or grant `white_box()`"


def test_a_budget_below_the_estimate_is_a_need_unmet() -> None:
    threat = PARTS["threat"].replace("white_box()", "label_only(queries = 10 queries)")
    text = spec(threat=threat, attack="attack inside { against = insider  use = [BREPMI(at_most = 100)] }")
    (finding,) = [each for each in findings(text) if each.code == "E0301"]
    assert finding.primary is not None
    assert finding.primary.text == "needs 500 queries, 10 are granted"
    assert "E0301" not in codes(text.replace("10 queries", "500 queries"))


sights = st.dictionaries(
    st.sampled_from(sorted(AUDIT.registry.sights.by_name)),
    st.one_of(st.just(math.inf), st.integers(1, 9).map(float)),
    max_size=4,
)
grants = st.builds(
    lambda sees, queries, knows: Access.of(AUDIT.registry.sights, sees=sees, queries=queries, knows=knows),
    sights, st.sampled_from([0.0, 1e3, 1e6, math.inf]), st.frozensets(st.sampled_from(KNOWLEDGE)),
)  # fmt: skip


@given(st.sampled_from(sorted(EXPECTED)), grants, grants)
def test_granting_more_never_makes_a_legal_attack_illegal(name: str, less: Access, more: Access) -> None:
    from dataclasses import replace

    setting = setting_of(AUDIT, AUDIT.threats["insider"], {"defense": 0})
    candidate = candidate_of(AUDIT.recipes[name], AUDIT.registry)
    assert setting is not None
    assert candidate is not None
    weak = replace(setting, granted=less, access=less)
    strong = replace(setting, granted=less | more, access=less | more)
    if not shortfalls(candidate, weak, AUDIT.registry):
        assert not shortfalls(candidate, strong, AUDIT.registry)


TWO = """
recipe Two : attack.image {
  \"\"\"Two. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  let gan    = wgan_gp(on = prior.images, steps = 10)
  let search = descend(over = gan.latent, minimise = cross_entropy(target), by = adam(lr = 0.1), steps = 5)
  result = { sure = best(search, by = confidence(target)), any = search }
}
recipe Wrapped : attack.image {
  \"\"\"Wrapped. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  let base = GMI(steps = 7)
  result = best(base.search, by = confidence(target), keep = 2)
}
"""


def test_a_recipe_may_hand_over_several_results_and_a_gate_picks_one() -> None:
    from mialang.plan import lower

    text = spec(attack="attack inside { against = insider  use = [Two] }", extra=TWO,
                gate='gate "g" { control leak[Two.sure].gain.top1 >= 1 %  require leak.gain.top1 <= 99 % }')  # fmt: skip
    assert {arm.instance for arm in lower(sound(text)).arms} == {"Two.sure", "Two.any"}
    assert "E0602" in codes(text.replace("Two.sure", "Two.sre"))


def test_a_recipe_may_be_called_like_a_step_and_its_parts_named() -> None:
    from mialang.plan import lower

    text = spec(attack="attack inside { against = insider  use = [Wrapped, GMI(steps = 7)] }", extra=TWO,
                gate='gate "g" { control leak.gain.top1 >= 1 %  require leak.gain.top1 <= 99 % }')  # fmt: skip
    audit = sound(text)
    candidate = candidate_of(audit.recipes["Wrapped"], audit.registry)
    assert candidate is not None
    assert set(candidate.needs.access.sees) == EXPECTED["GMI"]
    searches = [node for node in lower(audit).nodes.values() if node.operator == "descend"]
    assert len(searches) == 2 * 10, "the wrapper shares the search of the attack that it wraps"


def test_recipes_that_call_each_other_in_a_circle_are_a_finding() -> None:
    page = """
recipe Round : attack.image {
  \"\"\"Round. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  result = Trip()
}
recipe Trip : attack.image {
  \"\"\"Trip. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  gives  = prototype(per = class)
  family = optimization
  result = Round()
}
"""
    assert "E0232" in codes(spec(extra=page, attack="attack inside { against = insider  use = [Round] }"))
