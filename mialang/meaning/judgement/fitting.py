"""Rules 1 to 4 and 8: attacks fit their threats, defenses are not bypassed."""

from __future__ import annotations

from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error, warning
from mialang.meaning.accept import describe
from mialang.meaning.audit import Attack, Audit, Cell, Instance, Threat
from mialang.meaning.catalogue import library_grants, library_recipes
from mialang.meaning.declarations import Operator, Recipe
from mialang.meaning.evaluate import axes_of
from mialang.meaning.fits import (
    Candidate,
    Setting,
    Shortfall,
    access_gaps,
    candidate_of,
    fits,
    setting_of,
    shortfalls,
)
from mialang.meaning.grants import shield_of, training_slot
from mialang.meaning.judgement.affordable import affordable
from mialang.meaning.recipes import holes_for, questions, steps
from mialang.meaning.values import Application, Hole, Value, is_unknown
from mialang.meaning.words import number_words
from mialang.source import Span
from mialang.threat import Access

CODES = {"modality": "E0304", "answers": "E0304", "access": "E0301", "prior": "E0302", "extent": "E0303"}


CANDIDATES = "candidates"  # the kind of what an attack hands over


def cells_of(audit: Audit, threat: Threat, *values: Value) -> list[Cell]:
    """The cells along which a threat and further values vary."""
    axes = frozenset(axis for value in (*threat.values(), *values) for axis in axes_of(value))
    return list(audit.matrix.cells(axes))


def recipes_make_sense(audit: Audit) -> Iterator[Diagnostic]:
    """Every recipe that the spec declares or uses can be worked out; what fails for given arguments is shown with them."""
    told: set[tuple[str, str, Span | None]] = set()
    for identity, home in list(audit.registry.homes.items()):
        noun, module, name = identity.split(":", 2)
        recipe = home.names.get(name)
        if noun == "recipe" and not module.startswith("std.") and isinstance(recipe, Recipe):
            for finding in _sensible(holes_for(recipe), audit):
                told.add(_mistake(finding))
                yield finding
    for attack in audit.attacks.values():
        for instance in attack.use:
            for cell in audit.matrix.cells(frozenset(axes_of(instance.recipe))):
                value = audit.matrix.at(instance.recipe, cell)
                if isinstance(value, Application) and isinstance(value.declaration, Recipe):
                    found = (each for each in _sensible(value, audit) if _mistake(each) not in told)
                    yield from (each.also(instance.span, "used with these arguments") for each in found)


def _mistake(finding: Diagnostic) -> tuple[str, str, Span | None]:
    return finding.code, finding.title, finding.primary.span if finding.primary else None


def _sensible(value: Application, audit: Audit) -> Iterator[Diagnostic]:
    candidate = candidate_of(value, audit.registry)
    assert candidate is not None
    yield from candidate.found
    recipe = candidate.recipe
    for result in candidate.elaborated.results.values():
        if (
            not is_unknown(result)
            and not isinstance(result, Hole)
            and (problem := _not_handed_over(result, recipe, audit))
        ):
            yield problem
    for step in steps(candidate.elaborated.results):
        assert isinstance(step.declaration, Operator)
        if step.declaration.queries is None and any(True for _ in questions(step)):
            yield error(
                "E0243", f"`{step.name}` asks the target and declares no bound on its questions", step.declaration.span
            ).help("add for example `queries = count(about)` to the operator")


def _not_handed_over(result: Value, recipe: Recipe, audit: Audit) -> Diagnostic | None:
    """Why a result is nothing that an attack can be measured by; None where it is what a step puts out."""
    operator = result.declaration if isinstance(result, Application) and result.is_step else None
    if isinstance(operator, Operator) and operator.outputs is not None:
        return None
    if isinstance(operator, Operator) and operator.returns == CANDIDATES:
        finding = error("E0243", f"`{operator.name}` declares no bound on its outputs", operator.span)
        return finding.also(recipe.result.span, "handed over here").help(
            "add for example `outputs = count(classes)` to the operator"
        )
    title = f"`{recipe.name}` hands over {describe(result, audit.registry)}"
    return (
        error("E0243", title, recipe.result.span, "no output of an attack")
        .note("a metric looks at candidates: outputs that claim to be a class or a record")
        .help("end with a step that makes some, such as `best(search, by = confidence(target))`")
    )


def attacks_fit(audit: Audit) -> Iterator[Diagnostic]:
    """Rules 1 to 4: every named attack fits its threat; behind a defense it may stop to apply, which is a warning."""
    for attack in audit.attacks.values():
        threat = audit.threats.get(attack.against)
        if threat is None or not audit.sound(threat):
            continue
        for instance in attack.use:
            for cell in cells_of(audit, threat, instance.recipe):
                yield from _fits_in_cell(audit, instance, threat, cell)
        if attack.every:
            yield from _some_applies(audit, attack, threat)


