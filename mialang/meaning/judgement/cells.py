"""What varies along the matrix has a value in every cell: arithmetic and comparisons that hold in one may fail in another."""

from __future__ import annotations

from collections.abc import Iterator

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.arithmetic import ArithmeticProblem
from mialang.meaning.audit import Audit, Cell
from mialang.meaning.evaluate import axes_of
from mialang.meaning.values import Algebra, Value, is_unknown, joined, walk
from mialang.source import Span


def cells_have_values(audit: Audit) -> Iterator[Diagnostic]:
    """Everything that mentions an axis can be worked out for every value of the axis."""
    for value, span in _varying(audit):
        axes = frozenset(axes_of(value))
        for cell in audit.matrix.cells(axes) if axes and not is_unknown(value) else ():
            if (problem := _problem(value, audit, cell)) is not None:
                finding = error("E0213", str(problem), span, "in one cell of the matrix")
                for axis in sorted(axes & audit.matrix.spans.keys()):
                    finding = finding.also(audit.matrix.spans[axis], "the values of the axis")
                yield finding.help(problem.help)
                break


def _varying(audit: Audit) -> Iterator[tuple[Value, Span]]:
    if "skip" in audit.matrix.spans:
        yield audit.matrix.skip, audit.matrix.spans["skip"]
    for threat in audit.threats.values():
        parts = {
            "target": threat.target,
            "access": threat.access,
            "prior": threat.priors,
            "extent": threat.extent,
            "defense": threat.defense,
        }
        yield from ((value, threat.spans.get(name, threat.spans[""])) for name, value in parts.items())
    for attack in audit.attacks.values():
        yield from ((instance.recipe, instance.span) for instance in attack.use)
    for measurement in audit.measurements.values():
        yield measurement.value, measurement.span
    for gate in audit.gates:
        yield from ((rule.where, rule.span) for rule in gate.rules)


def _problem(value: Value, audit: Audit, cell: Cell) -> ArithmeticProblem | None:
    """Why a value cannot be worked out in a cell; None where it can."""
    for part in walk(value):
        if not isinstance(part, Algebra) or part.kind not in ("number", "condition"):
            continue
        operands = tuple(audit.matrix.at(each, cell) for each in part.operands)
        if any(is_unknown(each) for each in operands):
            continue  # a part of it is at fault
        try:
            joined(part.operator, operands, part.kind)
        except ArithmeticProblem as problem:
            return problem
    return None
