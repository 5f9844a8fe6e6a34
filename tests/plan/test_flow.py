"""The flow proof refuses every graph with an injected leak, and no sound one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mialang.plan import Plan, lower
from mialang.plan.flow import OPENINGS, SECRET, leaks, prove_flow
from mialang.plan.model import Node
from tests.specs import codes, sound, spec

PLAN = lower(sound(spec()))
SECRETS = sorted(name for name, node in PLAN.nodes.items() if node.role in SECRET)
ATTACKS = sorted(name for name, node in PLAN.nodes.items() if node.role == "attack")


def with_edge(plan: Plan, source: str, sink: str) -> Plan:
    node = plan.nodes[sink].model_copy(update={"inputs": (*plan.nodes[sink].inputs, source)})
    return plan.model_copy(update={"nodes": {**plan.nodes, sink: node}})


def test_a_sound_plan_has_no_leak() -> None:
    assert leaks(PLAN) == []


@given(st.sampled_from(SECRETS), st.sampled_from(ATTACKS))
def test_every_injected_leak_is_found_with_its_path(source: str, sink: str) -> None:
    found = leaks(with_edge(PLAN, source, sink))
    paths = [path for path in found if path[-1] == sink]
    assert paths
    assert PLAN.nodes[paths[0][0]].role in SECRET
    assert prove_flow(with_edge(PLAN, source, sink))[0].code == "E0703"


@st.composite
def graphs(draw: st.DrawFn) -> Plan:
    roles = [*SECRET, *OPENINGS, "attack", "check"]
    nodes: dict[str, Node] = {}
    for place in range(draw(st.integers(1, 12))):
        inputs = tuple(sorted(draw(st.sets(st.sampled_from(sorted(nodes)), max_size=3)))) if nodes else ()
        name = f"n{place:02}"
        nodes[name] = Node(id=name, label=name, role=draw(st.sampled_from(roles)), operator="o", python="p:f", version=1,
                           kind="k", params={}, inputs=inputs)  # type: ignore[arg-type]  # fmt: skip
    return PLAN.model_copy(update={"nodes": nodes})


@given(graphs())
def test_the_proof_agrees_with_its_definition(plan: Plan) -> None:
    def tainted(name: str) -> bool:
        node = plan.nodes[name]
        if node.role in OPENINGS:
            return False
        return node.role in SECRET or any(tainted(source) for source in node.inputs)

    expected = {name for name, node in plan.nodes.items() if node.role == "attack" and tainted(name)}
    assert {path[-1] for path in leaks(plan)} == expected


def test_a_recipe_that_is_handed_the_secret_is_refused() -> None:
    page = """
recipe Thief : attack.image {
  \"\"\"Thief. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  param loot : images
  gives  = prototype(per = class)
  family = baseline
  result = nearest_public(target, about = loot)
}
"""
    text = spec(attack="attack inside { against = insider  use = [Thief(loot = secret)] }", extra=page,
                gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    assert "E0703" not in codes(text)
    found = prove_flow(lower(sound(text)))
    assert [finding.code for finding in found] == ["E0703"]
    assert "`secret` (Digits) → `nearest_public`" in found[0].notes[0]


def test_a_judge_handed_to_an_attack_is_refused() -> None:
    page = """
recipe Cheat : attack.image {
  \"\"\"Cheat. Nobody, arXiv:0000.00000. Fidelity: none.\"\"\"
  param oracle : classifier
  gives  = prototype(per = class)
  family = baseline
  result = nearest_public(oracle, about = prior.images)
}
"""
    text = spec(attack="attack inside { against = insider  use = [Cheat(oracle = expert)] }", extra=page,
                gate='gate "g" { require leak.gain.top1 <= 90 % }')  # fmt: skip
    assert [finding.code for finding in prove_flow(lower(sound(text)))] == ["E0703"]
