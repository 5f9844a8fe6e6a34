"""The command that runs: `run`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mialang.cli.console import STATUS, Exit, Format, read_source, refuse, say, show_findings, store_folder
from mialang.cli.executing import AddressOption, OnOption, Place, ShareOption, WorkersOption, executor_for, stoppable
from mialang.cli.isolating import IsolateOption, Isolation, look_for_boundary
from mialang.cli.planning import Seed, StoreOption, cost_of, planned
from mialang.cli.selecting import SelectOption, selected
from mialang.cli.usage import whole
from mialang.cli.working import DeviceOption, Transcript, TranscriptOption, device_here
from mialang.cli.writing import Output, Settings

LARGEST_PLAN = 1_000_000_000  # bytes
HEAD = 4096  # bytes that tell a plan from a spec

if TYPE_CHECKING:
    from mialang.engine.store import Store
    from mialang.engine.work import Settings as WorkSettings
    from mialang.plan.model import Plan


def run(  # noqa: PLR0913 - one per option
    spec: Annotated[
        Path,
        typer.Argument(
            help="A `.mia` file, or a plan written by `mialang plan -o`.", metavar="SPEC|PLAN", readable=False
        ),
    ],
    settings: Settings = [],  # noqa: B006 - typer copies it
    seed: Seed = 0,
    select: SelectOption = [],  # noqa: B006
    store: StoreOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where data files lie; default MIALANG_DATA.", metavar="DIR")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="CPU threads of each step.", parser=whole(1), metavar="N")
    ] = None,
    on: OnOption = Place.INLINE,
    workers: WorkersOption = None,
    address: AddressOption = None,
    share: ShareOption = None,
    trust: Annotated[
        list[str], typer.Option("--trust", help="A package whose code the spec may name.", metavar="PACKAGE")
    ] = [],  # noqa: B006
    isolate: IsolateOption = Isolation.AUTO,
    device: DeviceOption = "auto",
    transcript: TranscriptOption = Transcript.HASHES,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show reconstructions in full in the report.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Run an audit: attacks, controls, measurements, verdict, report. Running again resumes.

    Ends with 0 where every gate passes, 1 where one fails, 2 where the spec is wrong, 3 where the evidence decides
    nothing, 4 where something broke.
    """
    from mialang.cli.progress import shown_progress  # noqa: PLC0415
    from mialang.cli.words import summary_words  # noqa: PLC0415
    from mialang.engine.runs import Run, perform  # noqa: PLC0415
    from mialang.engine.store import Store, StoreError  # noqa: PLC0415
    from mialang.engine.work import Settings as WorkSettings  # noqa: PLC0415
    from mialang.report.page import as_page  # noqa: PLC0415
    from mialang.report.record import Record  # noqa: PLC0415
    from mialang.report.summary import as_json  # noqa: PLC0415

    people = sys.stderr if output is Format.JSON else sys.stdout
    if data is not None and not data.is_dir():
        refuse(f"there is no folder `{data}`", "give the folder that holds the data files")
    work = WorkSettings(threads=threads, data=str(data.resolve()) if data else None, trusted=(*trust, *trusted_here()),
                        vouched=tuple(trust), isolate=isolate.value, device=device_here(device), transcript=transcript.value)  # fmt: skip
    plan = selected(_plan_of(spec, settings, seed, store, work), select, store, work)
    look_for_boundary(plan, work, people)
    keep = Store(store_folder(store))
    try:
        keep.prepare()
        _within_budget(plan, keep, work, people)
        executor = executor_for(on, workers, address, share, work)
        run_ = Run.begin(keep, plan)
    except StoreError as problem:
        refuse(str(problem), problem.help or "choose another place with `--store DIR`", Exit.BROKEN, "E0810")
    try:
        with shown_progress(plan, people) as listener, stoppable(executor, listener, people):
            perform(run_, plan, keep, executor, work, listener)
        record = Record(run_, plan, keep, run_.outcome())
        made = as_json(record)
        keep.write(run_.folder / "verdict.json", json.dumps(made, indent=1).encode())
        keep.write(run_.folder / "report.html", as_page(record, reveal=reveal).encode())
    except StoreError as problem:
        refuse(f"{problem}; what is finished is kept", "free some space, then run it again", Exit.BROKEN, "E0810")
    summary_words(record, people)
    if output is Format.JSON:
        say(json.dumps(made, indent=1))
    raise typer.Exit(STATUS[record.verdict.status])


def _within_budget(plan: Plan, keep: Store, work: WorkSettings, people: TextIO) -> None:
    """Say where the budget will not do, before anything is done; end where it is one of money or of questions."""
    from mialang.plan.cost import within_budget  # noqa: PLC0415
    from mialang.plan.model import BudgetPlan  # noqa: PLC0415

    if plan.budget == BudgetPlan():
        return
    cost, _ = cost_of(plan, keep, work)
    findings = within_budget(plan, cost, running=True)
    stops = any(finding.is_error for finding in findings)
    show_findings(findings, sys.stderr if stops else people)
    if stops:
        raise typer.Exit(Exit.SPEC_WRONG)


def _plan_of(spec: Path, settings: list[str], seed: int, store: Path | None, work: WorkSettings) -> Plan:
    from mialang.plan.emit import read_plan  # noqa: PLC0415
    from mialang.plan.flow import prove_flow  # noqa: PLC0415

    if not _is_plan(spec):
        return planned(spec, settings, seed, store, work)
    source, problem = read_source(spec, LARGEST_PLAN)
    if source is None:
        assert problem is not None
        show_findings([problem], sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    if settings:
        refuse("a saved plan has no parameters left to set", "give the spec instead of the plan")
    plan, findings = read_plan(source.text, str(spec))
    findings = findings or (prove_flow(plan) if plan is not None else [])
    if plan is None or findings:
        show_findings(findings, sys.stderr)
        raise typer.Exit(Exit.SPEC_WRONG)
    return plan


def _is_plan(path: Path) -> bool:
    """Whether a file is to be read as a plan: it is called one, or begins like one."""
    from mialang.plan.emit import begins_a_plan  # noqa: PLC0415

    if path.suffix == ".json":
        return True
    try:
        if not path.is_file():  # what comes through a pipe comes once
            return False
        with path.open("rb") as file:
            return begins_a_plan(file.read(HEAD))
    except OSError:
        return False


def trusted_here() -> tuple[str, ...]:
    """Packages that the working directory's `pyproject.toml` trusts: `[tool.mialang] trusted = […]`."""
    import tomllib  # noqa: PLC0415

    path = Path(os.curdir) / "pyproject.toml"
    if not path.is_file():
        return ()
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ()
    for name in ("tool", "mialang", "trusted"):
        found = found.get(name) if isinstance(found, dict) else None
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


COMMANDS = (run,)
