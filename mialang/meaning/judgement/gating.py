"""Rule 9: a gate has a control, is backed by repeats, and can be reached."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error, warning
from mialang.meaning.audit import (
    Audit,
    Cell,
    Comparison,
    Constant,
    Gate,
    GateRule,
    Instance,
    Reading,
    Threat,
    readings,
)
from mialang.meaning.declarations import DefenseDeclaration
from mialang.meaning.estimate import size_of
from mialang.meaning.fits import candidate_of, setting_of
from mialang.meaning.judgement.fitting import cells_of
from mialang.meaning.judgement.scales import (
    DIFFERENCES,
    comparisons,
    elsewhere,
    outcome,
    reads_itself,
    scale_of,
    side_of,
)
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.read import attack_of, threat_of
from mialang.meaning.values import Application, DefendedModel
from mialang.meaning.words import article, measure_words

ENOUGH_REPEATS = 5
NOUNS = ("share", "area", "distance")  # units that say what is measured
CONTROLS = ("blind", "baseline")  # views of what was recovered without the target
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}


def least_upper_bound(trials: float, confidence: float) -> float:
    """The smallest upper bound that a rate can get: none of `trials` succeeded (Clopper and Pearson, 1934)."""
    return float(1 - (1 - confidence) ** (1 / trials))


def _leaks(rule: GateRule, audit: Audit) -> list[Reading]:
    return [reading for reading in rule.readings() if audit.measurements[reading.measurement].metric.sort == "leakage"]


def gates_have_controls(audit: Audit) -> Iterator[Diagnostic]:
    """A gate on leakage without a positive control passes even if the attack is broken."""
    for gate in audit.gates:
        guarded = [reading for rule in gate.rules if rule.verb == "require" for reading in _leaks(rule, audit)]
        if guarded and "control" not in gate.verbs:
            part = f".{guarded[0].field}" if guarded[0].field else ""
            unit = " %" if audit.measurements[guarded[0].measurement].metric.unit == "share" else ""
            yield (
                warning(
                    "W0603", f"the gate “{gate.title}” has no control", gate.span, "passes even if the attack is broken"
                )
                .note("a positive control shows that the attack works where it should")
                .help(
                    f"add for example `control {guarded[0].measurement}.gain{part} >= 40{unit}`, `where` nothing defends"
                )
            )


def leaks_are_repeated(audit: Audit) -> Iterator[Diagnostic]:
    """Fewer than five repeats say little about how much leakage varies."""
    repeat = audit.matrix.repeat
    if not audit.complete("matrix"):
        return
    for gate in audit.gates:
        for rule in gate.rules:
            if rule.verb == "require" and _leaks(rule, audit) and repeat < ENOUGH_REPEATS:
                if rule.confidence is not None and repeat == 1:
                    break  # told as an error: there is no bound at all
                yield (
                    _beside_repeat(
                        warning("W0604", f"the gate “{gate.title}” rests on {_times(repeat)}", rule.span), audit
                    )
                    .note("model inversion varies from run to run by ten points and more")
                    .help(f"write `repeat = {ENOUGH_REPEATS}` in a `matrix` block")
                )
                break


def _beside_repeat(finding: Diagnostic, audit: Audit) -> Diagnostic:
    """A finding about too few repeats, with the place that says how many there are."""
    span = audit.matrix.spans.get("repeat")
    return finding if span is None else finding.also(span, _times(audit.matrix.repeat))


def _times(repeat: int) -> str:
    return "a single run" if repeat == 1 else f"{repeat} repeats"


def bounds_exist(audit: Audit) -> Iterator[Diagnostic]:
    """A level of confidence needs at least two repeats."""
    if not audit.complete("matrix"):
        return
    for _, rule in _rules(audit):
        if rule.confidence is not None and audit.matrix.repeat < 2 and any(rule.readings()):
            yield (
                _beside_repeat(error("E0604", "a single run has no confidence interval", rule.span), audit)
                .note("a bound says how far a result may be off, and one result does not vary")
                .help(f"write `repeat = {ENOUGH_REPEATS}` in a `matrix` block, or leave out `at … confidence`")
            )


def _rules(audit: Audit) -> Iterator[tuple[Gate, GateRule]]:
    return ((gate, rule) for gate in audit.gates for rule in gate.rules)


def _against_constant(comparison: Comparison) -> tuple[Reading, str, Constant] | None:
    """A measurement, the sign, and the number that it is compared with, whichever stands first; None for what is no such thing."""
    left, sign, right = comparison.left, comparison.sign, comparison.right
    if isinstance(left, Constant):
        left, sign, right = right, FLIPPED[sign], left
    return (left, sign, right) if isinstance(left, Reading) and isinstance(right, Constant) else None


def thresholds_can_be_reached(audit: Audit) -> Iterator[Diagnostic]:
    """A bound that no result could meet makes a gate that can never pass; one that every result meets says nothing."""
    for _, rule in _rules(audit):
        for comparison, turned in comparisons(rule.condition):
            yield from _decided(audit, rule, comparison)
            against = _against_constant(comparison)
            if against is None:
                continue
            reading, sign, threshold = against
            metric = audit.measurements[reading.measurement].metric
            if (
                metric.unit == "share"
                and not turned  # the opposite of a comparison rests on no bound
                and rule.confidence is not None
                and sign in ("<=", "<")
                and metric.sort == "leakage"
                and audit.complete("matrix")
                and audit.matrix.repeat > 1  # a single run has no bound at all, which is told
            ):
                yield from _too_few(audit, rule, reading, threshold)


def _decided(audit: Audit, rule: GateRule, comparison: Comparison) -> Iterator[Diagnostic]:
    """A comparison of which the scales of what is measured, or its two sides, say beforehand how it ends."""
    cells = list(_covered(audit, rule)) if elsewhere(comparison) else [{}]
    outcomes = [outcome(comparison, cell, audit) for cell in cells]
    itself = [reads_itself(comparison, cell, audit) for cell in cells]
    if False in outcomes:
        lost = [own for own, result in zip(itself, outcomes, strict=True) if result is False]
        finding = error("E0603", "no result can meet this threshold", rule.span)
        note = "both sides read the same measurement" if all(lost) else _scales(audit, comparison, cells[0])
        if len(lost) < len(cells):
            yield finding.note(f"{note}, in {len(lost)} of {len(cells)} cells").help("leave them out with `where`")
        else:
            yield finding.note(note).help("write a threshold that a result could meet")
    elif cells and all(itself):
        yield (
            error("E0608", f"this `{rule.verb}` compares a measurement with itself", rule.span, "whatever is measured")
            .note("both sides read the same measurement in the same cell")
            .help("compare it with another cell: `where` an axis has another value")
        )
    elif cells and all(outcomes):
        yield (
            error("E0608", f"this `{rule.verb}` always holds", rule.span, "whatever is measured")
            .note(_scales(audit, comparison, cells[0]))
            .help("write a threshold that a result could miss, or leave the rule out")
        )
    elif comparison.sign in ("==", "!=") and _is_continuous(audit, comparison) and None in outcomes:
        yield _equality(rule, comparison)


def _covered(audit: Audit, rule: GateRule) -> Iterator[Cell]:
    """The cells that a rule speaks of."""
    if audit.complete("matrix"):
        matrix = audit.matrix
        yield from (cell for cell in matrix.cells(rule.axes) if rule.where is None or matrix.truth(rule.where, cell))


def _scales(audit: Audit, comparison: Comparison, cell: Cell) -> str:
    """Between which values the sides of a comparison lie, in words."""
    words = []
    for term, name in ((comparison.left, "left"), (comparison.right, "right")):
        if isinstance(term, Constant):
            continue
        low, high = side_of(term, cell, audit).span
        unit = next(audit.measurements[each.measurement].metric.unit for each in readings(term))
        factor, sign = (100, " %") if unit == "share" else (1, "")
        measured = f"{article(unit)} {unit}" if unit in NOUNS else measure_words(unit)
        what = measured if isinstance(term, Reading) else f"the {name} side"
        ends = f"between {low * factor:g}{sign} and {high * factor:g}{sign}"
        if math.isinf(high) or math.isinf(low):
            ends = f"at {low:g} or above" if math.isfinite(low) else f"at {high:g} or below"
        words.append(f"{what} lies {ends}")
    return ", and ".join(words)


def _is_continuous(audit: Audit, comparison: Comparison) -> bool:
    """Whether what is compared could have any value in between, and is not asked for at the end of its scale."""
    sides = (comparison.left, comparison.right)
    units = {audit.measurements[each.measurement].metric.unit for side in sides for each in readings(side)}
    ends = {end for side in sides if isinstance(side, Reading) for end in scale_of(side, audit)}
    return units.isdisjoint({"queries"}) and not any(
        isinstance(side, Constant) and side.value in ends for side in sides
    )


def _equality(rule: GateRule, comparison: Comparison) -> Diagnostic:
    if comparison.sign == "==":
        title = f"this `{rule.verb}` asks whether a measurement equals a value exactly"
        finding = warning("W0610", title, rule.span, "never so")
    else:
        finding = error("E0608", f"this `{rule.verb}` holds whatever comes out", rule.span, "always so")
    varies = "what is measured varies from run to run, and hits one value by accident only"
    return finding.note(varies).help("compare with `<=` or `>=`")


def rules_ask_for_little_leakage(audit: Audit) -> Iterator[Diagnostic]:
    """A `require` that holds only where much leaks is a control, or its sign is turned round."""
    for _, rule in _rules(audit):
        for comparison, turned in comparisons(rule.condition) if rule.verb != "control" else ():
            against = _against_constant(comparison)
            if against is None:
                continue
            reading, sign, _ = against
            metric = audit.measurements[reading.measurement].metric
            is_worse = metric.higher == "worse" or reading.view in DIFFERENCES  # a gain is what the attack has ahead
            worse = (">=", ">") if is_worse else ("<=", "<")
            if metric.sort != "leakage" or sign not in worse or reading.view in CONTROLS:
                continue
            if outcome(comparison, {}, audit) is not None:
                continue  # told as a rule that cannot fail, or cannot hold
            more = "more" if is_worse else "less"
            turn = "leave `not` out" if turned else f"write `{FLIPPED[comparison.sign]}`"
            yield (
                warning("W0611", f"this `{rule.verb}` holds where much leaks", rule.span, f"{more} of it is worse")
                .note(f"`{metric.name}` measures leakage; a gate says how little must leak")
                .help(f"{turn}, or write `control` where the attack should succeed")
            )


def _too_few(audit: Audit, rule: GateRule, reading: Reading, threshold: Constant) -> Iterator[Diagnostic]:
    measurement = audit.measurements[reading.measurement]
    attack = audit.attacks.get(attack_of(measurement) or "")
    threat = audit.threats.get(threat_of(measurement, audit) or "")
    if attack is None or threat is None or rule.confidence is None:
        return
    for instance in instances_of(audit, attack):
        if reading.instance not in ("", instance.name):
            continue
        for cell in cells_of(audit, threat, instance.recipe):
            setting = setting_of(audit, threat, cell)
            candidate = candidate_of(audit.matrix.at(instance.recipe, cell), audit.registry)
            if setting is None or candidate is None or not candidate.sound:
                return
            result = next(iter(candidate.elaborated.results.values()))
            outputs = size_of(result, setting.counts) if isinstance(result, Application) else None
            if outputs is None or outputs <= 0:
                continue
            if least_upper_bound(outputs * audit.matrix.repeat, _level(rule, reading)) > threshold.value:
                yield _unreachable(audit, rule, instance, reading, threshold.value, outputs)
                return


def _unreachable(  # noqa: PLR0913 - both sides of the conflict
    audit: Audit, rule: GateRule, instance: Instance, reading: Reading, threshold: float, outputs: float
) -> Diagnostic:
    confidence = rule.confidence or 0.0
    gains = reading.view in ("gain", "over_baseline")
    trials = outputs * audit.matrix.repeat
    level = _level(rule, reading)
    least = least_upper_bound(trials, level)
    low, high = math.floor(least * 1e4) / 100, math.ceil(least * 1e4) / 100
    title = "this gate could only pass if the control beat the attack" if gains else "this gate can never pass"
    raised = f"the threshold to {high:g} % or more"
    return (
        error("E0603", title, rule.span, f"the bound is at least {low:g} % even if nothing is recovered")
        .also(instance.span, f"{outputs:g} outputs × {audit.matrix.repeat} repeats")
        .note(
            f"none of {trials:g} outputs recognised still leaves {low:g} % possible at {confidence * 100:g} % confidence"
        )
        .help(
            f"raise outputs or `repeat` to {_needed(threshold, level)} trials together, or {raised}"
            if threshold > 0
            else f"raise {raised}"
        )
    )


def _level(rule: GateRule, reading: Reading) -> float:
    """The confidence of one bound. A gain subtracts two rates, so each gets half of the error that is allowed."""
    confidence = rule.confidence or 0.0
    return (1 + confidence) / 2 if reading.view in ("gain", "over_baseline") else confidence


def _needed(threshold: float, level: float) -> str:
    trials = 1
    while least_upper_bound(trials, level) > threshold:
        trials *= 2
    low, high = trials // 2, trials
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if least_upper_bound(middle, level) > threshold else (low, middle)
    return f"{high:,}"


def utility_speaks_of_the_defended_model(audit: Audit) -> Iterator[Diagnostic]:
    """What a defense costs is measured on the defended model, not on the undefended one."""
    targets = {threat.target: threat for threat in audit.threats.values() if isinstance(threat.target, Application)}
    for _, rule in _rules(audit):
        for reading in rule.readings():
            measurement = audit.measurements[reading.measurement]
            if measurement.metric.sort != "utility":
                continue
            for value in measurement.value.arguments.values():
                threat = targets.get(value) if isinstance(value, Application) else None
                if threat is not None and threat.defense not in ((), None) and isinstance(value, Application):
                    yield (
                        warning("W0607", f"`{measurement.name}` speaks of the undefended model", measurement.span,
                                f"`{value.label}` is what it was before the defense")
                        .also(threat.spans["defense"], "the defense")
                        .note("a defense that ruins the model would not be seen")
                        .help(f"write `{threat.name}.target`, the model behind the defense")
                    )  # fmt: skip


def defenses_have_a_price(audit: Audit) -> Iterator[Diagnostic]:
    """A gate on leakage behind a defense needs the utility of the defended model: a ruined model leaks nothing."""
    if not audit.complete("threat", "evaluate") or audit.unmeasured:
        return
    priced = {
        value.threat
        for measurement in audit.measurements.values()
        if measurement.metric.sort == "utility"
        for value in measurement.value.arguments.values()
        if isinstance(value, DefendedModel)
    }
    for gate in audit.gates:
        for rule in gate.rules:
            for reading in _leaks(rule, audit) if rule.verb == "require" else ():
                threat = audit.threats.get(threat_of(audit.measurements[reading.measurement], audit) or "")
                if threat is None or threat.name in priced or not _is_defended(threat, audit):
                    continue
                priced.add(threat.name)
                yield (
                    warning("W0609", f"nothing measures what the defense of `{threat.name}` costs", rule.span,
                            "holds for a ruined model too")
                    .also(threat.spans["defense"], "the defense")
                    .note("a model that has forgotten what it learned leaks nothing and is good for nothing")
                    .help(f"measure it in `evaluate`, for example `utility = accuracy({threat.name}.target, DATA)`")
                )  # fmt: skip


def _is_defended(threat: Threat, audit: Audit) -> bool:
    """Whether a threat has a defense in any cell."""
    settings = (setting_of(audit, threat, cell) for cell in cells_of(audit, threat))
    acts = [each.declaration.acts for setting in settings if setting is not None for each in setting.defenses
            if isinstance(each.declaration, DefenseDeclaration)]  # fmt: skip
    return any(act != "nothing" for act in acts)
