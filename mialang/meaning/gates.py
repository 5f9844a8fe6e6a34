"""Gates: conditions over measurements, read with their own rules for `leak[LOMMA].gain.top1` and `.at(…)`."""

from __future__ import annotations

from dataclasses import dataclass

from mialang.diagnostics import Diagnostic, did_you_mean, error, listed
from mialang.meaning.arithmetic import ArithmeticProblem, by_zero, calculate, is_number
from mialang.meaning.audit import (
    VIEWS,
    Arithmetic,
    Audit,
    Comparison,
    Condition,
    Constant,
    Gate,
    GateRule,
    Junction,
    Measurement,
    Reading,
    Term,
    readings,
)
from mialang.meaning.declarations import Recipe
from mialang.meaning.evaluate import Evaluator, axes_of
from mialang.meaning.fits import candidate_of
from mialang.meaning.types import Type
from mialang.meaning.units import Quantity
from mialang.meaning.values import Application, DefendedModel, Hole, Named, Unknown, Value, is_unknown, walk
from mialang.meaning.words import article, measure_words
from mialang.syntax import tree


class _UnreadableError(Exception):
    """A part of a rule that has been reported."""


@dataclass
class _GateReader:
    evaluator: Evaluator
    audit: Audit
    found: list[Diagnostic]

    def refuse(self, finding: Diagnostic) -> _UnreadableError:
        self.found.append(finding)
        return _UnreadableError()

    # -- conditions ------------------------------------------------------------------------------------------------

    def condition(self, node: tree.Expression) -> Condition:
        match node:
            case tree.Compare():
                left, right = self.term(node.left), self.term(node.right)
                self._units((left, node.left), (right, node.right))
                return Comparison(node.operator, left, right)
            case tree.Logic():
                return Junction(node.operator, (self.condition(node.left), self.condition(node.right)))
            case tree.Not():
                return Junction("not", (self.condition(node.operand),))
        raise self.refuse(
            error("E0605", "a gate compares a measurement with a threshold", node.span).help(
                "write for example `leak.gain.top1 <= 10 %`"
            )
        )

    def _units(self, left: tuple[Term, tree.Expression], right: tuple[Term, tree.Expression]) -> None:
        """A share is compared with a share: `<= 30` for 30 % would always hold."""
        for (term, _), (other, where) in ((left, right), (right, left)):
            unit, second = self._unit(term), self._unit(other)
            if unit is None or second is None or not any(readings(term)):
                continue
            subject = f"`{next(readings(term)).measurement}`"
            if unit == "share" and isinstance(other, Constant) and not second and not -1 <= other.value <= 1:
                raise self.refuse(
                    error("E0211", f"{subject} is a share, and `{other.value:g}` is not", where.span).help(
                        f"write `{other.value:g} %`"
                    )
                )
            if second and second != unit:
                measured = f"is {_unit_words(unit)}" if unit else "has no unit"
                title = f"{subject} {measured}, and {where.span.text} is {_unit_words(second)}"
                raise self.refuse(error("E0212", title, where.span).help("compare values of one unit"))

    def _unit(self, term: Term) -> str | None:
        """What a term is measured in: empty for plain numbers, None where it cannot be said."""
        match term:
            case Reading():
                return self.audit.measurements[term.measurement].metric.unit
            case Constant():
                return term.dimension
            case Arithmetic():
                left, right = self._unit(term.left), self._unit(term.right)
                if term.sign in "+-":
                    return left or right
                if not right:
                    return left
                return right if term.sign == "*" and not left else None
        return None

    # -- terms -----------------------------------------------------------------------------------------------------

    def term(self, node: tree.Expression) -> Term:
        match node:
            case tree.Integer() | tree.Number():
                return Constant(node.value)
            case tree.Quantity():
                quantity = Quantity.of(node.value, node.unit)
                return Constant(quantity.value, quantity.dimension)
            case tree.Negate():
                return self._arithmetic("*", Constant(-1), self.term(node.operand), node)
            case tree.Binary():
                left, right = self.term(node.left), self.term(node.right)
                if node.operator in "+-":
                    self._units((left, node.left), (right, node.right))
                return self._arithmetic(node.operator, left, right, node)
            case tree.Name() | tree.Member() | tree.Index() | tree.Call():
                return self._reading(node)
        raise self.refuse(_no_term(node))

    def _arithmetic(self, sign: str, left: Term, right: Term, node: tree.Expression) -> Term:
        if isinstance(left, Constant) and isinstance(right, Constant):
            try:
                value = calculate(sign, _plain(left), _plain(right))
            except ArithmeticProblem as problem:
                raise self.refuse(error("E0213", str(problem), node.span).help(problem.help)) from None
            if isinstance(value, Quantity):
                return Constant(value.value, value.dimension)
            return Constant(float(value), left.dimension or right.dimension)
        if sign == "/" and isinstance(right, Constant) and not right.value:
            zero = by_zero()
            raise self.refuse(error("E0213", str(zero), node.span).help(zero.help))
        return Arithmetic(sign, left, right)

    def _reading(self, node: tree.Expression) -> Term:
        """Unwind `leak[LOMMA].gain.top1.at(defense = none())` from the outside in."""
        members: list[tree.Name] = []
        at: tree.Call | None = None
        instance: tree.Index | None = None
        current = node
        while not isinstance(current, tree.Name):
            match current:
                case tree.Call(function=tree.Member(name=tree.Name(text="at"))) if at is None:
                    at = current
                    current = current.function.base  # type: ignore[union-attr]
                case tree.Member():
                    members.insert(0, current.name)
                    current = current.base
                case tree.Index() if instance is None:
                    instance = current
                    current = current.base
                case _:
                    return self._value(node)
        measurement = self.audit.measurements.get(current.text)
        if measurement is None:
            if current.text in self.audit.unmeasured:
                raise _UnreadableError
            return self._value(node)
        view, field = self._members(measurement, members, node)
        return Reading(
            measurement.name,
            self._instance(measurement, instance) if instance is not None else "",
            view,
            field,
            self._at(at) if at is not None else {},
            node.span,
        )

    def _value(self, node: tree.Expression) -> Term:
        """Something that is no measurement: a parameter or a `let` that is a number."""
        root = node
        while isinstance(root, tree.Member | tree.Index | tree.Call):
            root = root.function if isinstance(root, tree.Call) else root.base
        if isinstance(root, tree.Name) and not self.evaluator.scope.look(root.text)[0]:
            known = {*self.audit.measurements, *self.audit.unmeasured}
            if not self.audit.complete("evaluate"):
                raise _UnreadableError
            raise self.refuse(
                error(
                    "E0601", f"nothing is measured under the name `{root.text}`", root.span, "unknown measurement"
                ).help(did_you_mean(root.text, known) or "name it in the `evaluate` block")
            )
        value = self.evaluator.evaluate(node)
        if is_number(value):
            return Constant(float(value))  # type: ignore[arg-type]
        if isinstance(value, Quantity):
            return Constant(value.value, value.dimension)
        if is_unknown(value):
            raise _UnreadableError
        raise self.refuse(_no_term(node))

    def _members(self, measurement: Measurement, members: list[tree.Name], node: tree.Expression) -> tuple[str, str]:
        view, field = "", ""
        fields = measurement.fields
        leaks = measurement.metric.sort == "leakage"
        for member in members:
            if member.text in VIEWS and leaks and not view and not field:
                view = member.text
            elif member.text in fields and not field:
                field = member.text
            else:
                read = ".".join(filter(None, [measurement.name, view, field]))
                known = [*(() if field else fields), *(VIEWS if leaks and not view and not field else ())]
                raise self.refuse(
                    error("E0602", f"`{read}` has no part `{member.text}`", member.span, "unknown here").help(
                        did_you_mean(member.text, known) or f"it is one number: write `{read}`"
                    )
                )
        if not field and len(fields) > 1:
            read = ".".join(filter(None, [measurement.name, view]))
            raise self.refuse(
                error("E0602", f"`{read}` has several parts", node.span, "which of them?")
                .also(measurement.span, f"measures {listed(fields)}")
                .help(f"name one: `{read}.{fields[0]}`")
            )
        return view, field or (fields[0] if fields else "")

    def _instance(self, measurement: Measurement, index: tree.Index) -> str:
        attack = next((value.name for value in measurement.value.arguments.values()
                       if isinstance(value, Named) and value.sort == "attack"), "")  # fmt: skip
        declared = self.audit.attacks.get(attack)
        known = (
            [name for instance in declared.use for name in self._results(instance.name, instance.recipe)]
            if declared
            else []
        )
        if declared is not None and declared.every:
            known = [name for name, binding in self.evaluator.scope.around.names.items() if isinstance(binding, Recipe)] \
                if self.evaluator.scope.around else []  # fmt: skip
        name = "".join(index.key.span.text.split())
        if name not in known and not self.audit.complete("attack"):
            raise _UnreadableError
        if name not in known:
            raise self.refuse(
                error("E0602", f"`{measurement.name}` measures no attack called `{name}`", index.key.span)
                .also(measurement.span, f"measures `{attack}`" if attack else "measures no attack")
                .help(did_you_mean(name, known) or "leave the brackets out")
            )
        return name

    def _results(self, name: str, recipe: Value) -> list[str]:
        """The names under which a recipe hands over: its own, or its own with those of a table of results."""
        candidate = candidate_of(recipe, self.audit.registry)
        results = list(candidate.elaborated.results) if candidate is not None else [""]
        return [f"{name}.{result}" if result and len(results) > 1 else name for result in results]

    def _at(self, call: tree.Call) -> dict[str, Value]:
        fixed: dict[str, Value] = {}
        matrix = self.audit.matrix
        for argument in call.arguments:
            name = argument.name.text if argument.name else ""
            if not self.audit.complete("matrix"):
                raise _UnreadableError
            if name not in matrix.axes:
                span = argument.name.span if argument.name else argument.span
                raise self.refuse(
                    error("E0606", f"the matrix has no axis `{name}`", span).help(
                        did_you_mean(name, matrix.axes)
                        or "an axis is a list in the `matrix` block, and is read as `.at(axis = value)`"
                    )
                )
            value = self.evaluator.take(argument.value, self.evaluator.axes.get(name, Type("any")))
            if is_unknown(value):
                raise _UnreadableError
            if value not in matrix.axes[name]:
                raise self.refuse(
                    error("E0606", f"`{name}` never takes this value", argument.value.span)
                    .also(matrix.spans[name], "its values")
                    .help("read one of the cells that the matrix has")
                )
            fixed[name] = value
        return fixed


