"""A plan in words: threats in prose, values as they are written, objectives as formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mialang.meaning.audit import Audit, Threat
from mialang.meaning.declarations import DefenseDeclaration, Operator
from mialang.meaning.estimate import granted_by, total_queries
from mialang.meaning.evaluate import axes_of
from mialang.meaning.fits import Candidate, Setting, secrets_of, setting_of, trained_on_secret
from mialang.meaning.judgement.fitting import access_words
from mialang.meaning.literals import plain
from mialang.meaning.recipes import steps
from mialang.meaning.registry import Registry
from mialang.meaning.units import Quantity
from mialang.meaning.values import (
    Algebra,
    Application,
    HeldArtefact,
    Hole,
    Part,
    PriorItem,
    Range,
    Sight,
    TargetHandle,
    Value,
    walk,
)
from mialang.plan.model import AttackPlan, Json, ThreatPlan
from mialang.threat import prior_kind

BINDING = {"+": 1, "-": 1, "*": 2, "/": 2}


def text_of(value: Value) -> str:
    """A value as it is written in a spec."""
    match value:
        case Application():
            return value.label or value.text or formula(value)
        case tuple():
            return f"[{', '.join(map(text_of, value))}]"
        case bool():
            return "true" if value else "false"
        case float() if math.isinf(value):
            return "unlimited"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            return value
        case None:
            return "none"
        case Quantity():
            return str(value)
        case Range():
            return f"{value.low:g}..{value.high:g}"
        case Hole():
            return f"matrix.{value.name}" if value.origin == "axis" else value.name
    return formula(value)


def formula(value: Value, names: Mapping[str, str] | None = None) -> str:
    """An objective, a score or a call as a formula; steps are named, not spelled out."""
    names = names or {}
    match value:
        case Algebra(operator="*", operands=(-1, operand)):
            return f"-{formula(operand, names)}"
        case Algebra(operands=operands) if len(operands) == 2:
            left, right = (_bracketed(operand, value.operator, side, names) for side, operand in enumerate(operands))
            return f"{left} {value.operator} {right}"
        case Part():
            return f"{formula(value.base, names)}.{value.name}"
        case PriorItem():
            return f"prior.{value.name}"
        case HeldArtefact():
            return f"held.{value.name}"
        case TargetHandle():
            return "target"
        case Sight():
            return value.name if value.size is None else f"{value.name}({value.size:g})"
        case Application():
            if value.digest in names:
                return names[value.digest]
            return f"{value.name}({', '.join(_arguments(value, names))})"
    return text_of(value)


def told(value: Value) -> str:
    """A value as a formula in which what a spec named goes by that name."""
    labels = {each.digest: each.label for each in walk(value) if isinstance(each, Application) and each.label}
    return formula(value, labels)


def _bracketed(operand: Value, sign: str, side: int, names: Mapping[str, str]) -> str:
    text = formula(operand, names)
    if isinstance(operand, Algebra) and operand.operator in BINDING:
        weaker = BINDING[operand.operator] < BINDING.get(sign, 0)
        if weaker or (side == 1 and sign in "-/" and BINDING[operand.operator] == BINDING[sign]):
            return f"({text})"
    return text


def _arguments(value: Application, names: Mapping[str, str]) -> list[str]:
    """Arguments worth showing: those that differ from a literal default."""
    shown = []
    for place, parameter in enumerate(value.declaration.parameters):
        argument = value.arguments.get(parameter.name)
        default = plain(parameter.default) if parameter.default is not None else None
        if argument is None or (default is not None and argument == default):
            continue
        if parameter.default is not None and default is None and not isinstance(argument, int | float | str):
            continue
        text = formula(argument, names)
        shown.append(text if place == 0 else f"{parameter.name} = {text}")
    return shown


def observables(registry: Registry) -> dict[str, Json]:
    """How observables follow from each other, for handles."""
    return {
        name: {
            "from": list(each.sources or filter(None, [each.records])),
            "python": each.python,
            "version": each.version,
            "size": each.parameters[0].name if each.parameters else "",
            "decoy": each.decoy,
            "artefact": each.artefact,
        }
        for name, each in registry.observables.items()
    }


def attack_plan(attack: str, instance: str, candidate: Candidate, setting: Setting) -> AttackPlan:
    """An attack for the report: where it comes from, what it needs, its searches as formulas."""
    recipe, elaborated = candidate.recipe, candidate.elaborated
    names = {
        value.digest: name
        for name, value in elaborated.lets.items()
        if isinstance(value, Application) and value.is_step
    }
    needed: dict[str, str] = {}
    for reason in candidate.needs.reasons:
        needed.setdefault(reason.observable, f"{reason.observable.replace('_', ' ')}: {reason.words()}")
    needed.update({name: f"leaked {name.replace('_', ' ')}" for name in candidate.needs.access.holds})
    needed.update({name: f"prior {name.replace('_', ' ')}" for name in sorted(candidate.needs.items)})
    formulas: list[str] = []
    for step in steps(elaborated.results):
        assert isinstance(step.declaration, Operator)
        formulas.extend(
            f"{step.name}: minimise {formula(step.arguments[name], names)}" for name in step.declaration.differentiates
        )
    total = total_queries(elaborated, setting.counts)
    return AttackPlan(
        attack=attack,
        instance=instance,
        recipe=recipe.name,
        citation=recipe.citation,
        fidelity=recipe.fidelity,
        family=recipe.family,
        gives=elaborated.gives.words() if elaborated.gives else "",
        needs=tuple(needed.values()),
        formulas=tuple(dict.fromkeys(formulas)),
        queries=math.ceil(total) if total is not None and math.isfinite(setting.granted.queries) else None,
    )


def threat_plan(audit: Audit, threat: Threat) -> ThreatPlan:
    """A threat in prose."""
    cell = next(audit.matrix.cells(), {})
    setting = setting_of(audit, threat, cell)
    assert setting is not None
    operator = setting.target.declaration
    assert isinstance(operator, Operator)
    priors = audit.priors(threat, cell)
    granted = granted_by(priors)
    kind = prior_kind(audit.registry.item(name) for name in granted)
    items = ", ".join(f"{name.replace('_', ' ')} (`{told(value)}`)" for name, value in granted.items())
    secrets = secrets_of(setting.target)
    fixed = operator.served or any(setting.target.arguments.get(name) is not None for name in operator.fixed_by)
    strict = trained_on_secret(setting.target)
    modality = operator.modality
    article = "an" if modality[:1] in "aeiou" else "a"
    target = f"`{setting.target.label or setting.target.name}`"
    about = (
        f"{article} {modality} model of type `{operator.name}`" if modality else f"a model of type `{operator.name}`"
    )
    secret = f"`{told(secrets[0])}`" if secrets else "data that the spec does not name"
    prose = [
        f"{_name(threat.name)} attacks {target}, {about}, to recover {secret}: {setting.extent.words()}.",
        f"It sees: {access_words(setting.granted)}." + _knows(setting),
        f"It was given {items}; the prior is {kind}." if items else "It was given no prior knowledge.",
        _defense(audit, threat),
    ]
    if strict:
        prose.append("The object is training data of a finished model: model inversion in the strict sense.")
    if fixed:
        prose.append(
            f"The model is {'run by somebody else' if operator.served else 'fixed by its weights'}: repeats vary the attack only, and the figures speak for this model."
        )
    return ThreatPlan(
        name=threat.name,
        prose=tuple(prose),
        access=access_words(setting.granted),
        queries=setting.granted.queries if math.isfinite(setting.granted.queries) else None,
        prior=kind,
        extent=setting.extent.words(),
        modality=modality,
        strict=strict,
        fixed_model=fixed,
    )


def _name(name: str) -> str:
    return f"`{name}`"


def _knows(setting: Setting) -> str:
    known = sorted(name.replace("_", " ") for name in setting.granted.knows)
    return f" It knows: {', '.join(known)}." if known else ""


def _defense(audit: Audit, threat: Threat) -> str:
    axes = sorted(axes_of(threat.defense))
    if axes:
        values = "; ".join(f"`{text_of(value)}`" for value in audit.matrix.axes[axes[0]])
        return f"The defense varies: {values}."
    if threat.defense in ((), None):
        return "No defense stands in the way."
    acts = threat.defense.declaration if isinstance(threat.defense, Application) else None
    where = f" (acts on {acts.acts})" if isinstance(acts, DefenseDeclaration) else ""
    return f"The defense is `{text_of(threat.defense)}`{where}."
