"""The command that compares: `diff`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mialang.cli.console import Exit, Format, say
from mialang.cli.kept import record_of
from mialang.cli.planning import StoreOption
from mialang.cli.writing import Output

if TYPE_CHECKING:
    from mialang.report.bounds import Estimate
    from mialang.report.comparison import Comparison, FigureChange, ParameterChange
    from mialang.report.evidence import Missing

MOST = 40  # lines of a part that are shown


def diff(
    one: Annotated[str, typer.Argument(help="A run's name, its beginning, or `last`.", metavar="RUN")],
    other: Annotated[str, typer.Argument(help="Another run.", metavar="RUN")],
    output: Output = Format.TEXT,
    store: StoreOption = None,
) -> None:
    """Compare two runs: spec, plan, verdicts, figures with their intervals.

    Ends with 0 where nothing differs, and with 1 where something does, be it within the intervals.
    """
    from mialang.report.comparison import as_json, compare  # noqa: PLC0415

    made = compare(record_of(store, one), record_of(store, other))
    say(json.dumps(as_json(made), indent=1) if output is Format.JSON else comparison_words(made))
    raise typer.Exit(Exit.PASS if made.equal else Exit.GATE_FAILED)


def comparison_words(made: Comparison) -> str:
    """A comparison for people: part by part, and whether chance explains it."""
    before, after = made.names
    lines = [f"before  {before}", f"after   {after}"]
    for name, ended in zip(made.names, made.ended, strict=True):
        if not ended:
            lines.append(f"the run {name} never ended: it has no verdict and no figures to compare")
    if made.equal:
        return "\n".join([*lines, "", f"equal: spec, {made.same} nodes with their results, verdict and figures"])
    lines += _part("spec", list(made.spec))
    lines += _part("settings", [f"{each.name}: {each.before} → {each.after}" for each in made.settings])
    lines += _part("plan", _plan_lines(made))
    lines += _part("results", [f"{label}{_times(count)}: other bytes" for label, count in made.results.items()])
    if all(made.ended):
        lines += _part("verdict", _verdict_lines(made))
        lines += _part("figures", _figure_lines(made))
    return "\n".join(lines)


def _part(title: str, lines: list[str]) -> list[str]:
    rest = [f"… and {len(lines) - MOST} more; `--format json` has all"] if len(lines) > MOST else []
    return ["", f"{title}: {'' if lines else 'the same'}".rstrip(), *(f"  {line}" for line in (*lines[:MOST], *rest))]


def _times(count: int) -> str:
    return f" ×{count}" if count > 1 else ""


def _plan_lines(made: Comparison) -> list[str]:
    lines = []
    for node in made.nodes:
        head = f"{node.label} ({node.role}){_times(node.count)}"
        how = node.what if not node.parameters else ", ".join(map(_parameter, node.parameters))
        lines.append(f"{head}: {how}")
    if made.follows:
        lines.append(f"{made.follows} nodes differ only in what they rest on")
    if lines:
        lines.append(f"{made.same} nodes are the same")
    return lines


def _parameter(change: ParameterChange) -> str:
    if change.before is None:
        return f"{change.name} = {change.after} (new)"
    if change.after is None:
        return f"{change.name} = {change.before} (gone)"
    return f"{change.name} {change.before} → {change.after}"


def _verdict_lines(made: Comparison) -> list[str]:
    before, after = made.status
    if before == after and not made.rules:
        return []
    lines = [f"the audit: {before} → {after}" if before != after else f"the audit: {before}, as before"]
    for rule in made.rules:
        where = ", ".join(filter(None, (rule.rule, rule.cell)))
        named = f"“{rule.gate}”" + (f", {where}" if where else "")
        lines.append(f"{named}: {rule.before or 'absent'} → {rule.after or 'absent'}")
    return lines


def _figure_lines(made: Comparison) -> list[str]:
    from mialang.report.phrases import named  # noqa: PLC0415

    lines = []
    for each in made.figures:
        name = (
            each.measurement
            + (f".{each.field}" if each.field else "")
            + (f"[{each.instance}]" if each.instance else "")
        )
        view = {"value": "", "blind": ", blind control", "baseline": ", best baseline", "gain": ", gain"}[each.view]
        where = f" at {named(each.cell)}" if each.cell else ""
        before, after = _figure(each.before, each.unit), _figure(each.after, each.unit)
        lines.append(f"{name}{view}{where}: {before} → {after}{_judged(each)}")
    beyond = sum(each.within is False for each in made.figures)
    if lines:
        lines.append(f"{beyond} of {len(lines)} differences lie beyond the intervals")
    return lines


def _figure(value: Estimate | Missing | None, unit: str) -> str:
    from mialang.report.bounds import Estimate  # noqa: PLC0415
    from mialang.report.summary import estimate_words  # noqa: PLC0415

    if value is None:
        return "absent"
    return estimate_words(value, unit) if isinstance(value, Estimate) else value.kind


def _judged(change: FigureChange) -> str:
    match change.within:
        case True:
            return " (within the intervals)"
        case False:
            return " (beyond the intervals)"
    return ""


COMMANDS = (diff,)
