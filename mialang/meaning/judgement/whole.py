"""What concerns the audit as a whole: it asks something, and it fits its budget of queries."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error, warning
from mialang.meaning.audit import Attack, Audit, Instance
from mialang.meaning.estimate import total_queries
from mialang.meaning.evaluate import axes_of
from mialang.meaning.fits import candidate_of, fits, setting_of
from mialang.meaning.judgement.fitting import cells_of
from mialang.meaning.values import DefendedModel, Named, walk
from mialang.source import Span


def something_is_asked(audit: Audit) -> Iterator[Diagnostic]:
    """A spec that asks at all has a threat, an attack and a measurement; a file of things for others to use need not."""
    if not audit.is_library:
        yield from what_is_not_asked(audit)


def what_is_not_asked(audit: Audit) -> Iterator[Diagnostic]:
    """What a file lacks to be an audit; the first thing only, since the others rest on it."""
    if not audit.complete():
        return
    span = Span(audit.source, 0, min(1, len(audit.source.text)))
    threat, attack = next(iter(audit.threats), "THREAT"), next(iter(audit.attacks), "ATTACK")
    for missing, sort, example in (
        ("threat", "threat", "threat NAME { target = …  access = …  extent = … }"),
        ("attack", "attack", f"attack NAME {{ against = {threat}  use = [RECIPE] }}"),
        ("measurement", "evaluate", f"evaluate {{ leak = METRIC({attack}, …) }}"),
    ):
        empty = sort == "evaluate" and not audit.measurements and not audit.unmeasured
        if sort not in audit.written or empty:
            yield (
                error("E0702", f"this spec holds no {missing}", span)
                .note("an audit asks what an adversary recovers: it needs a threat, an attack and a measurement")
                .help(f"write `{example}`")
            )
            return


def everything_is_used(audit: Audit) -> Iterator[Diagnostic]:
    """What is declared and never used is a question that the reader thinks was asked."""
    if not audit.complete("matrix", "threat", "attack", "evaluate") or audit.unmeasured:
        return
    if any(True for _ in something_is_asked(audit)):
        return  # what is missing is told, and nothing can be used before it is there
    uses = [*(value for threat in audit.threats.values() for value in threat.values()), audit.matrix.skip]
    uses += [instance.recipe for attack in audit.attacks.values() for instance in attack.use]
    uses += [measurement.value for measurement in audit.measurements.values()]
    named = {(part.sort, part.name) for value in uses for part in walk(value) if isinstance(part, Named)}
    named |= {("threat", part.threat) for value in uses for part in walk(value) if isinstance(part, DefendedModel)}
    varied = {axis for value in uses for axis in axes_of(value)}
    for axis in audit.matrix.axes.keys() - varied:
        yield (
            warning("W0208", f"nothing varies along the axis `{axis}`", audit.matrix.spans[axis], "never mentioned")
            .note("an axis changes only what mentions it")
            .help(f"write `matrix.{axis}` where it belongs, for example `{axis} = matrix.{axis}` in a `threat`")
        )
    attacked = {attack.against for attack in audit.attacks.values()}
    for name, threat in audit.threats.items():
        if name not in attacked and ("threat", name) not in named:
            yield (
                warning("W0208", f"nobody attacks as the threat `{name}`", threat.spans[""])
                .note("a threat that no attack is run against is not evaluated")
                .help(f"write `attack NAME {{ against = {name}  use = every(applicable) }}`, or remove it")
            )
    for name, attack in audit.attacks.items():
        if audit.measurements and ("attack", name) not in named:
            yield (
                warning("W0208", f"nothing measures the attack `{name}`", attack.span)
                .note("its results would appear nowhere")
                .help(
                    f"write for example `leak = attack_accuracy({name}, judge = …)` in the `evaluate` block, or remove it"
                )
            )


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
        if all(
            setting is not None and fits(candidate, setting, audit.registry, defended=False) for setting in settings
        ):
            found.append(Instance(name, recipe, attack.span))
    return found


def total_queries_fit_the_budget(audit: Audit) -> Iterator[Diagnostic]:
    """The questions of all attacks, cells and repeats together stay within `budget { queries = … }`."""
    limit = audit.budget.queries
    if limit is None:
        return
    asked: dict[str, float] = {}
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
                queries = total_queries(candidate.elaborated, setting.counts) or 0
                asked[attack.name] = asked.get(attack.name, 0) + queries * audit.matrix.repeat
    total = sum(asked.values())
    if total > limit:
        finding = error("E0701", "the attacks may ask more than the budget allows", audit.budget.spans["queries"],
                        f"{limit:,.0f} questions")  # fmt: skip
        for name, queries in asked.items():
            finding = finding.also(audit.attacks[name].span, f"up to {queries:,.0f}, all cells and repeats together")
        yield finding.help(
            f"raise the budget to `{math.ceil(total):_} queries`, or lower steps, starts, limits or repeats"
        )
