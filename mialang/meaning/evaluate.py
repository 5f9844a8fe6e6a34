"""From expressions to values: names resolved, calls bound to declarations, plain arithmetic done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mialang.diagnostics import Diagnostic, closest, did_you_mean, error, listed
from mialang.meaning.accept import accept, describe, kind_of, none_of
from mialang.meaning.arguments import (
    CLASSES,
    because,
    beside_declaration,
    misspelled,
    no_such_class,
    signature_words,
    unitless,
)
from mialang.meaning.arithmetic import ArithmeticProblem, is_number
from mialang.meaning.declarations import (
    AccessDeclaration,
    Declaration,
    ExtentDeclaration,
    Operator,
    Parameter,
    Recipe,
)
from mialang.meaning.offers import import_of, near_import, offered
from mialang.meaning.registry import Registry
from mialang.meaning.scope import Lazy, Namespace, Scope
from mialang.meaning.types import ANY, PLAIN, Type
from mialang.meaning.units import UNITS, Quantity
from mialang.meaning.values import (
    Algebra,
    Application,
    DefendedModel,
    HeldArtefact,
    Hole,
    Named,
    Part,
    PriorItem,
    Range,
    Reference,
    Sight,
    Special,
    Structured,
    TableValue,
    Unknown,
    Value,
    holes,
    is_small,
    is_unknown,
    joined,
)
from mialang.meaning.words import type_words
from mialang.syntax import tree
from mialang.threat import KNOWLEDGE

DRAW = "draw"  # every step that draws takes it: `draw = 2` asks for an independent twin
DEFENDED = "target"  # the member of a threat: its target behind its defense
DEEPEST = 120  # expressions inside each other, names followed included
MOST_PARTS = 10_000  # of one value
MOST_LEVELS = 100
CLOSE = 0.75  # how alike a word of the vocabulary must be to be a likelier slip than one of the spec
PATIENCE = 100  # findings after which nobody looks for slips any more
RecipeMembers = Callable[[Application], Mapping[str, Value]]


@dataclass
class Evaluator:
    """Evaluates expressions in a scope; problems become findings and `Unknown`.

    Attributes:
        scope: the names that can be seen.
        registry: kinds, observables, extents and items.
        found: where findings go.
        axes: the axes of the matrix with their types.
        recipe_members: gives the named values of a recipe that is called like a step.
    """

    scope: Scope
    registry: Registry
    found: list[Diagnostic] = field(default_factory=list)
    axes: Mapping[str, Type] = field(default_factory=dict)
    recipe_members: RecipeMembers | None = None

    def within(self, names: Mapping[str, Value]) -> Evaluator:
        """The same evaluator with more names in sight."""
        return Evaluator(self.scope.inside(names), self.registry, self.found, self.axes, self.recipe_members)

    def report(self, finding: Diagnostic) -> Value:
        """Keep a finding and go on with a value that asks no questions."""
        self.found.append(finding)
        return Unknown()

    # -- values that must fit a type -------------------------------------------------------------------------------

    def take(self, node: tree.Expression, wanted: Type) -> Value:
        """Evaluate an expression and fit it to a type."""
        return self.fit(self.evaluate(node, wanted), wanted, node)

    def fit(self, value: Value, wanted: Type, node: tree.Node) -> Value:
        """Fit an evaluated value to a type."""
        if is_unknown(value):
            return value
        fitted, misfit = accept(self._called(value, wanted), wanted, self.registry)
        misfit = misfit or unitless(node, wanted)
        if misfit is None:
            return fitted
        return self.report(because(misfit, node).help(misfit.help or f"write {type_words(wanted)}"))

    def _called(self, value: Value, wanted: Type) -> Value:
        """A declared thing that needs no argument may be named without parentheses."""
        if not isinstance(value, Reference) or isinstance(value.declaration, Recipe):
            return value
        declaration = value.declaration
        if any(parameter.required for parameter in declaration.parameters):
            return value
        kind = kind_of(Application(declaration, {}), self.registry)
        if kind == wanted.bare().name or self.registry.is_a(kind, wanted.bare().name):
            return self.apply(declaration, (), None)
        return value

    # -- expressions -----------------------------------------------------------------------------------------------

    def evaluate(self, node: tree.Expression, wanted: Type = ANY) -> Value:
        """Evaluate an expression; `wanted` tells how a bare word is read."""
        self.registry.depth += 1
        try:
            if self.registry.depth > DEEPEST:
                title = f"this rests on more than {DEEPEST} other values in a row"
                return self.report(error("E0106", title, node.span).help("give one of them a value of its own"))
            value = self._evaluated(node, wanted)
            if isinstance(value, Structured | tuple) and not is_small(value, MOST_PARTS, MOST_LEVELS):
                title = f"this value has more than {MOST_PARTS:,} parts or {MOST_LEVELS} levels"
                return self.report(error("E0106", title, node.span).help("say the same with fewer repetitions"))
            return value
        finally:
            self.registry.depth -= 1

    def _evaluated(self, node: tree.Expression, wanted: Type) -> Value:  # noqa: C901, PLR0912 - one case per node
        match node:
            case tree.Integer() | tree.Number() | tree.Boolean() | tree.String():
                return node.value
            case tree.Quantity():
                return Quantity.of(node.value, node.unit)
            case tree.Name():
                return self._name(node, wanted)
            case tree.ListOf():
                inner = wanted.bare() if wanted.name in ("list", "set", "optional", "defense") else ANY
                return tuple(self.evaluate(item, inner) for item in node.items)
            case tree.Table():
                return self._table(node)
            case tree.Interval():
                return self._interval(node)
            case tree.Negate():
                return self._negate(node)
            case tree.Not():
                return self._condition("not", node, (node.operand,))
            case tree.Logic():
                return self._condition(node.operator, node, (node.left, node.right))
            case tree.Compare():
                return self._condition(node.operator, node, (node.left, node.right))
            case tree.Within():
                return self._condition("in", node, (node.item, node.container))
            case tree.Binary():
                return self._binary(node, wanted)
            case tree.Member():
                return self._member(node)
            case tree.Index():
                return self._index(node)
            case tree.Call():
                return self._call(node, wanted)

    def _name(self, node: tree.Name, wanted: Type) -> Value:
        inner = wanted.bare()
        word = node.text
        if word in inner.options:
            return word
        bound, binding = self.scope.look(word)
        if inner.name == "observable" and not isinstance(binding, Sight | Hole) and word in self.registry.observables:
            return Sight(word)
        if inner.name == "knowledge" and word in KNOWLEDGE:
            return word
        if inner.name == "queries" and word == "unlimited":
            return math.inf
        if bound:
            return self._bound(binding, node)
        if inner.name == "extent" and word in self.registry.extents:
            return Reference(self.registry.extents[word])
        if inner.name == "one_of":
            misfit = none_of(f"`{word}`", inner)
            return self.report(error(misfit.code, misfit.title, node.span).help(misfit.help))
        finding = error("E0201", f"nothing here is called `{word}`", node.span, "unknown name")
        return self.report(finding.help(self._what_else(word, wanted)))

    def _what_else(self, word: str, wanted: Type) -> str:
        """What an unknown word may have meant."""
        inner = wanted.bare()
        if len(self.found) > PATIENCE:
            return "declare it in this file, or import it"
        if inner.name in ("observable", "knowledge"):
            known = self.registry.observables if inner.name == "observable" else KNOWLEDGE
            return did_you_mean(word, known) or f"write {type_words(inner)}"
        if inner.name == "extent":
            near = closest(word, self.registry.extents)
            return f"did you mean `{near[0]}`?" if near else f"extents are {listed(self.registry.extents)}"
        own = {name for scope in self.scope.own() for name in scope.names}
        near = closest(word, own) or closest(word, self.scope.visible(), alike=CLOSE)
        hints = (import_of(word), f"did you mean `{near[0]}`?" if near else "", near_import(word), offered(wanted))
        fallback = "declare it in this file, or import it"
        if wanted.name in PLAIN - {"any", "extent", "access"}:
            fallback = f"write {type_words(wanted)}, or give `{word}` a value with `let`"
        return next(filter(None, hints), fallback)

    def _bound(self, binding: object, node: tree.Node) -> Value:
        if isinstance(binding, Lazy):
            return self._force(binding, node)
        if isinstance(binding, Declaration):
            return Reference(binding)
        if isinstance(binding, Namespace):
            return Special(f"module {binding.name}")
        return binding  # type: ignore[return-value]

    def _force(self, lazy: Lazy, node: tree.Node) -> Value:
        if lazy.state == "working":
            return self.report(
                error("E0232", f"`{lazy.name}` is defined by itself", node.span, "needs its own value")
                .also(lazy.span, "defined here")
                .help("break the circle: give one of the names a value of its own")
            )
        if lazy.state == "waiting":
            lazy.state = "working"
            lazy.value = lazy.work()
            lazy.state = "done"
        return lazy.value

    def _interval(self, node: tree.Interval) -> Value:
        ends = [self.evaluate(end) for end in (node.low, node.high)]
        if any(is_unknown(end) for end in ends):
            return Unknown()
        numbers = [end.value if isinstance(end, Quantity) else end for end in ends]
        if all(is_number(number) for number in numbers):
            return Range(*numbers)  # type: ignore[arg-type]
        return self.report(
            error("E0210", "the ends of a range are numbers", node.span).help("write for example `0..4`")
        )

    def _table(self, node: tree.Table) -> Value:
        entries: dict[str, Value] = {}
        first: dict[str, tree.Name] = {}
        for entry in node.entries:
            name = entry.name.text
            value = self.evaluate(entry.value)
            if name in entries:
                finding = error("E0205", f"`{name}` is given twice", entry.name.span, "again here")
                self.report(finding.also(first[name].span, "first here").help("keep one of them"))
                continue
            entries[name], first[name] = value, entry.name
        return TableValue(entries)

    def _negate(self, node: tree.Negate) -> Value:
        value = self.evaluate(node.operand)
        if is_number(value):
            return -value  # type: ignore[operator]
        if isinstance(value, Quantity):
            return Quantity(-value.value, value.dimension)
        if not isinstance(value, Structured):
            shown = describe(value, self.registry)
            return self.report(
                error("E0213", f"{shown} has no negative", node.span).help("`-` stands before numbers and objectives")
            )
        return self._combine("*", (-1, value), node)

    def _condition(self, sign: str, node: tree.Node, operands: tuple[tree.Expression, ...]) -> Value:
        values = tuple(self._compared(self.evaluate(operand)) for operand in operands)
        if any(is_unknown(value) for value in values):
            return Unknown()
        if sign in ("not", "and", "or"):
            for value, operand in zip(values, operands, strict=True):
                if not isinstance(value, bool) and kind_of(value, self.registry) not in ("condition", "bool"):
                    title = f"{describe(value, self.registry)} is neither true nor false"
                    return self.report(
                        error("E0213", title, operand.span).help(f"`{sign}` joins conditions such as `a == b`")
                    )
        try:
            return joined(sign, values, "condition")
        except ArithmeticProblem as problem:
            return self.report(error("E0213", str(problem), node.span).help(problem.help))

    def _compared(self, value: Value) -> Value:
        """In comparisons a name without parentheses stands for the plain call."""
        if isinstance(value, Reference) and not any(each.required for each in value.declaration.parameters):
            return self.apply(value.declaration, (), None)
        return value

    def _binary(self, node: tree.Binary, wanted: Type) -> Value:
        values = tuple(self.evaluate(side, wanted if wanted.name in ("access", "float", "int") else ANY)
                       for side in (node.left, node.right))  # fmt: skip
        return self._combine(node.operator, values, node)

    def _combine(self, sign: str, values: tuple[Value, ...], node: tree.Node) -> Value:
        if any(is_unknown(value) for value in values):
            return Unknown()
        values = tuple(self._compared(value) for value in values)
        kinds = {
            kind_of(value, self.registry)
            for value in values
            if not is_number(value) and not isinstance(value, Quantity)
        }
        kinds.discard("")
        numeric = {"int", "float", "share", "seconds", "queries", "tokens", "number"}
        try:
            if kinds <= numeric:
                return joined(sign, values, "number")
            algebraic = [kind for kind in kinds if self.registry.algebra(kind) or kind == "access"]
            if len(algebraic) == len(kinds - numeric) == 1 and (algebraic != ["access"] or self._grants(sign, values)):
                return Algebra(sign, values, algebraic[0])
        except ArithmeticProblem as problem:
            return self.report(error("E0213", str(problem), node.span).help(problem.help))
        shown = " and ".join(describe(value, self.registry) for value in values)
        return self.report(
            error("E0213", f"{shown} cannot be joined with `{sign}`", node.span).help(
                "arithmetic joins numbers, objectives and scores; `+` also joins grants of access"
            )
        )

    def _grants(self, sign: str, values: tuple[Value, ...]) -> bool:
        """Whether grants of access are joined, and nothing else."""
        return sign == "+" and all(kind_of(value, self.registry) == "access" for value in values)

    # -- members and indices ---------------------------------------------------------------------------------------

    def _member(self, node: tree.Member) -> Value:
        name = node.name.text
        if isinstance(node.base, tree.Name):
            bound, binding = self.scope.look(node.base.text)
            if bound and isinstance(binding, Namespace):
                return self._of_module(binding, node)
            if bound and isinstance(binding, Special):
                return self._of_special(binding, node)
        base = self.evaluate(node.base)
        if is_unknown(base):
            return Unknown()
        if isinstance(base, Named) and base.sort == "threat" and name == DEFENDED:
            return DefendedModel(base.name)
        if isinstance(base, Application) and base.declaration.identity in self.registry.elaborating:
            return Unknown()  # a recipe composed of itself, which is told where it is called
        if isinstance(base, Application) and isinstance(base.declaration, Recipe) and self.recipe_members is not None:
            members: Mapping[str, Value] = self.recipe_members(base)
            if name in members:
                return Part(base, name, kind_of(members[name], self.registry))
            known = list(members)
        else:
            kinds = self.registry.members(kind_of(base, self.registry))
            if name in kinds:
                return Part(base, name, kinds[name])
            known = [DEFENDED] if isinstance(base, Named) and base.sort == "threat" else list(kinds)
        what = describe(base, self.registry)
        finding = error("E0202", f"{what} has no member `{name}`", node.name.span)
        return self.report(finding.help(did_you_mean(name, known) if known else "it has no members"))

    def _of_module(self, module: Namespace, node: tree.Member) -> Value:
        binding = module.look(node.name.text)
        if binding is None:
            finding = error("E0202", f"`{module.name}` has no `{node.name.text}`", node.name.span, "unknown name")
            help_ = did_you_mean(node.name.text, module.names()) or import_of(node.name.text)
            return self.report(finding.help(help_ or f"the reference lists what `{module.name}` has"))
        return self._bound(binding, node)

    def _of_special(self, special: Special, node: tree.Member) -> Value:
        name = node.name
        match special.word:
            case "prior":
                if name.text in self.registry.items:
                    return PriorItem(name.text, self.registry.items[name.text].kind)
                known = list(self.registry.items)
                title = f"a prior has no item called `{name.text}`"
            case "held":
                declared = self.registry.observables.get(name.text)
                if declared is not None and declared.artefact:
                    return HeldArtefact(name.text, declared.artefact)
                known = [each.name for each in self.registry.observables.values() if each.artefact]
                title = f"`{name.text}` is nothing that can be held"
            case _:
                if name.text in self.axes:
                    return Hole("axis", name.text, self.axes[name.text])
                help_ = (
                    did_you_mean(name.text, self.axes)
                    or f"an axis is a list in the `matrix` block: `{name.text} = [a, b]`"
                )
                title = f"the matrix has no axis `{name.text}`"
                return self.report(error("E0606", title, name.span, "unknown here").help(help_))
        help_ = did_you_mean(name.text, known) or (f"known are {listed(known)}" if known else "the library knows none")
        return self.report(error("E0202", title, name.span, "unknown here").help(help_))

    def _index(self, node: tree.Index) -> Value:
        base, key = self.evaluate(node.base), self.evaluate(node.key)
        if is_unknown(base) or is_unknown(key):
            return Unknown()
        if isinstance(base, tuple) and isinstance(key, int) and 0 <= key < len(base):
            return base[key]  # type: ignore[no-any-return]
        return self.report(
            error(
                "E0213", f"{describe(base, self.registry)} has no item {describe(key, self.registry)}", node.span
            ).help(
                f"its items are 0 to {len(base) - 1}"
                if isinstance(base, tuple) and base
                else "only lists have items, from 0 on"
            )
        )

    # -- calls -----------------------------------------------------------------------------------------------------

    def _call(self, node: tree.Call, wanted: Type) -> Value:
        if isinstance(node.function, tree.Name):
            word = node.function.text
            bound, _ = self.scope.look(word)
            inner = wanted.bare()
            if inner.name == "observable" and word in self.registry.observables:
                return self._sized(node, word)
            if word == "mean" and not bound:
                return self._mean(node)
            if word == "every" and not bound:
                return self._every(node)
            if not bound and inner.name == "extent" and word in self.registry.extents:
                return self.apply(self.registry.extents[word], node.arguments, node)
        function = self.evaluate(node.function, wanted)
        if is_unknown(function):
            return Unknown()  # what its arguments may be is not known either
        if isinstance(function, Reference):
            return self.apply(function.declaration, node.arguments, node)
        return self.report(
            error("E0213", f"{describe(function, self.registry)} cannot be called", node.function.span).help(
                "only what is declared with parameters takes arguments"
            )
        )

    def _sized(self, node: tree.Call, word: str) -> Value:
        if not self.registry.observables[word].sized:
            return self.report(error("E0213", f"`{word}` has no size", node.span).help(f"write `{word}`"))
        if len(node.arguments) != 1:
            return self.report(error("E0213", f"`{word}` takes one size", node.span).help(f"write `{word}(5)`"))
        size = self.take(node.arguments[0].value, Type("int", low=1))
        return Unknown() if is_unknown(size) else Sight(word, size)

    def _mean(self, node: tree.Call) -> Value:
        """`mean(f(_), over = list)`: one value per item of a literal list, joined."""
        over = next((argument for argument in node.arguments if argument.name and argument.name.text == "over"), None)
        each = [argument for argument in node.arguments if argument.name is None]
        if over is None or len(each) != 1 or len(node.arguments) != 2:
            return self.report(
                error("E0213", "`mean` joins one term over a list", node.span).help(
                    "write `mean(negative_logit(_), over = [target, student])`; `_` stands for the item"
                )
            )
        items = self.evaluate(over.value)
        if is_unknown(items):
            return Unknown()
        if not isinstance(items, tuple) or not items:
            return self.report(
                error("E0210", "`over` must be a list with something in it", over.span).help(
                    "write for example `over = [target, student]`"
                )
            )
        terms = [self.within({"_": item}).evaluate(each[0].value) for item in items]
        total = terms[0]
        for term in terms[1:]:
            total = self._combine("+", (total, term), node)
        return total if len(terms) == 1 else self._combine("*", (1 / len(terms), total), node)

    def _every(self, node: tree.Call) -> Value:
        match node.arguments:
            case (tree.Argument(name=None, value=tree.Name(text="applicable")),):
                return Special("every applicable")
        return self.report(
            error("E0213", "`every` takes the word `applicable`", node.span).help("write `every(applicable)`")
        )

    def apply(self, declaration: Declaration, arguments: tuple[tree.Argument, ...], node: tree.Call | None) -> Value:
        """Bind arguments to the parameters of a declaration; defaults are filled in."""
        given, sound = self._bind(declaration, arguments)
        bound: dict[str, Value] = {}
        if DRAW in given and DRAW not in declaration.by_name:
            bound[DRAW] = self.take(given[DRAW], Type("int", low=1))
        span = node.function.span if node is not None else declaration.span
        for parameter in declaration.parameters:
            if parameter.name in given:
                bound[parameter.name] = self._argument(given[parameter.name], parameter, declaration)
            elif parameter.default is not None:
                bound[parameter.name] = self._default(parameter, bound, declaration)
            elif parameter.type.optional:
                bound[parameter.name] = None
            elif misspelled(parameter.name, arguments, declaration):
                sound = False  # told where the slip is
            else:
                sound = False
                finding = error("E0204", f"`{declaration.name}` needs `{parameter.name}`", node.span if node else None)
                finding = beside_declaration(finding, declaration, parameter)
                self.found.append(finding.help(f"add `{parameter.name} = …`, {type_words(parameter.type)}"))
        if not sound or any(is_unknown(value) for value in bound.values()):
            return Unknown()
        text = " ".join(node.span.text.split()) if node is not None else ""
        return Application(declaration, bound, span, text=text)

    def _bind(
        self, declaration: Declaration, arguments: tuple[tree.Argument, ...]
    ) -> tuple[dict[str, tree.Expression], bool]:
        names = [parameter.name for parameter in declaration.parameters]
        known = (
            {*names, DRAW}
            if isinstance(declaration, Operator) and declaration.random and declaration.is_step
            else {*names}
        )
        given: dict[str, tree.Expression] = {}
        sound = True
        for place, argument in enumerate(arguments):
            if argument.name is not None:
                name = argument.name.text
            elif place < len(names):
                name = names[place]
            else:
                title = f"`{declaration.name}` takes {len(names)} argument{'s' if len(names) != 1 else ''}"
                self.found.append(
                    error("E0214", title, argument.span, "one too many").help(signature_words(declaration))
                )
                sound = False
                continue
            if argument.name is not None and name not in known:
                finding = error(
                    "E0203", f"`{declaration.name}` has no parameter `{name}`", argument.name.span, "unknown here"
                )
                self.found.append(finding.help(did_you_mean(name, names) or signature_words(declaration)))
                sound = False
            elif name in given:
                finding = error("E0205", f"`{name}` is given twice", argument.span, "again here")
                self.found.append(finding.also(given[name].span, "first here").help("keep one of them"))
                sound = False
            else:
                given[name] = argument.value
        return given, sound

    def _argument(self, node: tree.Expression, parameter: Parameter, declaration: Declaration) -> Value:
        value = self.evaluate(node, parameter.type)
        if is_unknown(value):
            return value
        fitted, misfit = accept(self._called(value, parameter.type), parameter.type, self.registry)
        misfit = misfit or unitless(node, parameter.type)
        if misfit is None and parameter.name == CLASSES:
            misfit = no_such_class(declaration, fitted)
        if misfit is None:
            return fitted
        finding = because(misfit, node, f"for `{parameter.name}` of `{declaration.name}`")
        finding = beside_declaration(finding, declaration, parameter)
        return self.report(finding.help(misfit.help or f"`{parameter.name}` takes {type_words(parameter.type)}"))

    def _default(self, parameter: Parameter, bound: Mapping[str, Value], declaration: Declaration) -> Value:
        """Evaluate a default where it was declared: earlier parameters are in sight, the caller's names are not."""
        home = Evaluator(self._home(declaration).inside(bound), self.registry, self.found)
        return home.take(parameter.default, parameter.type)

    def _home(self, declaration: Declaration) -> Scope:
        home: Scope | None = self.registry.homes.get(declaration.identity)
        return home or outermost(self.scope)


def outermost(scope: Scope) -> Scope:
    """The scope around everything: the prelude."""
    while scope.around is not None:
        scope = scope.around
    return scope


def axes_of(value: Value) -> set[str]:
    """The axes of the matrix that a value mentions."""
    return holes(value, "axis")


__all__ = ["UNITS", "AccessDeclaration", "Evaluator", "ExtentDeclaration", "axes_of", "outermost"]
