"""The judgement: what must hold for an audit to make sense. One rule a function, all of them pure.

 1  modality(attack) covers modality(target)              fitting.attacks_fit
 2  inferred needs of the attack ⊑ access                 fitting.attacks_fit
 3  prior items that it reads ⊆ items granted             fitting.attacks_fit
 4  extent feared ⊑ extent given                          fitting.attacks_fit
 5  extent feared ⊑ extents that the metric measures      measuring.metrics_speak_for_the_extent
 6  a judge is not the target, nor made from it           measuring.judges_are_independent
 7  obligations hold: priors and secret are disjoint      priors.priors_are_disjoint
 8  a defense is not bypassed by the access               fitting.defenses_are_not_bypassed
 9  a gate has a control and can be reached               gating.*
10  flow: on the lowered graph, in mialang.plan.flow
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mialang.diagnostics import Diagnostic
from mialang.meaning.audit import Audit
from mialang.meaning.judgement.cells import cells_have_values
from mialang.meaning.judgement.fitting import (
    attacks_fit,
    defenses_are_not_bypassed,
    fixed_models_stay_as_they_are,
    recipes_make_sense,
)
from mialang.meaning.judgement.forgotten import nothing_is_forgotten
from mialang.meaning.judgement.gating import (
    bounds_exist,
    defenses_have_a_price,
    gates_have_controls,
    leaks_are_repeated,
    rules_ask_for_little_leakage,
    thresholds_can_be_reached,
    utility_speaks_of_the_defended_model,
)
from mialang.meaning.judgement.measuring import (
    judges_are_independent,
    judges_know_the_classes,
    metrics_speak_for_the_extent,
    objectives_look_at_the_target,
    top_k_is_meaningful,
)
from mialang.meaning.judgement.priors import priors_are_disjoint
from mialang.meaning.judgement.whole import everything_is_used, something_is_asked, total_queries_fit_the_budget

Rule = Callable[[Audit], Iterator[Diagnostic]]

RULES: tuple[Rule, ...] = (
    something_is_asked,
    cells_have_values,
    recipes_make_sense,
    attacks_fit,
    metrics_speak_for_the_extent,
    top_k_is_meaningful,
    judges_are_independent,
    judges_know_the_classes,
    objectives_look_at_the_target,
    priors_are_disjoint,
    fixed_models_stay_as_they_are,
    defenses_are_not_bypassed,
    gates_have_controls,
    leaks_are_repeated,
    bounds_exist,
    thresholds_can_be_reached,
    rules_ask_for_little_leakage,
    utility_speaks_of_the_defended_model,
    defenses_have_a_price,
    total_queries_fit_the_budget,
    everything_is_used,
    nothing_is_forgotten,
)


def judge(audit: Audit) -> list[Diagnostic]:
    """Every finding of every rule, each finding once."""
    found: dict[tuple[str, str, object], Diagnostic] = {}
    for rule in RULES:
        for finding in rule(audit):
            place = finding.primary.span if finding.primary else None
            found.setdefault((finding.code, finding.title, place), finding)
    return list(found.values())