def _plain(constant: Constant) -> float | Quantity:
    return Quantity(constant.value, constant.dimension) if constant.dimension else constant.value


def _no_term(node: tree.Expression) -> Diagnostic:
    return error("E0605", "this is no number and no measurement", node.span).help(
        "name a measurement of the `evaluate` block"
    )


def _unit_words(unit: str) -> str:
    return f"{article(unit)} {unit}" if unit == "distance" else measure_words(unit)


def read_gate(block: tree.Block, evaluator: Evaluator, audit: Audit, found: list[Diagnostic]) -> Gate:
    """Read the rules of a gate; what cannot be read is reported and left out."""
    reader = _GateReader(evaluator, audit, found)
    entries = [entry for entry in block.entries if isinstance(entry, tree.Rule)]
    if not entries and not any(block.attributes()):
        found.append(
            error("E0605", "this gate holds no rule", block.head).help(
                "write for example `require leak.gain.top1 <= 10 %`"
            )
        )
    rules = [rule for entry in entries if (rule := _rule(entry, reader)) is not None]
    return Gate(block.name, tuple(rules), block.head, frozenset(entry.verb for entry in entries))


def _rule(entry: tree.Rule, reader: _GateReader) -> GateRule | None:
    where: Value = None
    confidence: float | None = None
    because = ""
    sound = _each_once(entry, reader)
    for clause in entry.clauses:
        match clause:
            case tree.Where():
                where = _where(clause, reader)
                sound = sound and not is_unknown(where)
            case tree.Confidence():
                confidence = _level(clause, reader)
                sound = sound and confidence is not None
            case tree.Because():
                because = clause.reason.value
    try:
        condition = reader.condition(entry.condition)
    except _UnreadableError:
        return None
    if not sound:
        return None
    if not any(readings(condition)):
        reader.found.append(
            error("E0605", "this rule reads no measurement", entry.condition.span).help(
                "name a measurement of the `evaluate` block"
            )
        )
        return None
    axes = _axes(condition, reader.audit)
    if where is not None and not _covers(where, axes, entry, reader):
        return None
    return GateRule(
        entry.verb, condition, where, confidence, because, frozenset(axes), entry.span, entry.condition.span.text
    )


