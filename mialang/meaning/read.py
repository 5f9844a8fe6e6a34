"""From a module to a typed spec: threats, matrix, attacks, measurements, budget."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

from mialang.diagnostics import Diagnostic, did_you_mean, error, listed
from mialang.meaning.accept import describe, kind_of
from mialang.meaning.audit import Attack, Audit, Budget, Instance, Matrix, Measurement, Threat
from mialang.meaning.blocks import PriorValue
from mialang.meaning.declarations import Metric, Recipe
from mialang.meaning.evaluate import Evaluator
from mialang.meaning.gates import read_gate
from mialang.meaning.modules import Module, Modules
from mialang.meaning.types import ANY, Type
from mialang.meaning.values import (
    Application,
    DefendedModel,
    Hole,
    Named,
    Reference,
    Special,
    TableValue,
    Unknown,
    Value,
    is_unknown,
    walk,
)
from mialang.meaning.words import type_words
from mialang.source import Source, Span
from mialang.syntax import tree

MOST_CELLS = 10_000  # of a matrix, before any is skipped
MOST_REPEATS = 10_000
LEAST_TIME = 1e-3  # seconds of a budget; in none nothing is measured
LIMITS = {"time": "seconds", "queries": "queries", "cost": "usd"}


def read_spec(
    source: Source, path: Path | None, overrides: Mapping[str, tree.Expression] | None = None
) -> tuple[Audit | None, Modules]:
    """Read a spec and everything that it imports.

    Args:
        source: the text.
        path: where it lies, so that imports of files can be found.
        overrides: values for its parameters.

    Returns the typed spec (None where the text does not parse) and the modules with all findings so far.
    """
    modules = Modules(overrides=overrides or {})
    module = modules.main(source, path)
    if module.file is None:
        return None, modules
    return _Reader(modules, module, source).read(), modules


class _Reader:
    """Reads the blocks of one spec."""

    def __init__(self, modules: Modules, module: Module, source: Source) -> None:
        assert module.file is not None
        self.modules = modules
        self.module = module
        self.found: list[Diagnostic] = modules.found
        doc = module.file.doc.text if module.file.doc else ""
        self.audit = Audit(source, doc, modules.registry, items=module.file.items)
        self.audit.unread |= module.unread
        self.audit.written |= {item.kind.text for item in module.file.items if isinstance(item, tree.Block)}

    def read(self) -> Audit:
        """Read block by block: the matrix first, since everything else may mention it."""
        blocks = self.module.blocks
        for kind in ("matrix", "budget", "evaluate"):
            for extra in [block for block in blocks if block.kind.text == kind][1:]:
                first = next(block for block in blocks if block.kind.text == kind)
                self.found.append(
                    error("E0205", f"there are two `{kind}` blocks", extra.kind.span, "again here")
                    .also(first.kind.span, "first here")
                    .help("put everything into one")
                )
        self._unknown_overrides()
        order = ("matrix", "data", "target", "judge", "prior", "threat", "attack", "evaluate", "budget", "gate")
        for kind in order:
            for block in blocks:
                if block.kind.text == kind:
                    getattr(self, f"_{kind}", self._named)(block, self.modules.evaluator(self.module))
        self._lets()
        self._recipes()
        return self.audit

    def _unknown_overrides(self) -> None:
        assert self.module.file is not None
        names = [item.name.text for item in self.module.file.items if isinstance(item, tree.Param)]
        for name, node in self.modules.overrides.items():
            if name not in names:
                help_ = did_you_mean(name, names) or "the spec declares no `param`"
                span = Span(node.span.source, 0, len(name))
                self.found.append(error("E0203", f"the spec has no parameter `{name}`", span).help(help_))

    def _lets(self) -> None:
        """Evaluate every `let` and `param`, used or not, so that a mistake in one is found."""
        assert self.module.file is not None
        evaluator = self.modules.evaluator(self.module)
        for item in self.module.file.items:
            if isinstance(item, tree.Let | tree.Param):
                value = evaluator.evaluate(item.name)
                self.audit.named[item.name.text] = value

    def _recipes(self) -> None:
        for name, binding in self.module.scope.names.items():
            if isinstance(binding, Recipe) and not any(parameter.required for parameter in binding.parameters):
                value = self.modules.evaluator(self.module).apply(binding, (), None)
                if isinstance(value, Application):
                    self.audit.recipes[name] = value

    # -- named values ----------------------------------------------------------------------------------------------

    def _named(self, block: tree.Block, evaluator: Evaluator) -> None:
        assert isinstance(block.label, tree.Name)
        value = evaluator.evaluate(block.label)
        self.audit.named[block.name] = value
        if block.kind.text == "judge" and isinstance(value, Application):
            self.audit.judges[block.name] = value

    # -- matrix ----------------------------------------------------------------------------------------------------

    def _matrix(self, block: tree.Block, evaluator: Evaluator) -> None:
        axes: dict[str, tuple[Value, ...]] = {}
        spans: dict[str, Span] = {}
        repeat, skip = 1, None
        for attribute in block.attributes():
            name, spans[attribute.name.text] = attribute.name.text, attribute.span
            if name == "repeat":
                value = evaluator.take(attribute.value, Type("int", low=1, high=MOST_REPEATS))
                repeat = value if isinstance(value, int) else 1
                self._note(value, "matrix")
            elif name == "skip":
                skip = attribute.value
            else:
                values = self._axis(attribute, evaluator)
                axes[name] = values
                self.modules.axes[name] = self._axis_type(values)
        if (number := prod(len(values) for values in axes.values())) > MOST_CELLS:
            self.audit.unread.add("matrix")
            self.audit.matrix = Matrix({}, repeat, None, spans)
            finding = error("E0106", f"this matrix has {number:,} cells", block.kind.span, f"more than {MOST_CELLS:,}")
            self.found.append(finding.help("give its axes fewer values, or spread them over several specs"))
            return
        self.audit.matrix = Matrix(axes, repeat, None, spans)
        if skip is not None:
            condition = self._skip(skip)
            self.audit.matrix = Matrix(axes, repeat, condition, spans)
            if condition is not None and not any(True for _ in self.audit.matrix.cells()):
                self.audit.unread.add("matrix")  # that no rule covers a cell then needs no telling
                self.found.append(
                    error("E0606", "every cell of the matrix is skipped", skip.span).help(
                        "skip the cells that make no sense, and leave some"
                    )
                )

    def _skip(self, node: tree.Expression) -> Value:
        """The cells to drop, as a condition; None where that could not be read."""
        condition = self.modules.evaluator(self.module).evaluate(node)
        if not is_unknown(condition) and (
            isinstance(condition, bool) or kind_of(condition, self.modules.registry) != "condition"
        ):
            self.found.append(
                error("E0606", "`skip` needs a condition on axes of the matrix", node.span).help(
                    "write for example `skip = matrix.defense == none()`"
                )
            )
            condition = Unknown()
        self._note(condition, "matrix")
        return None if is_unknown(condition) else condition

    def _note(self, value: Value, sort: str) -> None:
        """Remember that something in a sort of block could not be read."""
        if is_unknown(value):
            self.audit.unread.add(sort)

    def _axis(self, attribute: tree.Attribute, evaluator: Evaluator) -> tuple[Value, ...]:
        value = evaluator.evaluate(attribute.value)
        self._note(value, "matrix")
        if is_unknown(value):
            return (Unknown(),)
        if not isinstance(value, tuple) or not value:
            self.found.append(
                error("E0210", f"the axis `{attribute.name.text}` needs a list of values", attribute.value.span).help(
                    "write `[a, b, …]`; what does not vary is no axis"
                )
            )
            self.audit.unread.add("matrix")
            return (Unknown(),)
        values = tuple(
            evaluator.apply(item.declaration, (), None)
            if isinstance(item, Reference) and not isinstance(item.declaration, Recipe)
            else item
            for item in value
        )
        kinds = {self._axis_type((item,)).name for item in values}
        if len(kinds) > 1:
            self.found.append(
                error(
                    "E0210", f"the values of `{attribute.name.text}` are of different kinds", attribute.value.span
                ).help(
                    "one axis varies one thing; here are "
                    + " and ".join(sorted(type_words(Type(kind)) for kind in kinds))
                )
            )
        seen: list[Value] = []
        for item, node in zip(
            values, attribute.value.items if isinstance(attribute.value, tree.ListOf) else (), strict=False
        ):
            if item in seen and not is_unknown(item):
                self.found.append(
                    error("E0205", f"`{attribute.name.text}` lists the same value twice", node.span, "again here").help(
                        "remove one; `repeat` says how often everything is done"
                    )
                )
            seen.append(item)
        return values

    def _axis_type(self, values: tuple[Value, ...]) -> Type:
        first = values[0]
        kind = kind_of(first, self.modules.registry)
        if isinstance(first, PriorValue):
            return Type("prior")
        if isinstance(first, tuple):
            return self._axis_type(first) if first else ANY
        if kind:
            return Type(kind)
        names = {bool: "bool", int: "int", float: "float", str: "string"}
        return Type(names.get(type(first), "any"))

    # -- threats ---------------------------------------------------------------------------------------------------

    def _threat(self, block: tree.Block, evaluator: Evaluator) -> None:
        given = {attribute.name.text: attribute for attribute in block.attributes()}
        spans = {name: attribute.value.span for name, attribute in given.items()} | {"": block.head}
        values: dict[str, Value] = {"prior": (), "defense": ()}
        wanted = {
            "target": Type("model"), "access": Type("access"), "extent": Type("extent"), "defense": Type("defense"),
        }  # fmt: skip
        for name, attribute in given.items():
            if name == "target":
                values[name] = self._attacked(attribute.value, evaluator)
            elif name in wanted:
                values[name] = evaluator.take(attribute.value, wanted[name])
            elif name == "prior":
                values[name] = self._priors(attribute, evaluator)
        for name in ("target", "access", "extent"):
            values.setdefault(name, Unknown())
        self.audit.threats[block.name] = Threat(
            block.name, values["target"], values["access"], values["prior"], values["extent"], values["defense"], spans
        )

    def _attacked(self, node: tree.Expression, evaluator: Evaluator) -> Value:
        value = evaluator.evaluate(node)
        if is_unknown(value) or self.modules.registry.is_a(kind_of(value, self.modules.registry), "model"):
            return evaluator.fit(value, Type("model"), node)
        assert self.module.file is not None
        blocks = [
            item for item in self.module.file.items if isinstance(item, tree.Block) and item.kind.text == "target"
        ]
        known = listed(block.name for block in blocks)
        finding = error("E0210", f"{describe(value, self.modules.registry)} is not a model", node.span)
        return evaluator.report(finding.help(f"name a target: {known}" if known else "name a `target` block"))

    def _priors(self, attribute: tree.Attribute, evaluator: Evaluator) -> Value:
        value = evaluator.evaluate(attribute.value)
        for item in value if isinstance(value, tuple) else (value,):
            if not is_unknown(item) and not isinstance(item, PriorValue | Hole):
                self.found.append(
                    error(
                        "E0210", f"{describe(item, self.modules.registry)} is not a prior", attribute.value.span
                    ).help("name a `prior` block, or a list of them")
                )
                return Unknown()
        return value

    # -- attacks ---------------------------------------------------------------------------------------------------

    def _attack(self, block: tree.Block, evaluator: Evaluator) -> None:
        given = {attribute.name.text: attribute for attribute in block.attributes()}
        if not given.keys() >= {"against", "use"}:
            self.audit.unread.add("attack")  # told as missing, or as misspelled
            return
        every, instances = self._use(block, given["use"].value, evaluator)
        against = evaluator.evaluate(given["against"].value)
        if not isinstance(against, Named) or against.sort != "threat":
            if not is_unknown(against):
                self.found.append(
                    error(
                        "E0210",
                        f"{describe(against, self.modules.registry)} is not a threat",
                        given["against"].value.span,
                    ).help(
                        "name a threat: " + listed(self.audit.threats)
                        if self.audit.threats
                        else "name a `threat` block"
                    )
                )
            self.audit.unread.add("attack")
            return
        controls = True
        if "controls" in given:
            choice = Type("one_of", (Type("all"), Type("none")))
            controls = evaluator.take(given["controls"].value, choice) != "none"
        head = block.label.span if block.label else block.kind.span
        self.audit.attacks[block.name] = Attack(
            block.name, against.name, tuple(instances), every, controls, head, given["against"].value.span
        )

    def _use(self, block: tree.Block, node: tree.Expression, evaluator: Evaluator) -> tuple[bool, list[Instance]]:
        """What an attack uses: whether every applicable recipe, and those that it names."""
        every = False
        instances: list[Instance] = []
        use = evaluator.evaluate(node)
        if isinstance(use, Special) and use.word == "every applicable":
            every = True
        elif isinstance(use, TableValue):
            nodes = (
                {entry.name.text: entry.value.span for entry in node.entries} if isinstance(node, tree.Table) else {}
            )
            for name, value in use.entries.items():
                self._instance(name, value, nodes.get(name, node.span), instances, evaluator)
        elif not is_unknown(use) or isinstance(use, tuple):
            many = use if isinstance(use, tuple) else (use,)
            nodes_ = node.items if isinstance(node, tree.ListOf) and isinstance(use, tuple) else (node,) * len(many)
            for value, item in zip(many, nodes_, strict=True):
                self._instance("", value, item.span, instances, evaluator)
        if isinstance(use, tuple | TableValue) and not (use if isinstance(use, tuple) else use.entries):
            self.found.append(
                error("E0702", f"the attack `{block.name}` uses no recipe", node.span).help(
                    "name at least one, or write `use = every(applicable)`"
                )
            )
        self._note(use, "attack")
        return every, instances

    def _instance(self, name: str, value: Value, span: Span, instances: list[Instance], evaluator: Evaluator) -> None:
        if is_unknown(value):
            return
        if isinstance(value, Hole):
            instances.append(Instance(name or value.name, value, span))
            return
        if isinstance(value, Reference) and isinstance(value.declaration, Recipe):
            value = self._plain(value, span, evaluator)
        if not isinstance(value, Application) or not isinstance(value.declaration, Recipe):
            if not is_unknown(value):
                self.found.append(
                    error("E0210", f"{describe(value, self.modules.registry)} is not a recipe", span).help(
                        "import recipes with `import std.attack { NAME }`"
                    )
                )
            return
        label = name or value.name
        twin = next((instance for instance in instances if instance.name == label), None)
        if twin is not None:
            self.found.append(
                error("E0205", f"`{label}` is used twice", span, "again here")
                .also(twin.span, "first here")
                .help(f"name them: `use = {{ fast = {label}(…), slow = {label}(…) }}`")
            )
            return
        instances.append(Instance(label, value, span))

    def _plain(self, named: Reference, span: Span, evaluator: Evaluator) -> Value:
        """A recipe named without arguments, with its defaults."""
        required = [parameter for parameter in named.declaration.parameters if parameter.required]
        if not required:
            return evaluator.apply(named.declaration, (), None)
        needed = ", ".join(f"{parameter.name} = …" for parameter in required)
        finding = error("E0204", f"`{named.declaration.name}` needs {listed(each.name for each in required)}", span)
        return evaluator.report(finding.help(f"write `{named.declaration.name}({needed})`"))

    # -- measurements, budget, gates ---------------------------------------------------------------------------------

    def _evaluate(self, block: tree.Block, evaluator: Evaluator) -> None:
        for attribute in block.attributes():
            name = attribute.name.text
            value = evaluator.evaluate(attribute.value)
            if is_unknown(value):
                self.audit.unmeasured.add(name)
                continue
            if not isinstance(value, Application) or not isinstance(value.declaration, Metric):
                self.audit.unmeasured.add(name)
                self.found.append(
                    error(
                        "E0210", f"{describe(value, self.modules.registry)} is not a metric", attribute.value.span
                    ).help("import metrics with `import std.metric { NAME }`")
                )
                continue
            if name in self.audit.measurements:
                continue  # reported as given twice
            self.audit.measurements[name] = Measurement(name, value, attribute.value.span)

    def _budget(self, block: tree.Block, evaluator: Evaluator) -> None:
        wanted = {"time": Type("seconds", low=LEAST_TIME), "queries": Type("queries"), "cost": Type("usd")}
        limits: dict[str, float] = {}
        spans: dict[str, Span] = {}
        for attribute in block.attributes():
            name = attribute.name.text
            if name in wanted:
                value = evaluator.take(attribute.value, wanted[name])
                if isinstance(value, int | float):
                    limits[LIMITS[name]] = float(value)
                    spans[LIMITS[name]] = attribute.value.span
        self.audit.budget = Budget(**limits, spans=spans)

    def _gate(self, block: tree.Block, evaluator: Evaluator) -> None:
        twin = next((gate for gate in self.audit.gates if gate.title == block.name), None)
        if twin is not None and block.label is not None:
            finding = error("E0206", f"two gates are called “{block.name}”", block.label.span, "again here")
            self.found.append(finding.also(twin.span, "first here").help("rename one of them, or join their rules"))
        self.audit.gates.append(read_gate(block, evaluator, self.audit, self.found))


def attack_of(measurement: Measurement) -> str | None:
    """The attack that a measurement is about; None for measurements of a model."""
    for value in measurement.value.arguments.values():
        if isinstance(value, Named) and value.sort == "attack":
            return value.name
    return None


def threat_of(measurement: Measurement, audit: Audit) -> str | None:
    """The threat whose defended model or attack a measurement is about."""
    name = attack_of(measurement)
    if name is not None and name in audit.attacks:
        return audit.attacks[name].against
    return next((part.threat for part in walk(measurement.value) if isinstance(part, DefendedModel)), None)
