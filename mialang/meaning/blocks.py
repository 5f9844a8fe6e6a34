"""From the blocks of a spec that name a value to that value: data, targets, judges, priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mialang.diagnostics import Diagnostic, did_you_mean, error
from mialang.meaning.accept import accept, describe, kind_of
from mialang.meaning.declarations import Operator
from mialang.meaning.evaluate import Evaluator
from mialang.meaning.offers import makers_of
from mialang.meaning.types import Type
from mialang.meaning.values import (
    Application,
    Named,
    Reference,
    Structured,
    Unknown,
    Value,
    is_unknown,
    signature,
)
from mialang.meaning.words import enumerated, type_words, with_article
from mialang.source import Span
from mialang.syntax import tree

RETURNS = {"data": "records", "target": "model", "judge": "model"}


@dataclass(frozen=True, eq=False)
class PriorValue(Structured):
    """What an adversary was given.

    Attributes:
        name: the block's name.
        items: the granted items.
        asserts: facts about them, as applications of checks.
        spans: where each item is granted.
    """

    name: str
    items: Mapping[str, Value]
    asserts: tuple[Application, ...]
    spans: Mapping[str, Span] = field(default_factory=dict, repr=False)

    def signature(self) -> list[object]:
        """The granted items and asserted facts."""
        items = [[name, signature(value)] for name, value in sorted(self.items.items())]
        return ["granted", items, [signature(each) for each in self.asserts]]

    def parts(self) -> tuple[Value, ...]:
        """The items and facts."""
        return (*self.items.values(), *self.asserts)


def evaluate_block(block: tree.Block, evaluator: Evaluator) -> Value:
    """The value that a named block stands for."""
    kind = block.kind.text
    if kind in RETURNS:
        return _typed(block, evaluator)
    if kind == "prior":
        return _prior(block, evaluator)
    return Named(kind, block.name)


def _typed(block: tree.Block, evaluator: Evaluator) -> Value:
    assert block.type is not None
    kind = block.kind.text
    declared = evaluator.evaluate(_as_expression(block.type))
    if is_unknown(declared):
        return Unknown()
    wanted = RETURNS[kind]
    if not isinstance(declared, Reference) or not isinstance(declared.declaration, Operator):
        return evaluator.report(
            error("E0210", f"{describe(declared, evaluator.registry)} is no type of {kind}", block.type.span).help(
                makers_of(wanted, evaluator.registry)
            )
        )
    declaration = declared.declaration
    if not evaluator.registry.is_a(declaration.returns, wanted):
        returns = declaration.returns
        return evaluator.report(
            error(
                "E0210",
                f"`{block.type.text}` makes {with_article(returns)}, and a `{kind}` needs {with_article(wanted)}",
                block.type.span,
            ).help(makers_of(wanted, evaluator.registry))
        )
    if kind == "target" and "defense" not in declaration.by_name:
        for attribute in block.attributes():
            if attribute.name.text == "defense":
                return evaluator.report(
                    error("E0203", "a target has no `defense`", attribute.name.span, "unknown here").help(
                        "a defense belongs to a `threat`: it says what the adversary meets"
                    )
                )
    once = {each.name.text: each for each in reversed(list(block.attributes()))}  # a second one has been reported
    arguments = tuple(tree.Argument(each.span, each.name, each.value) for each in reversed(once.values()))
    call = tree.Call(block.head, _as_expression(block.type), arguments)
    value = evaluator.apply(declaration, arguments, call)
    if isinstance(value, Application):
        if (problem := _source_problem(block, value)) is not None:
            return evaluator.report(problem)
        return replace(value, span=block.head, label=block.name, text=block.name)
    return value


def _source_problem(block: tree.Block, value: Application) -> Diagnostic | None:
    """A model comes from data or from given weights: one of the two, not both, with all that must be said of it."""
    operator = value.declaration
    if not isinstance(operator, Operator):
        return None
    if not operator.fixed_by or not operator.secret:
        return _incomplete(block, operator, value)
    data = [name for name in operator.secret if value.arguments.get(name) is not None]
    fixed = [name for name in operator.fixed_by if value.arguments.get(name) is not None]
    if not data and not fixed:
        ways = " or ".join(f"`{name}`" for name in (*operator.secret, *operator.fixed_by))
        finding = error("E0204", f"`{block.kind.text} {block.name}` has nothing that it is made from", block.head)
        return finding.help(f"give {ways}")
    if data and fixed:
        spans = {attribute.name.text: attribute.span for attribute in block.attributes()}
        title = f"`{block.name}` is trained and has its weights given"
        finding = error("E0215", title, spans.get(fixed[0], block.head), "fixed by this").also(
            spans.get(data[0], block.head), "trained on this"
        )
        return finding.note("given weights are never trained again, so the data would say nothing about them").help(
            "keep one of them"
        )
    return _incomplete(block, operator, value)


def _incomplete(block: tree.Block, operator: Operator, value: Application) -> Diagnostic | None:
    """Parameters that must be given together, of which some are missing."""
    groups = [{name: value.arguments.get(name) is not None for name in group} for group in operator.needs]
    if not groups or any(all(group.values()) for group in groups):
        return None
    begun = max(groups, key=lambda group: sum(group.values()))
    given = [name for name, is_given in begun.items() if is_given]
    missing = [name for name, is_given in begun.items() if not is_given]
    lacking = enumerated(missing) if given else ", or ".join(enumerated(group) for group in groups)
    finding = error("E0204", f"`{block.kind.text} {block.name}` lacks {lacking}", block.head)
    spans = {attribute.name.text: attribute.span for attribute in block.attributes()}
    if given and given[0] in spans:
        finding = finding.also(spans[given[0]], "does not say it all")
    return finding.help("add " + ", ".join(f"`{name} = …`" for name in missing))


def _as_expression(path: tree.Path) -> tree.Expression:
    node: tree.Expression = path.parts[0]
    for part in path.parts[1:]:
        node = tree.Member(node.span.to(part.span), node, part)
    return node


def _prior(block: tree.Block, evaluator: Evaluator) -> Value:
    registry = evaluator.registry
    items: dict[str, Value] = {}
    spans: dict[str, Span] = {}
    sound = True
    for attribute in block.attributes():
        name = attribute.name.text
        if name not in registry.items:
            finding = error("E0203", f"a prior has no item called `{name}`", attribute.name.span, "unknown item")
            evaluator.report(finding.help(did_you_mean(name, registry.items) or "`std.item` lists the items"))
            sound = False
            continue
        value = evaluator.evaluate(attribute.value)
        if is_unknown(value):
            sound = False
            continue
        wanted = registry.items[name].kind
        fitted, misfit = accept(value, Type(wanted), registry)
        if misfit is not None:
            finding = error("E0210", f"{describe(value, registry)} cannot be granted as `{name}`", attribute.value.span)
            evaluator.report(finding.help(misfit.help or f"`{name}` takes {type_words(Type(wanted))}"))
            sound = False
            continue
        items[name] = fitted
        spans[name] = attribute.span
    asserts = tuple(fact for entry in block.entries if isinstance(entry, tree.Rule) for fact in _fact(entry, evaluator))
    return PriorValue(block.name, items, asserts, spans) if sound else Unknown()


def _fact(rule: tree.Rule, evaluator: Evaluator) -> tuple[Application, ...]:
    value = evaluator.evaluate(rule.condition)
    if is_unknown(value):
        return ()
    if isinstance(value, Application) and kind_of(value, evaluator.registry) == "evidence":
        return (replace(value, span=rule.condition.span),)
    evaluator.report(
        error("E0210", "an `assert` needs a fact that can be checked on the data", rule.condition.span).help(
            "write for example `assert disjoint(public, secret, by = class)`"
        )
    )
    return ()
