"""Rule 7: what the adversary was given is not the secret itself; decided here where the spec suffices."""

from __future__ import annotations

from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.audit import Audit
from mialang.meaning.blocks import PriorValue
from mialang.meaning.estimate import labels_of
from mialang.meaning.fits import secrets_of, setting_of
from mialang.meaning.judgement.fitting import cells_of
from mialang.meaning.values import Application, Value

DISJOINT = "disjoint"


def priors_are_disjoint(audit: Audit) -> Iterator[Diagnostic]:
    """Rule 7, as far as the spec tells: shared classes, or the very same records."""
    for threat in audit.threats.values():
        for cell in cells_of(audit, threat):
            setting = setting_of(audit, threat, cell)
            if setting is None:
                break
            for prior in audit.priors(threat, cell):
                for fact in prior.asserts:
                    yield from _by_class(fact)
                for secret in secrets_of(setting.target):
                    yield from _same_records(prior, secret, audit)


def _by_class(fact: Application) -> Iterator[Diagnostic]:
    if fact.name != DISJOINT or fact.arguments.get("by") != "class":
        return
    first, second = (fact.arguments.get(name) for name in ("first", "second"))
    one, other = labels_of(first), labels_of(second)
    if one is None or other is None:
        return
    shared = sorted(set(one) & set(other))
    if not shared:
        return
    listed = ", ".join(map(str, shared[:8])) + (" …" if len(shared) > 8 else "")
    noun = "class" if len(shared) == 1 else "classes"
    finding = error(
        "E0401", f"{_named(first)} and {_named(second)} share {noun} {listed}", fact.span, "claimed disjoint here"
    )
    for value in (first, second):
        if isinstance(value, Application) and value.label and value.span is not None:
            finding = finding.also(value.span, "declared here")
    yield finding.note("an adversary who already holds the secret proves nothing").help(
        "give one of them other `classes`"
    )


def _same_records(prior: PriorValue, secret: Application, audit: Audit) -> Iterator[Diagnostic]:
    for name, value in prior.items.items():
        if audit.registry.item(name).overlaps or not isinstance(value, Application):
            continue
        if value == secret:
            finding = error(
                "E0402",
                f"the prior `{prior.name}` grants the secret itself",
                prior.spans.get(name),
                "the target's own records",
            )
            if secret.span is not None:
                finding = finding.also(secret.span, "the secret")
            yield finding.note("an adversary who already holds the secret proves nothing").help(
                "grant records that the target was not made from"
            )


def _named(value: Value) -> str:
    return f"`{value.label or value.name}`" if isinstance(value, Application) else "a prior"