def _fits_in_cell(audit: Audit, instance: Instance, threat: Threat, cell: Cell) -> Iterator[Diagnostic]:
    setting = setting_of(audit, threat, cell)
    value = audit.matrix.at(instance.recipe, cell)
    candidate = candidate_of(value, audit.registry)
    if setting is None or candidate is None:
        if setting is not None and not is_unknown(value):
            yield error("E0210", f"{describe(value, audit.registry)} is not a recipe", instance.span).help(
                "import recipes with `import std.attack { NAME }`"
            )
        return
    if not candidate.sound:
        return
    undefended = shortfalls(candidate, setting, audit.registry, defended=False)
    for shortfall in undefended:
        yield _misfit(audit, instance, setting, candidate, shortfall)
    if not undefended:
        for shortfall in shortfalls(candidate, setting, audit.registry):
            names = ", ".join(f"`{defense.name}`" for defense in setting.defenses)
            yield (
                warning(
                    "W0306", f"attack `{instance.name}` does not apply behind {names}", instance.span, shortfall.words
                )
                .also(threat.spans.get("defense", threat.spans[""]), "the defense")
                .note("an attack that cannot run is no evidence for a defense: these cells read `not evaluated`")
                .help("add an attack that needs less, so that the defense is tested")
            )


def _misfit(
    audit: Audit, instance: Instance, setting: Setting, candidate: Candidate, shortfall: Shortfall
) -> Diagnostic:
    threat = setting.threat
    name = f"attack `{instance.name}`"
    code = CODES[shortfall.dimension]
    match shortfall.dimension:
        case "modality" | "answers":
            title = f"{name} and threat `{threat.name}` are about different models"
            finding = error(code, title, instance.span, shortfall.words).also(threat.spans["target"], "the target")
        case "access":
            title = f"{name} needs more than threat `{threat.name}` grants"
            finding = error(code, title, instance.span, shortfall.words)
            finding = finding.also(threat.spans["access"], f"grants {access_words(setting.granted)}")
            finding = finding.note(_source_note(audit, shortfall))
        case "prior":
            title = f"{name} reads more than threat `{threat.name}` grants as prior knowledge"
            finding = error(code, title, instance.span, shortfall.words)
            granted = ", ".join(f"`{item}`" for item in setting.counts.granted) or "nothing"
            finding = finding.also(threat.spans.get("prior", threat.spans[""]), f"grants {granted}")
        case "extent":
            gives = candidate.elaborated.gives
            less = gives is not None and audit.registry.extent_order.covers(setting.extent, gives)
            compared = "less than" if less else "something else than what"
            title = f"{name} recovers {compared} threat `{threat.name}` fears"
            finding = error(code, title, instance.span, shortfall.words)
            finding = finding.also(threat.spans["extent"], f"fears {setting.extent.words()}")
            finding = finding.note("a pass here would say nothing about what is feared")
    return finding.help(_way_out(audit, setting, shortfall, candidate))


def access_words(access: Access) -> str:
    """A grant in words."""
    if "weights" in access.sees:
        return "the weights"
    seen = [
        name.replace("_", " ") + (f" up to {size:g}" if size < float("inf") else "")
        for name, size in access.sees.items()
    ]
    held = [name.replace("_", " ") for name in access.holds]
    words = ", ".join(seen + [f"leaked {name}" for name in held]) or "nothing"
    return words + (f"; {access.queries:,.0f} queries" if seen and access.queries < float("inf") else "")


def _source_note(audit: Audit, shortfall: Shortfall) -> str:
    gap = shortfall.gap
    if gap is None or gap.dimension != "sees" or gap.granted:
        return ""
    sources = audit.registry.sights.by_name[gap.name].sources
    if not sources:
        return ""
    return f"{gap.name.replace('_', ' ')} can only come from " + " or ".join(
        source.replace("_", " ") for source in sources
    )


def _way_out(audit: Audit, setting: Setting, shortfall: Shortfall, candidate: Candidate) -> str:
    others = [
        (name, other)
        for name, recipe in {**library_recipes(audit.registry), **audit.recipes}.items()
        if (other := candidate_of(recipe, audit.registry)) is not None
        and not other.recipe.baseline
        and other.recipe.name != candidate.recipe.name
    ]
    fitting = [name for name, other in others if fits(other, setting, audit.registry)]
    if not fitting:
        cheaper = {name: affordable(other, setting, audit.registry) for name, other in others}
        fitting = [f"{name}({lower[0]} = {number_words(lower[1])})" for name, lower in cheaper.items() if lower]
    way = _change(audit, setting, shortfall, candidate)
    if fitting:
        return "; or ".join(filter(None, [f"these fit: {', '.join(sorted(fitting))}", way]))
    alone = (
        ""
        if affordable(candidate, setting, audit.registry)
        else "no attack of the library fits this threat as it stands"
    )
    return "; ".join(filter(None, [way, alone]))


