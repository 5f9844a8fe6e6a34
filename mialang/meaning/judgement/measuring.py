"""Rules 5 and 6: metrics can speak for the extent that is feared; judges are independent of what they judge."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import normpath

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.accept import kind_of
from mialang.meaning.audit import Audit, Measurement, Threat
from mialang.meaning.declarations import Operator
from mialang.meaning.estimate import labels_of
from mialang.meaning.fits import setting_of, trained_on_secret
from mialang.meaning.judgement.fitting import cells_of
from mialang.meaning.read import attack_of, threat_of
from mialang.meaning.values import Application, DefendedModel, Named, Structured, Value, walk
from mialang.threat import Extent


def _threat(measurement: Measurement, audit: Audit) -> Threat | None:
    name = threat_of(measurement, audit)
    return audit.threats.get(name) if name else None


def metrics_speak_for_the_extent(audit: Audit) -> Iterator[Diagnostic]:
    """Rule 5: what a `require` reads must measure the extent that the threat fears."""
    for gate in audit.gates:
        for rule in gate.rules:
            if rule.verb != "require":
                continue
            for reading in rule.readings():
                measurement = audit.measurements[reading.measurement]
                threat = _threat(measurement, audit)
                if measurement.metric.sort != "leakage" or threat is None:
                    continue
                yield from _speaks(audit, measurement, threat)


def _speaks(audit: Audit, measurement: Measurement, threat: Threat) -> Iterator[Diagnostic]:
    order = audit.registry.extent_order
    for cell in cells_of(audit, threat):
        setting = setting_of(audit, threat, cell)
        if setting is None:
            return
        feared = setting.extent
        if any(order.covers(Extent(name), Extent(feared.name)) for name in measurement.metric.measures):
            continue
        measured = ", ".join(name.replace("_", " ") for name in measurement.metric.measures) or "nothing that is feared"
        yield (
            error(
                "E0306",
                f"`{measurement.metric.name}` cannot speak for {feared.words()}",
                measurement.span,
                f"measures {measured}",
            )
            .also(threat.spans["extent"], f"fears {feared.words()}")
            .note("a gate on it would decide a question that nobody asked")
            .help("measure with a metric made for this extent, or fear what the metric measures")
        )
        return


def top_k_is_meaningful(audit: Audit) -> Iterator[Diagnostic]:
    """A top-k over k or fewer classes is always reached."""
    for measurement in audit.measurements.values():
        tops = measurement.value.arguments.get("top")
        if not isinstance(tops, tuple):
            continue
        for judge in _judges(measurement, audit):
            labels = labels_of(judge)
            worst = max((top for top in tops if isinstance(top, int)), default=0)
            if labels is None or worst < len(labels):
                continue
            finding = error("E0607", f"top {worst} of {len(labels)} classes is always reached", measurement.span)
            if judge.label and judge.span is not None:
                finding = finding.also(judge.span, f"tells {len(labels)} classes apart")
            yield finding.note("every output would count as recognised").help(f"ask for a top below {len(labels)}")


def _judges(measurement: Measurement, audit: Audit) -> Iterator[Application]:
    """The models that a leakage metric consults."""
    if measurement.metric.sort == "leakage":
        yield from _models(measurement, audit)


def _models(measurement: Measurement, audit: Audit) -> Iterator[Application]:
    """The models that a metric is given."""
    for value in measurement.value.arguments.values():
        if isinstance(value, Application) and audit.registry.is_a(kind_of(value, audit.registry), "model"):
            yield value


def _attacks_measured(audit: Audit) -> Iterator[tuple[Measurement, Threat, Value]]:
    """Every measurement of an attack, with its threat, and the target in the first cell."""
    for measurement in audit.measurements.values():
        threat = _threat(measurement, audit)
        if threat is not None and attack_of(measurement) is not None:
            yield measurement, threat, audit.matrix.at(threat.target, next(audit.matrix.cells(), {}))


def judges_are_independent(audit: Audit) -> Iterator[Diagnostic]:
    """Rule 6: the model under attack must not grade its own work, nor may a copy of it."""
    for measurement, threat, target in _attacks_measured(audit):
        if measurement.metric.sort != "leakage":
            continue
        for value in measurement.value.arguments.values():
            if isinstance(value, DefendedModel):
                yield _own_judge(
                    measurement,
                    threat,
                    f"`{value.threat}.target` is the model under attack, and would be its own judge",
                )
        for judge in _judges(measurement, audit):
            yield from _independent(judge, target, measurement, threat)


def objectives_look_at_the_target(audit: Audit) -> Iterator[Diagnostic]:
    """A metric of what the attack itself strives for looks with the attacked model, as it is without its records."""
    for measurement, threat, target in _attacks_measured(audit):
        if measurement.metric.sort != "objective" or not isinstance(target, Application):
            continue
        for model in _models(measurement, audit):
            if not _same(model, target):
                yield _another(model, measurement, threat)


def _another(model: Application, measurement: Measurement, threat: Threat) -> Diagnostic:
    shown, metric = model.label or model.name, measurement.metric.name
    title = f"`{shown}` is not the model under attack, and `{metric}` looks with that"
    finding = error("E0505", title, measurement.span, f"looks with `{shown}`").also(
        threat.spans["target"], "attacked here"
    )
    if model.span is not None:
        finding = finding.also(model.span, "another model")
    return finding.note("the attack never looked at it, so the figure would not be what the attack strove for").help(
        "build it as the target is built, without its records; for an independent model there are other metrics"
    )


def judges_know_the_classes(audit: Audit) -> Iterator[Diagnostic]:
    """A judge that was never shown a class cannot recognise it, so that nothing would ever be found."""
    for measurement, threat, target in _attacks_measured(audit):
        attacked = labels_of(target)
        for judge in _judges(measurement, audit):
            known = labels_of(judge)
            if attacked is None or known is None or judge == target:
                continue
            if strangers := sorted(set(attacked) - set(known)):
                shown = ", ".join(map(str, strangers[:8])) + (" …" if len(strangers) > 8 else "")
                noun = "class" if len(strangers) == 1 else "classes"
                yield (
                    error(
                        "E0504",
                        f"the judge `{judge.label or judge.name}` does not know {noun} {shown}",
                        measurement.span,
                        "judged by it",
                    )
                    .also(threat.spans["target"], "attacked here")
                    .also(judge.span or measurement.span, "the judge")
                    .note("a class that the judge cannot name is never recognised, whatever came back")
                    .help("train the judge on records of every class of the target")
                )


def _own_judge(measurement: Measurement, threat: Threat, title: str) -> Diagnostic:
    return (
        error("E0501", title, measurement.span, "judged by it")
        .also(threat.spans["target"], "attacked here")
        .note("an attack that follows the model's gradient fools that model: it would score near 100 %")
        .help("declare a `judge` of another architecture, trained on its own")
    )


def _independent(judge: Application, target: Value, measurement: Measurement, threat: Threat) -> Iterator[Diagnostic]:
    if not isinstance(target, Application):
        return
    name = judge.label or judge.name
    if judge == target:
        shown = f"`{name}` is" if name == target.label else f"`{name}` and `{target.label}` are one model:"
        yield _own_judge(measurement, threat, f"{shown} both the model under attack and its own judge")
        return
    if (weights := _weights(judge)) is not None and weights == _weights(target):
        yield _own_judge(measurement, threat, f"`{name}` and `{target.label}` load the same weights, `{weights}`")
        return
    if any(part == target or isinstance(part, DefendedModel) for part in walk(judge)):
        yield (
            error("E0502", f"the judge `{name}` is made from the model under attack", measurement.span, "judged by it")
            .also(threat.spans["target"], "attacked here")
            .also(judge.span or measurement.span, "the judge")
            .note("a student repeats its teacher's mistakes, so a reconstruction that fools one fools the other")
            .help("train the judge on data of its own, not on the target's answers")
        )
        return
    if _built_alike(judge, target):
        yield (
            error(
                "E0503",
                f"the judge `{name}` is the model under attack without its records",
                measurement.span,
                "the same model",
            )
            .also(threat.spans["target"], "attacked here")
            .note("the attack looks at that very model, so it would grade its own work")
            .help(
                "give the judge another architecture, or measure with a metric that says so, as `similarity_under_target`"
            )
        )
        return
    if _of_one_architecture(judge, target) and _data(judge) == _data(target):
        yield (
            error(
                "E0503",
                f"the judge `{name}` is a twin of the model under attack",
                measurement.span,
                "same architecture, same data",
            )
            .also(threat.spans["target"], "attacked here")
            .also(judge.span or measurement.span, "the judge")
            .note("twins share their mistakes, so a reconstruction that fools one fools the other")
            .help("give the judge another architecture")
        )


def _same(model: Application, target: Application) -> bool:
    """Whether a model is the target, or the target without its records."""
    weights = _weights(model)
    return model == target or (weights is not None and weights == _weights(target)) or _built_alike(model, target)


def _built_alike(model: Application, target: Application) -> bool:
    """Whether a model is what the target would be without its records."""
    alike = _of_one_architecture(model, target) and _public(model) == _public(target)
    return alike and not trained_on_secret(target)


def _of_one_architecture(one: Application, other: Application) -> bool:
    return bool(_architectures(one)) and _architectures(one) == _architectures(other)


def _weights(value: Application) -> str | None:
    """The file that fixes a model, as a path without detours; None where a model is trained."""
    fixed = value.declaration.fixed_by if isinstance(value.declaration, Operator) else ()
    given = next((value.arguments.get(name) for name in fixed), None)
    return normpath(given) if isinstance(given, str) else None


def _architectures(value: Application) -> list[str]:
    """The parts of a model that say how it is built: its terms."""
    return sorted(
        argument.digest
        for argument in value.arguments.values()
        if isinstance(argument, Application) and not argument.is_step
    )


def _public(value: Application) -> dict[str, str]:
    """All that a model is made with besides its secret, by parameter."""
    secret = value.declaration.secret if isinstance(value.declaration, Operator) else ()
    return {
        name: str(argument.digest if isinstance(argument, Structured) else argument)
        for name, argument in value.arguments.items()
        if name not in secret
    }


def _data(value: Application) -> list[str]:
    found = []
    for name in value.declaration.secret if isinstance(value.declaration, Operator) else ():
        argument = value.arguments.get(name)
        if isinstance(argument, Application | Named):
            found.append(argument.digest)
    return found
