"""What a threat grants of a graph, and what it does not: read off the spec alone."""

from __future__ import annotations

import pytest

from tests.specs import codes, findings, spec

GRAPH = {
    "imports": """\
import std.graph
import std.access { artefact, inductive_answers, node_answers, node_embeddings, white_box }
import std.attack { GraphMI, GraphMISampled, LinkStealing0, LinkStealing3, LinkTeller }
import std.defense { edge_rand, labels_only, none, round_scores }
import std.metric { link_auc, node_accuracy }
""",
    "data": "data club : graph.KarateClub {}",
    "target": "target victim : graph.NodeClassifier { model = graph.gcn()  trained = club }",
    "judge": "",
    "evaluate": """\
evaluate {
  leak    = link_auc(inside, club)
  utility = node_accuracy(insider.target, club.test_nodes)
}
""",
    "gate": """\
gate "private" {
  control leak.gain.auc >= 0.2 where matrix.defense == none()
  require leak.gain.auc <= 0.1 at 95 % confidence where matrix.defense != none()
}
""",
    "matrix": "matrix { defense = [none(), edge_rand()]  repeat = 5 }",
}
EVERYTHING = "nodes = club.nodes  features = club.features  labels = club.labels  edge_count = club.edge_count"


def text(access: str, recipe: str, prior: str = EVERYTHING, matrix: str = GRAPH["matrix"], **rest: str) -> str:
    threat = f"""\
threat insider {{
  target  = victim
  access  = {access}
  prior   = other
  extent  = links
  defense = matrix.defense
}}
"""
    parts = {**GRAPH, "matrix": matrix, "prior": f"prior other {{ {prior} }}", "threat": threat}
    return spec(**{**parts, "attack": f"attack inside {{ against = insider  use = [{recipe}] }}", **rest})


@pytest.mark.parametrize(("access", "recipe"), [
    ("white_box()", "GraphMI"),
    ("white_box()", "GraphMISampled"),
    ("node_answers(queries = 34 queries)", "LinkStealing0"),
    ("inductive_answers(queries = 35 queries)", "LinkTeller"),
])  # fmt: skip
def test_each_recipe_fits_the_access_that_it_was_made_for(access: str, recipe: str) -> None:
    assert codes(text(access, recipe)) == []


@pytest.mark.parametrize(("access", "recipe", "lacks"), [
    ("white_box()", "LinkStealing0", "node posteriors"),
    ("white_box()", "LinkTeller", "inductive posteriors"),
    ("node_embeddings()", "LinkStealing0", "node posteriors"),
    ("node_answers()", "LinkTeller", "inductive posteriors"),
    ("node_answers() + inductive_answers()", "GraphMI", "weights"),
    ("artefact(released_posteriors)", "LinkStealing0", "node posteriors"),
])  # fmt: skip
def test_weights_do_not_answer_about_the_graph_served_nor_answers_give_weights(
    access: str, recipe: str, lacks: str
) -> None:
    found = [finding for finding in findings(text(access, recipe)) if finding.code == "E0301"]
    assert any(lacks in finding.primary.text for finding in found if finding.primary)


@pytest.mark.parametrize(("recipe", "access", "item"), [
    ("GraphMI", "white_box()", "edge_count"),
    ("GraphMI", "white_box()", "labels"),
    ("GraphMI", "white_box()", "features"),
    ("LinkStealing0", "node_answers()", "nodes"),
    ("LinkStealing3", "node_answers()", "edges"),
    ("LinkTeller", "inductive_answers()", "features"),
])  # fmt: skip
def test_what_is_not_granted_cannot_be_read(recipe: str, access: str, item: str) -> None:
    """R-GMI-G1: a recipe reads the edge budget, or anything of the graph, only where the prior grants it."""
    prior = "  ".join(part for part in EVERYTHING.split("  ") if not part.startswith(item))
    found = [finding for finding in findings(text(access, recipe, prior)) if finding.code == "E0302"]
    assert [finding.primary.text for finding in found if finding.primary] == [f"reads `prior.{item}`"]


def test_one_question_too_few_is_told() -> None:
    assert "E0301" in codes(text("node_answers(queries = 33 queries)", "LinkStealing0"))
    assert "E0301" in codes(text("inductive_answers(queries = 34 queries)", "LinkTeller"))


def test_known_edges_are_a_share_of_the_graphs() -> None:
    prior = EVERYTHING + "  edges = known(club.edges, share = 10 %)"
    assert codes(text("node_answers()", "LinkStealing3", prior)) == []
    assert "E0210" in codes(text("node_answers()", "LinkStealing3", EVERYTHING + "  edges = known(club, share = 10 %)"))
    assert "E0211" in codes(
        text("node_answers()", "LinkStealing3", EVERYTHING + "  edges = known(club.edges, share = 3)")
    )


def test_a_part_of_a_graph_is_granted_as_what_it_is() -> None:
    assert "E0210" in codes(
        text("white_box()", "GraphMI", EVERYTHING.replace("labels = club.labels", "labels = club.features"))
    )
    assert "E0202" in codes(text("white_box()", "GraphMI", EVERYTHING.replace("club.labels", "club.friends")))


@pytest.mark.parametrize("defense", ["labels_only()", "round_scores(digits = 1)"])
def test_defenses_of_answers_do_nothing_to_who_holds_the_weights(defense: str) -> None:
    assert "W0308" in codes(
        text("white_box()", "GraphMI", matrix=f"matrix {{ defense = [none(), {defense}]  repeat = 5 }}")
    )


def test_labels_alone_leave_posteriors_unanswered_and_labels_answered() -> None:
    matrix = "matrix { defense = [none(), labels_only()]  repeat = 5 }"
    assert "W0306" in codes(text("node_answers()", "LinkStealing0", matrix=matrix))
    assert codes(text("node_answers()", "LinkStealing0(from = node_label, by = equal)", matrix=matrix)) == []


def test_image_recipes_do_not_attack_graphs() -> None:
    imports = GRAPH["imports"].replace("LinkTeller }", "LinkTeller, GMI }")
    assert "E0304" in codes(text("white_box()", "GMI", imports=imports))


def test_training_defenses_have_nothing_to_act_on() -> None:
    imports = GRAPH["imports"].replace("edge_rand,", "edge_rand, dp_sgd,")
    matrix = "matrix { defense = [none(), dp_sgd(noise_multiplier = 1)]  repeat = 5 }"
    assert "E0307" in codes(text("white_box()", "GraphMI", imports=imports, matrix=matrix))