def _change(audit: Audit, setting: Setting, shortfall: Shortfall, candidate: Candidate) -> str:
    """What to change in the threat, or in the attack, so that the two fit."""
    gap = shortfall.gap
    match shortfall.dimension:
        case "access" if gap is not None and gap.dimension == "queries":
            lower = affordable(candidate, setting, audit.registry)
            less = (
                f"write `{lower[0]} = {number_words(lower[1])}`"
                if lower
                else "lower the attack's steps, starts or limits"
            )
            return f"grant at least {gap.needed:,.0f} queries, or {less}"
        case "access":
            enough = _enough_access(audit, setting, candidate)
            return f"grant `{enough}()`" if enough else "grant more"
        case "prior":
            missing = shortfall.words.partition("prior.")[2].rstrip("`")
            return f"grant `{missing} = …` in a `prior`"
        case "extent":
            gives = candidate.elaborated.gives
            assert gives is not None
            shown = f"{gives.name}(per = {gives.per})" if gives.per else gives.name
            return f"fear what it recovers: `extent = {shown}`"
    return ""


def _enough_access(audit: Audit, setting: Setting, candidate: Candidate) -> str:
    """The weakest named grant of the library that would let an attack run beside what is granted; empty where none would."""
    enough = {
        name: access
        for name, access in library_grants(audit.registry).items()
        if not access_gaps(candidate, setting.granted | access, setting, audit.registry)
    }
    weakest = [
        name
        for name, access in enough.items()
        if not any(other <= access and not access <= other for other in enough.values())
    ]
    return min(weakest, default="")


def _some_applies(audit: Audit, attack: Attack, threat: Threat) -> Iterator[Diagnostic]:
    for cell in cells_of(audit, threat):
        setting = setting_of(audit, threat, cell)
        if setting is None:
            return
        candidates = [candidate_of(recipe, audit.registry) for recipe in audit.recipes.values()]
        applies = (
            each is not None and not each.recipe.baseline and fits(each, setting, audit.registry, defended=False)
            for each in candidates
        )
        if audit.complete("import") and not any(applies):
            yield (
                error("E0305", f"no imported recipe applies to threat `{threat.name}`", attack.span)
                .also(threat.spans[""], "the threat")
                .help(
                    f"import recipes that fit; `mialang attacks --against {audit.source.name}#{threat.name}` lists them"
                )
            )
            return


def fixed_models_stay_as_they_are(audit: Audit) -> Iterator[Diagnostic]:
    """A model fixed by its weights cannot be trained anew, so defenses on its data or training have nothing to act on."""
    for threat in audit.threats.values():
        for cell in cells_of(audit, threat):
            setting = setting_of(audit, threat, cell)
            if setting is None:
                break
            operator = setting.target.declaration
            assert isinstance(operator, Operator)
            fixed = [name for name in operator.fixed_by if setting.target.arguments.get(name) is not None]
            for defense in setting.defenses:
                acts = shield_of(defense, audit.registry).acts
                finding = error("E0307", f"`{defense.name}` acts on {acts}, and `{setting.target.label}` cannot be trained anew",
                                defense.span, f"acts on {acts}")  # fmt: skip
                if acts in ("data", "training", "model") and operator.served:
                    yield finding.also(threat.spans["target"], "somebody else runs it").help("use a defense on answers")
                elif acts in ("data", "training") and fixed:
                    yield finding.also(threat.spans["target"], f"fixed by its `{fixed[0]}`").help(
                        f"leave `{fixed[0]}` out and give `{' and '.join(operator.secret)}`, so that it is trained here"
                    )
                elif acts == "training" and training_slot(operator) is None:
                    yield finding.also(threat.spans["target"], f"`{operator.name}` takes no defense on training").help(
                        "use a defense on data or on answers, or a type that can be trained"
                    )
                elif acts == "data" and not operator.secret:
                    yield finding.also(threat.spans["target"], "names no data").help("use a defense on answers")


def defenses_are_not_bypassed(audit: Audit) -> Iterator[Diagnostic]:
    """Rule 8: a defense on answers does nothing against someone who holds the weights, unless what leaked was taken behind it."""
    for threat in audit.threats.values():
        for cell in cells_of(audit, threat):
            setting = setting_of(audit, threat, cell)
            if setting is None:
                break
            for defense in setting.defenses:
                shield, kept = shield_of(defense, audit.registry), audit.registry.observables
                if shield.bypassed_by(setting.granted) and not any(
                    shield.guards(name, kept[name].records) for name in setting.granted.holds
                ):
                    yield (
                        warning("W0308", f"`{defense.name}` does nothing against threat `{threat.name}`", threat.spans["access"],
                                "holds the weights")
                        .also(defense.span or threat.spans["defense"], "changes answers only")
                        .note("who holds the weights computes the answers alone")
                        .help("judge it under a threat that only asks, or leave it out here")
                    )  # fmt: skip
