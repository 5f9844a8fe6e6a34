"""`--on` and what belongs to it: where nodes run; and Ctrl-C, which stops a run so that it can go on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mialang.cli.console import Exit, refuse, say
from mialang.cli.usage import choice, whole

if TYPE_CHECKING:
    from mialang.engine.events import Listener
    from mialang.engine.executors import Executor
    from mialang.engine.work import Settings

CODE = "E0802"
MOST = 8  # workers by default: each holds a library and a few models in memory
INTERRUPTED = 130  # what shells take as ended by Ctrl-C


class Place(StrEnum):
    """Where nodes run."""

    INLINE = "inline"
    PROCESSES = "processes"
    RAY = "ray"


OnOption = Annotated[
    Place,
    typer.Option(
        "--on",
        help="Where nodes run: in this process, in worker processes, or on a Ray cluster.",
        parser=choice(Place),
        metavar="inline|processes|ray",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="How many nodes at once, on processes or Ray; default one per core, up to 8.",
        parser=whole(1),
        metavar="N",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="A Ray cluster, or `auto`; default one of this machine alone.", metavar="HOST:PORT"),
]
ShareOption = Annotated[
    str | None,
    typer.Option(
        "--share", help="Where a cluster's machines share results, if not in the store's folder.", metavar="URL"
    ),
]


def executor_for(
    on: Place, workers: int | None, address: str | None, share: str | None, settings: Settings
) -> Executor:
    """What runs the nodes; ends with a finding where it cannot be had."""
    _consistent(on, workers, address, share)
    if on is Place.INLINE:
        from mialang.engine.executors import Inline  # noqa: PLC0415

        return Inline()
    if on is Place.PROCESSES:
        from mialang.engine.devices import gpus_of  # noqa: PLC0415
        from mialang.engine.workers import Processes, cores  # noqa: PLC0415

        return Processes(workers or min(cores(), MOST), settings.threads, gpus=gpus_of(settings.device))
    from mialang.engine.cluster import RayCluster  # noqa: PLC0415

    try:
        return RayCluster(workers, address, settings.threads, share, device=settings.device)
    except (OSError, ValueError, RuntimeError, ImportError) as problem:
        where = f"the Ray cluster at `--address {address}`" if address else "a Ray cluster on this machine"
        reason = getattr(problem, "strerror", None) or (str(problem).splitlines() or [type(problem).__name__])[0]
        refuse(f"{where} cannot be reached: {reason}", "start one with `ray start --head`, or leave out `--address`",
               Exit.BROKEN, CODE)  # fmt: skip


def _consistent(on: Place, workers: int | None, address: str | None, share: str | None) -> None:
    if workers is not None and on is Place.INLINE:
        refuse("`--workers` needs somewhere to put them", "add `--on processes`, or `--on ray`", number=CODE)
    for option, given in (("--address", address), ("--share", share)):
        if given is not None and on is not Place.RAY:
            refuse(f"`{option}` belongs to a Ray cluster", "add `--on ray`", number=CODE)
    if on is Place.RAY and find_spec("ray") is None:
        refuse("Ray is not installed", "install the extra: `pip install 'mialang[ray]'`", Exit.BROKEN, CODE)
    if share is not None and find_spec("fsspec") is None:
        refuse("fsspec is not installed", "install the extra: `pip install 'mialang[ray]'`", Exit.BROKEN, CODE)


@contextmanager
def stoppable(executor: Executor, listener: Listener, stream: TextIO) -> Iterator[None]:
    """Stop cleanly on Ctrl-C and at once on the second, and say how to go on."""
    from mialang.engine.stopping import StoppedError, stopped_by_signals  # noqa: PLC0415

    def tell() -> None:
        with suppress(RuntimeError):  # the signal came in the middle of a line to the same screen
            listener("stopping")

    try:
        with stopped_by_signals(executor.stop, tell):
            yield
    except (KeyboardInterrupt, StoppedError):
        say(f"\nstopped; what is finished is kept. Go on with: {shlex.join(['mialang', *sys.argv[1:]])}", stream)
        raise typer.Exit(INTERRUPTED) from None