def _each_once(entry: tree.Rule, reader: _GateReader) -> bool:
    """Whether every clause of a rule stands once; a second one would silently replace the first."""
    words = {tree.Where: "where", tree.Confidence: "at … confidence", tree.Because: "because"}
    first: dict[type, tree.Node] = {}
    sound = True
    for clause in entry.clauses:
        if (earlier := first.setdefault(type(clause), clause)) is not clause:
            title = f"`{words[type(clause)]}` is given twice"
            join = "join the conditions with `and`" if isinstance(clause, tree.Where) else "keep one of them"
            reader.found.append(
                error("E0205", title, clause.span, "again here").also(earlier.span, "first here").help(join)
            )
            sound = False
    return sound


def _where(clause: tree.Where, reader: _GateReader) -> Value:
    """The condition of a `where`."""
    where = reader.evaluator.evaluate(clause.condition)
    if is_unknown(where) or isinstance(where, bool) or not _not_condition(where):
        return where
    reader.found.append(
        error("E0606", "`where` needs a condition on axes of the matrix", clause.condition.span).help(
            "write for example `where matrix.defense != none()`"
        )
    )
    return Unknown()


def _covers(where: Value, axes: set[str], entry: tree.Rule, reader: _GateReader) -> bool:
    """Whether a rule speaks of any cell."""
    span = next(clause.span for clause in entry.clauses if isinstance(clause, tree.Where))
    if extra := axes_of(where) - axes:
        threats = reader.audit.threats.values()
        if not reader.audit.complete("attack", "threat") or not all(reader.audit.sound(each) for each in threats):
            return False  # what could not be read may vary along it
        reader.found.append(
            error("E0606", f"nothing in this rule varies along `{min(extra)}`", span).help(
                f"leave the condition out, or write `matrix.{min(extra)}` into the threat or attack that is measured"
            )
        )
        return False
    matrix = reader.audit.matrix
    if reader.audit.complete("matrix") and not any(matrix.truth(where, cell) for cell in matrix.cells(frozenset(axes))):
        finding = error("E0606", "this rule covers no cell", span, "never true")
        for axis in sorted(axes_of(where)):
            finding = finding.also(matrix.spans[axis], "the values of the axis")
        reader.found.append(
            finding.note("a rule about nothing always holds").help("compare with a value that the axis takes")
        )
        return False
    return True


