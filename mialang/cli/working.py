"""Options about how work is done: `--device`, `--transcript`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mialang.cli.console import refuse
from mialang.cli.usage import choice


class Transcript(StrEnum):
    """What is written down of what services are asked and answer."""

    HASHES = "hashes"
    CONTENTS = "contents"
    NONE = "none"


DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where tensors live: auto takes a CUDA device if there is one.",
        metavar="auto|cpu|cuda[:N]|mps",
    ),
]
TranscriptOption = Annotated[
    Transcript,
    typer.Option(
        "--transcript",
        help="What to keep of what services are asked and answer; contents may be private.",
        parser=choice(Transcript),
        metavar="hashes|contents|none",
    ),
]


def device_here(asked: str) -> str:
    """A device that there is; end where there is none such."""
    from mialang.engine.devices import NoDeviceError, device_for  # noqa: PLC0415

    try:
        return device_for(asked)
    except NoDeviceError as problem:
        refuse(str(problem), problem.help, number="E0802")
