"""Commands around a plan: `plan`, `compile`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mialang.cli.console import Exit, checked, count_words, refuse, say, show_findings, store_folder, write_text
from mialang.cli.selecting import SelectOption, selected
from mialang.cli.usage import choice, folder, whole
from mialang.cli.writing import Settings
from mialang.diagnostics.render import as_json as finding_json

if TYPE_CHECKING:
    from mialang.engine.store import Store
    from mialang.engine.work import Settings as WorkSettings
    from mialang.plan.cost import Cost
    from mialang.plan.model import Plan

Spec = Annotated[Path, typer.Argument(help="A `.mia` file.", metavar="SPEC", readable=False)]
Seed = Annotated[int, typer.Option("--seed", help="The root of all seeds.", parser=whole(0), metavar="N")]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", help="The store; default MIALANG_STORE or .mialang/.", parser=folder("--store"), metavar="DIR"
    ),
]


class Target(StrEnum):
    """What a plan is written as."""

    PLAN = "plan"
    PYTHON = "python"
    MERMAID = "mermaid"
    DOT = "dot"


def planned(
    path: Path, settings: list[str], seed: int, store: Path | None = None, work: WorkSettings | None = None
) -> Plan:
    """Check a spec, lower it, prove its flow; end where there is an error.

    Where a query budget can only be compared with an attack once data are read, the data are read.
    """
    from mialang.meaning.judgement.fitting import attacks_fit  # noqa: PLC0415
    from mialang.meaning.judgement.whole import what_is_not_asked  # noqa: PLC0415
    from mialang.plan import lower  # noqa: PLC0415
    from mialang.plan.flow import prove_flow  # noqa: PLC0415

    audit, warnings = checked(path, settings, sys.stderr)
    if missing := list(what_is_not_asked(audit)):
        show_findings(missing, sys.stderr)
        say(f"{path}: {count_words(missing)}", sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    plan = lower(audit, seed, lambda plan: _sizes(plan, store, work))
    found = [finding for finding in attacks_fit(audit) if finding.is_error] if audit.measured else []
    if found := found + prove_flow(plan, audit.places):
        show_findings(found, sys.stderr)
        say(f"{path}: {count_words(found)}", sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    return plan.model_copy(update={"findings": tuple(map(finding_json, warnings))})


def _sizes(plan: Plan, store: Path | None, work: WorkSettings | None) -> dict[str, int]:
    """The sizes of a plan's data; none where they cannot be read, which the run will tell."""
    from mialang.engine.executors import Inline  # noqa: PLC0415
    from mialang.engine.schedule import measure_data  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.engine.work import NodeFailedError  # noqa: PLC0415
    from mialang.engine.work import Settings as Work  # noqa: PLC0415

    try:
        keep = Store(store_folder(store))
        keep.prepare()
        return measure_data(plan, keep, Inline(), work or Work())
    except (NodeFailedError, StoreError):
        return {}


def cost_of(plan: Plan, keep: Store, work: WorkSettings) -> tuple[Cost, frozenset[str]]:
    """What a plan will cost, by what the store knows: its own nodes first, else what operators took in runs of the spec; and what is known."""
    from mialang.engine.index import operator_seconds  # noqa: PLC0415
    from mialang.engine.schedule import known_nodes  # noqa: PLC0415
    from mialang.plan.cost import estimate  # noqa: PLC0415

    cached, measured = known_nodes(plan, keep, work.look)
    return estimate(plan, cached, {**operator_seconds(keep, plan.spec_name), **measured}), cached


def plan(  # noqa: PLR0913 - what the command can be told
    spec: Spec,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the plan as JSON, for `mialang run`.", metavar="FILE")
    ] = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    seed: Seed = 0,
    select: SelectOption = [],  # noqa: B006
    store: StoreOption = None,
) -> None:
    """Show what will run, what is known already, and what it will cost.

    Runs no attack; data are read only where a budget of questions depends on how many records there are. Ends with 2
    where the spec is wrong or the estimate exceeds the spec's budget.
    """
    from mialang.cli.words import plan_words  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.engine.work import Settings as Work  # noqa: PLC0415
    from mialang.plan.cost import within_budget  # noqa: PLC0415
    from mialang.plan.emit import as_json  # noqa: PLC0415

    try:
        keep = Store(store_folder(store)).readable()
    except StoreError as problem:
        refuse(str(problem), problem.help or "choose another store with `--store DIR`", Exit.BROKEN, "E0810")
    work = Work()
    made = selected(planned(spec, settings, seed, store), select, store, work)
    cost, cached = cost_of(made, keep, work)
    say(plan_words(made, cost, cached))
    if out is not None:
        write_text(out, as_json(made))
        say(f"\nwrote {out}; run it with: mialang run {out}")
    if over := within_budget(made, cost):
        show_findings(over, sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)


def compile_(  # noqa: PLR0913 - what the command can be told
    spec: Spec,
    to: Annotated[
        Target, typer.Option("--to", help="What to write.", parser=choice(Target), metavar="plan|python|mermaid|dot")
    ] = Target.PLAN,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A file; default is the screen.", metavar="FILE")
    ] = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    seed: Seed = 0,
    whole: Annotated[bool, typer.Option("--whole", help="Draw every node instead of one per sort.")] = False,
) -> None:
    """Write a plan as JSON, as a Python script that runs it, or as a drawing in Mermaid or DOT.

    The script is straight-line Python that computes the same results, digest for digest, as `mialang run`.
    """
    from mialang.plan import emit  # noqa: PLC0415

    made = planned(spec, settings, seed)
    match to:
        case Target.PLAN:
            text = emit.as_json(made)
        case Target.PYTHON:
            text = emit.as_script(made)
        case Target.MERMAID:
            text = emit.as_mermaid(made, whole=whole)
        case Target.DOT:
            text = emit.as_dot(made, whole=whole)
    if out is None:
        say(text.rstrip("\n"))
    else:
        write_text(out, text)
        say(f"wrote {out}")


COMMANDS = (plan, compile_)