def _not_condition(value: Value) -> bool:
    kind = getattr(value, "kind", "")
    return kind != "condition" and not (isinstance(value, Hole) and value.type.name == "bool")


def _level(clause: tree.Confidence, reader: _GateReader) -> float | None:
    quantity = Quantity.of(clause.level.value, clause.level.unit)
    if quantity.dimension == "share" and 0.5 <= quantity.value < 1:
        return quantity.value
    reader.found.append(
        error("E0211", "a level of confidence lies between 50 % and 100 %", clause.level.span).help(
            "write `at 95 % confidence`"
        )
    )
    return None


def _axes(condition: Condition, audit: Audit) -> set[str]:
    """The axes along which what a condition reads varies; those fixed by `.at` do not count."""
    axes: set[str] = set()
    for reading in readings(condition):
        axes |= measured_axes(audit.measurements[reading.measurement], audit) - set(reading.at)
    return axes


def measured_axes(measurement: Measurement, audit: Audit) -> set[str]:
    """The axes that a measurement mentions, directly or through its attack and threat."""
    axes = axes_of(measurement.value)
    threats: set[str] = set()
    for part in walk(measurement.value):
        if isinstance(part, Named) and part.sort == "attack" and part.name in audit.attacks:
            attack = audit.attacks[part.name]
            threats.add(attack.against)
            for instance in attack.use:
                axes |= axes_of(instance.recipe)
        if isinstance(part, DefendedModel):
            threats.add(part.threat)
    for name in threats:
        if name in audit.threats:
            for value in audit.threats[name].values():
                axes |= axes_of(value)
    return axes


__all__ = ["Application", "measured_axes", "read_gate"]
