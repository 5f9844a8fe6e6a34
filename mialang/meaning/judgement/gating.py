"""Rule 9: a gate has a control, is backed by repeats, and can be reached."""

from __future__ import annotations

from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error, warning
from mialang.meaning.audit import Audit, Comparison, Condition, Constant, Gate, GateRule, Junction, Reading
from mialang.meaning.estimate import size_of
from mialang.meaning.fits import candidate_of, setting_of
from mialang.meaning.judgement.fitting import cells_of
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.read import attack_of, threat_of
from mialang.meaning.values import Application

ENOUGH_REPEATS = 5


def least_upper_bound(trials: float, confidence: float) -> float:
    """The smallest upper bound that a rate can get: none of `trials` succeeded (Clopper and Pearson, 1934)."""
    return float(1 - (1 - confidence) ** (1 / trials))


def _leaks(rule: GateRule, audit: Audit) -> list[Reading]:
    return [reading for reading in rule.readings() if audit.measurements[reading.measurement].metric.sort == "leakage"]


def gates_have_controls(audit: Audit) -> Iterator[Diagnostic]:
    """A gate on leakage without a positive control passes even if the attack is broken."""
    for gate in audit.gates:
        guards = any(rule.verb == "require" and _leaks(rule, audit) for rule in gate.rules)
        if guards and not any(rule.verb == "control" for rule in gate.rules):
            yield (
                warning("W0603", f"the gate “{gate.title}” has no control", gate.span, "passes even if the attack is broken")
                .note("a positive control shows that the attack works where it should")
                .help("add for example `control leak.gain >= 40 % where matrix.defense == none()`")
            )


def leaks_are_repeated(audit: Audit) -> Iterator[Diagnostic]:
    """Fewer than five repeats say little about how much leakage varies."""
    repeat = audit.matrix.repeat
    for gate in audit.gates:
        for rule in gate.rules:
            if rule.verb == "require" and _leaks(rule, audit) and repeat < ENOUGH_REPEATS:
                yield warning("W0604", f"the gate “{gate.title}” rests on {_times(repeat)}", rule.span).note(
                    "model inversion varies from run to run by ten points and more"
                ).help(f"write `repeat = {ENOUGH_REPEATS}` in the `matrix` block")
                break


def _times(repeat: int) -> str:
    return "a single run" if repeat == 1 else f"{repeat} repeats"


def bounds_exist(audit: Audit) -> Iterator[Diagnostic]:
    """A level of confidence needs at least two repeats."""
    for _, rule in _rules(audit):
        if rule.confidence is not None and audit.matrix.repeat < 2 and any(rule.readings()):
            yield error("E0604", "a single run has no confidence interval", rule.span).help(
                f"write `repeat = {ENOUGH_REPEATS}` in the `matrix` block, or leave out `at … confidence`"
            )


def _rules(audit: Audit) -> Iterator[tuple[Gate, GateRule]]:
    return ((gate, rule) for gate in audit.gates for rule in gate.rules)


def _comparisons(condition: Condition) -> Iterator[Comparison]:
    if isinstance(condition, Junction):
        if condition.word == "and":
            for part in condition.parts:
                yield from _comparisons(part)
    else:
        yield condition


def thresholds_can_be_reached(audit: Audit) -> Iterator[Diagnostic]:
    """A bound that no result could meet makes a gate that can never pass."""
    for _, rule in _rules(audit):
        for comparison in _comparisons(rule.condition):
            reading, threshold = comparison.left, comparison.right
            if not isinstance(reading, Reading) or not isinstance(threshold, Constant):
                continue
            metric = audit.measurements[reading.measurement].metric
            if metric.unit != "share" or metric.sort != "leakage":
                continue
            yield from _beyond_scale(rule, comparison.sign, reading, threshold)
            if rule.confidence is not None and comparison.sign in ("<=", "<"):
                yield from _too_few(audit, rule, reading, threshold)


def _beyond_scale(rule: GateRule, sign: str, reading: Reading, threshold: Constant) -> Iterator[Diagnostic]:
    lowest = -1.0 if reading.view in ("gain", "over_baseline") else 0.0
    never = (sign in (">=", ">") and threshold.value > 1) or (sign in ("<=", "<") and threshold.value < lowest)
    never = never or (sign == ">" and threshold.value == 1) or (sign == "<" and threshold.value == lowest)
    if never:
        yield error("E0603", "no result can meet this threshold", rule.span).help(
            f"a share lies between {lowest * 100:g} % and 100 %"
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
            trials = outputs * audit.matrix.repeat
            # The gain subtracts two rates, so each gets half of the error that is allowed.
            level = (1 + rule.confidence) / 2 if reading.view in ("gain", "over_baseline") else rule.confidence
            least = least_upper_bound(trials, level)
            if least > threshold.value:
                needed = _needed(threshold.value, level)
                yield (
                    error("E0603", "this gate can never pass", rule.span,
                          f"the bound is at least {least:.1%} even if nothing is recovered")
                    .also(instance.span, f"{outputs:g} outputs × {audit.matrix.repeat} repeats")
                    .note(f"none of {trials:g} outputs recognised still leaves {least:.1%} possible at {rule.confidence:.0%} confidence")
                    .help(f"raise outputs or `repeat` to {needed} trials together, or the threshold above {least:.1%}")
                )  # fmt: skip
                return


def _needed(threshold: float, level: float) -> str:
    if threshold <= 0:
        return "infinitely many"
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
                        .note("a defense that ruins the model would not be seen")
                        .help(f"write `{threat.name}.target`, the model behind the defense")
                    )  # fmt: skip
