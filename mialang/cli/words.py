"""What commands say: a plan, a run's summary, fitting attacks."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from mialang.cli.console import coloured, say
from mialang.diagnostics import Diagnostic, error, listed
from mialang.diagnostics.render import drawn
from mialang.meaning.units import duration
from mialang.source import Source, Span

if TYPE_CHECKING:
    from mialang.meaning.audit import Audit, Threat
    from mialang.plan.cost import Cost
    from mialang.plan.model import Plan
    from mialang.report.record import Record
    from mialang.report.sections.judgement import FailureView

WORD = re.compile(r"\w+(?:\.\w+)*")


def plan_words(plan: Plan, cost: Cost, cached: frozenset[str] = frozenset()) -> str:
    """A plan in a few lines."""
    from mialang.report.phrases import matrix_words  # noqa: PLC0415

    lines = []
    for threat in plan.threats:
        lines += [f"threat {threat.name}", *(f"  {sentence}" for sentence in threat.prose), ""]
    for attack in plan.attacks:
        asks = f", up to {attack.queries:,} questions a run" if attack.queries else ""
        lines.append(f"attack {attack.attack}: {attack.instance} ({attack.family}{asks})")
        lines += [f"  needs {need}" for need in attack.needs]
        lines += [f"  {formula}" for formula in attack.formulas]
    lines.append("")
    steps = [node for node in plan.nodes.values() if not node.passes_on]
    chosen = frozenset(node.id for node in steps) if plan.selected is None else frozenset(plan.selected)
    counts = Counter((node.role, node.operator) for node in steps if node.id in chosen)
    for (role, operator), number in sorted(counts.items()):
        lines.append(f"  {number:5} × {operator} ({role})")
    lines.append("")
    among = f" of {len(steps)} selected" if plan.selected is not None else ""
    lines.append(f"{matrix_words(plan)}: {cost.nodes} nodes{among}, {cost.cached} known already")
    if lacking := _lacking(plan, chosen, cached):
        lines.append(
            f"the selection rests on {listed(lacking, most=5)}, neither selected nor known: put a `+` in front to select that too"
        )
    if cost.queries:
        paid = f", for up to {cost.usd:,.2f} usd" if cost.usd else ""
        lines.append(f"questions to targets that count them: up to {cost.queries:,}{paid}")
    if cost.unknown and not cost.seconds:
        lines.append(f"time: {cost.unknown} nodes have no estimate yet; a run leaves one")
    else:
        rest = f", and {cost.unknown} nodes without an estimate" if cost.unknown else ""
        lines.append(f"time: about {duration(cost.seconds)}{rest}")
    return "\n".join(lines)


def _lacking(plan: Plan, chosen: frozenset[str], cached: frozenset[str]) -> list[str]:
    """What a selection rests on without having it, by label."""
    from mialang.plan.selection import needed_by_selection  # noqa: PLC0415

    nodes = needed_by_selection(plan).values()
    return list(dict.fromkeys(node.label for node in nodes if not node.passes_on and node.id not in chosen | cached))


def summary_words(record: Record, stream: TextIO, written: str = "") -> None:
    """The table of figures, the gates, and where the report is: in the run, unless it was written elsewhere."""
    from mialang.cli.table import figure_lines  # noqa: PLC0415
    from mialang.report.sections.effects import idle  # noqa: PLC0415

    heading, *lines = figure_lines(record) or [""]
    say(coloured(heading, "heading", stream), stream)
    for line in lines:
        say(line, stream)
    say("", stream)
    _say_failures(record, stream)
    _say_gates(record, stream)
    for sentence in idle(record):
        say(coloured("caution", "inconclusive", stream) + f": {sentence}", stream)
    for name, why in record.verdict.unmeasured.items():
        say(coloured("not measured", "inconclusive", stream) + f": {name}: {why}", stream)
    nodes = record.outcome.get("nodes", {})
    cached = sum(each["cached"] for each in nodes.values())
    seconds = float(record.outcome.get("seconds", 0))
    if left := record.plan.steps_among(record.outcome.get("unfinished", ())):
        say(
            f"\n{len(left)} nodes were left undone: the time budget was spent. Running again goes on from here.", stream
        )
    for line in _selection_words(record):
        say(line, stream)
    say("", stream)
    say(f"{len(nodes) - cached} nodes computed, {cached} known already, in {duration(seconds)}", stream)
    say(f"report: {written or record.run.folder / 'report.html'}", stream)


def _say_failures(record: Record, stream: TextIO) -> None:
    """Steps that failed, those that failed alike once."""
    from mialang.report.sections.judgement import failures_of  # noqa: PLC0415

    for failure in failures_of(record):
        times = f" ({len(failure.nodes)} times)" if len(failure.nodes) > 1 else ""
        head = coloured("failed", "error", stream) + f": {failure.label}: {failure.title}{times}"
        say(drawn(_as_finding(failure, record.plan), head), stream)


def _as_finding(failure: FailureView, plan: Plan) -> Diagnostic:
    """A failure like any finding: pointing at the word of the spec that asked for the step, and for its like."""
    spec = Source(plan.spec_name, plan.spec)
    spans = [span for place in failure.places if (span := _span(place, spec)) is not None]
    finding = error("", failure.title, spans[0] if spans else None)
    for span in spans[1:]:
        finding = finding.also(span)
    if failure.places and not spans:
        finding = finding.note(f"asked for at {failure.places[0]}")
    return finding.note(failure.note).help(failure.help)


def _span(place: str, spec: Source) -> Span | None:
    """The word of the spec that a place points at; None where it lies in another file, whose text is not at hand."""
    name, line, column = place.rsplit(":", 2)
    if name != spec.name or int(line) > len(spec.line_starts):
        return None
    start = spec.line_starts[int(line) - 1] + int(column) - 1
    word = WORD.match(spec.text, start)
    return Span(spec, start, word.end() if word else start)


def _say_gates(record: Record, stream: TextIO) -> None:
    from mialang.report.sections.judgement import rule_view  # noqa: PLC0415

    for gate in record.verdict.gates:
        say(
            coloured(gate.status.upper(), gate.status, stream)
            + f"  {gate.title}"
            + (f" ({gate.reason})" if gate.reason else ""),
            stream,
        )
        for rule in gate.rules:
            view = rule_view(rule, record)
            level = f" {view.confidence}" if view.confidence else ""
            say(f"  {rule.status:<12} {rule.rule.verb} {rule.rule.text}{level}", stream)
            for cell in view.cells:
                if cell.mark.word != "pass":
                    say(f"               {cell.words}", stream)


def _selection_words(record: Record) -> list[str]:
    plan = record.plan
    if plan.selected is None:
        return []
    steps = sum(not node.passes_on for node in plan.nodes.values())
    lines = [f"\n{len(plan.selected)} of {steps} nodes were selected; the rest of the audit was not evaluated."]
    missing = record.outcome.get("lacking", {})
    left = [name for name in plan.selected if name in missing]
    if left:
        shown = listed((plan.nodes[missing[name]].label for name in left), most=5)
        lines.append(
            f"{len(left)} of them could not be run: they rest on {shown}, neither selected nor known. "
            "Put a `+` in front of a name to select what it needs too."
        )
    return lines


# -- attacks -------------------------------------------------------------------------------------------------------


def attack_words() -> str:
    """The library's attacks, one a line."""
    from mialang.meaning.catalogue import baselines, library_recipes  # noqa: PLC0415
    from mialang.meaning.declarations import Recipe  # noqa: PLC0415
    from mialang.meaning.modules import Modules  # noqa: PLC0415

    registry = Modules().registry
    lines = []
    for title, recipes in (("attacks", library_recipes(registry)), ("baselines", baselines(registry))):
        lines.append(f"{title}:")
        for name, recipe in sorted(recipes.items()):
            declaration = recipe.declaration
            assert isinstance(declaration, Recipe)
            lines.append(
                f"  {name:<20} {declaration.modality:<7} {declaration.family:<18} {_short(declaration.citation)}"
            )
    lines.append("\nmialang attacks --against SPEC#THREAT says which fit a threat")
    return "\n".join(lines)


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + " …"


