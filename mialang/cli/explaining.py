"""The command that explains a node: `why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mialang.cli.console import Exit, refuse, say
from mialang.cli.kept import record_of
from mialang.cli.look import RunName
from mialang.cli.planning import StoreOption
from mialang.diagnostics import did_you_mean, listed
from mialang.meaning.units import duration

if TYPE_CHECKING:
    from mialang.report.explanation import Explanation
    from mialang.report.record import Record

MOST = 10  # nodes that are explained at once
MOST_SERVED = 8  # attacks and measurements that are listed of a node


def why(
    run: RunName,
    node: Annotated[str, typer.Argument(help="A node, or the beginning of its name or label.", metavar="NODE")],
    store: StoreOption = None,
) -> None:
    """Say what a node of a run is made of, whom it serves, why it ran, and why it failed or was skipped."""
    from mialang.report.explanation import explain  # noqa: PLC0415

    record = record_of(store, run)
    nodes = record.plan.nodes
    found = (
        [name for name in nodes if name == node]
        or [name for name, each in nodes.items() if each.label == node]
        or [name for name in nodes if name.startswith(node)]
        or [name for name, each in nodes.items() if each.operator == node]
    )
    if not found:
        words = {word for each in nodes.values() for word in (each.label, each.operator)}
        labels = [nodes[name].label for name in record.plan.steps_among(nodes)]
        help_ = did_you_mean(node, words | set(nodes)) or f"nodes are {listed(labels, most=10)}"
        refuse(f"the run has no node `{node}`", help_, Exit.SPEC_WRONG, "E0811")
    for name in found[:MOST]:
        say(explanation_words(explain(record, name), record) + "\n")
    if len(found) > MOST:
        say(f"… and {len(found) - MOST} more nodes that go by `{node}`")


def explanation_words(made: Explanation, record: Record) -> str:
    """A node: what it is, what it is made of, what became of it and why."""
    node = made.node
    lines = [node.id, f"  {node.operator} version {node.version}, {node.role}"]
    if node.python:
        lines.append(f"  does {node.python}")
    if node.repeat is not None:
        lines.append(f"  belongs to repeat {node.repeat + 1} of {record.plan.repeats}")
    if node.seed is not None:
        lines.append(f"  draws with seed {node.seed}")
    lines.extend(f"  made of {name} = {value}" for name, value in made.made_of.items())
    for source in made.rests_on:
        verb = "rests on" if source.name in node.inputs else "runs only after"
        lines.append(f"  {verb} {source.name} ({source.fate}{f', result {source.result}' if source.result else ''})")
    lines.extend(f"  serves {each}" for each in made.serves[:MOST_SERVED])
    if len(made.serves) > MOST_SERVED:
        lines.append(f"  serves {len(made.serves) - MOST_SERVED} more attacks and measurements")
    lines.append(f"  {_fate(made, record)}")
    lines += _cause_lines(made)
    lines += _evidence_lines(made)
    return "\n".join(lines)


def _fate(made: Explanation, record: Record) -> str:
    kept = record.outcome.get("nodes", {}).get(made.node.id)
    named = f", key {kept['key'][:12]}, result {kept['output'][:12]}" if kept else ""
    return f"{made.fate}{named}" + (f": {made.because}" if made.because else "")


def _cause_lines(made: Explanation) -> list[str]:
    cause = made.cause
    if cause is None:
        return []
    lines = []
    if len(cause.path) > 1:
        lines.append(f"  root cause: {cause.path[0]} failed, and through it {' → '.join(cause.path[1:])}")
    lines.append(f"  failed: {cause.title}")
    lines.extend(f"  {word}: {text}" for word, text in (("note", cause.note), ("help", cause.help)) if text)
    lines.extend(f"    {line}" for line in cause.detail.splitlines())
    return lines


def _evidence_lines(made: Explanation) -> list[str]:
    evidence = made.evidence
    if not evidence:
        return []
    lines = [f"  took {duration(float(evidence.get('seconds', 0)))} on {evidence.get('threads')} threads"]
    if "asked" in evidence:
        lines.append(f"  asked the target {evidence['asked']:,} questions; {evidence.get('refused', 0):,} were refused")
    if "requests" in evidence:
        lines.append(f"  cost {evidence['usd']:,.2f} usd in {evidence['requests']:,} requests")
    if evidence.get("isolation"):
        lines.append(f"  isolated by {evidence['isolation']}")
    lines.extend(f"  noted {fact} = {value}" for fact, value in evidence.get("notes", {}).items())
    return lines


COMMANDS = (why,)
