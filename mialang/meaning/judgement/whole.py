"""What concerns the audit as a whole: it asks something, and it fits its budget of queries."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.audit import Attack, Audit, Instance
from mialang.meaning.estimate import total_queries
from mialang.meaning.fits import candidate_of, fits, setting_of
from mialang.meaning.judgement.fitting import cells_of
from mialang.source import Span


def something_is_asked(audit: Audit) -> Iterator[Diagnostic]:
    """A spec without a threat, an attack or a measurement asks nothing."""
    text = audit.source.text
    span = Span(audit.source, 0, min(1, len(text)))
    for missing, present, example in (
        ("threat", audit.threats, "threat NAME { target = …  access = …  extent = … }"),
        ("attack", audit.attacks, "attack NAME { against = THREAT  use = [RECIPE] }"),
        ("measurement", audit.measurements, "evaluate { leak = attack_accuracy(NAME, judge = …) }"),
    ):
        if not present:
            yield error("E0702", f"this spec holds no {missing}", span).help(f"write `{example}`")
            return


def instances_of(audit: Audit, attack: Attack) -> list[Instance]:
    """The recipes of an attack by name; `every(applicable)` is every imported recipe that fits undefended."""
    if not attack.every:
        return list(attack.use)
    threat = audit.threats.get(attack.against)
    if threat is None:
        return []
    found = []
    for name, recipe in audit.recipes.items():
        candidate = candidate_of(recipe, audit.registry)
        settings = [setting_of(audit, threat, cell) for cell in cells_of(audit, threat)]
        if candidate is None or candidate.recipe.baseline:
            continue
        if all(setting is not None and fits(candidate, setting, audit.registry, defended=False) for setting in settings):
            found.append(Instance(name, recipe, attack.span))
    return found


def total_queries_fit_the_budget(audit: Audit) -> Iterator[Diagnostic]:
    """The questions of all attacks, cells and repeats together stay within `budget { queries = … }`."""
    limit = audit.budget.queries
    if limit is None:
        return
    total = 0.0
    for attack in audit.attacks.values():
        threat = audit.threats.get(attack.against)
        if threat is None:
            return
        for instance in instances_of(audit, attack):
            for cell in cells_of(audit, threat, instance.recipe):
                setting = setting_of(audit, threat, cell)
                candidate = candidate_of(audit.matrix.at(instance.recipe, cell), audit.registry)
                if setting is None or candidate is None or not candidate.sound:
                    return
                if math.isinf(setting.granted.queries) and "weights" in setting.granted.sees:
                    continue
                total += (total_queries(candidate.elaborated, setting.counts) or 0) * audit.matrix.repeat
    if total > limit:
        yield error("E0701", f"the attacks may ask up to {total:,.0f} questions", audit.budget.spans["queries"],
                    f"the budget allows {limit:,.0f}").help("raise the budget, or lower steps, starts or limits")  # fmt: skip