def fit_words(audit: Audit, threat: Threat) -> str:
    """Which attacks fit a threat, cell by cell, and what the others lack."""
    from mialang.meaning.catalogue import library_recipes  # noqa: PLC0415
    from mialang.meaning.fits import candidate_of, setting_of, shortfalls  # noqa: PLC0415
    from mialang.meaning.judgement.fitting import cells_of  # noqa: PLC0415
    from mialang.plan.words import text_of  # noqa: PLC0415

    recipes = {**library_recipes(audit.registry), **audit.recipes}
    lines = []
    for cell in cells_of(audit, threat):
        setting = setting_of(audit, threat, cell)
        if setting is None:
            continue
        behind = ", ".join(text_of(defense) for defense in setting.defenses) or "no defense"
        lines.append(f"{threat.name}, {behind}:")
        fitting, lacking = [], []
        for name, value in sorted(recipes.items()):
            candidate = candidate_of(value, audit.registry)
            if candidate is None:
                continue
            lacks = shortfalls(candidate, setting, audit.registry)
            if not lacks:
                fitting.append(name)
            else:
                lacking.append(f"  {name:<20} lacks: {'; '.join(each.words for each in lacks)}")
        lines.append(f"  fit: {', '.join(fitting) or 'none'}")
        lines += lacking
    return "\n".join(lines)


__all__ = ["attack_words", "fit_words", "plan_words", "summary_words"]
