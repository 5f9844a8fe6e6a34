"""Devices: where tensors live while a step works, from what was asked for to what there is."""

from __future__ import annotations

import re
from pathlib import Path

ASKED = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class NoDeviceError(Exception):
    """There is no such device here.

    Attributes:
        help: what there is.
    """

    def __init__(self, title: str, help_: str) -> None:
        super().__init__(title)
        self.help = help_


def device_for(asked: str) -> str:
    """The device that is meant by `auto`, `cpu`, `cuda`, `cuda:n` or `mps`, as torch names it.

    `auto` is the first CUDA device where there is one, else the CPU: what runs on Apple's accelerator by default was not
    tested.

    Raises:
        NoDeviceError: it is none of these, or is not here.
    """
    if not ASKED.fullmatch(asked):
        raise NoDeviceError(f"`{asked}` is no device", "write `auto`, `cpu`, `cuda`, `cuda:1` or `mps`")
    if asked == "cpu" or (asked == "auto" and not Path("/dev/nvidiactl").exists() and not Path("/dev/dxg").exists()):
        return "cpu"  # without a driver there is no need to load torch to know
    import torch  # noqa: PLC0415 - seconds, and only accelerators need it

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "mps":
        if torch.backends.mps.is_available():
            return asked
        raise NoDeviceError("there is no GPU `mps` here", _there_is(count))
    if asked == "auto":
        return "cuda" if count else "cpu"
    number = int(asked.partition(":")[2] or 0)
    if number < count:
        return asked
    raise NoDeviceError(f"there is no GPU `{asked}` here", _there_is(count))


def gpus_of(device: str) -> int:
    """How many GPUs a device stands for: all that there are for `cuda`, one for one of them, none for the rest."""
    if device != "cuda":
        return int(device.startswith("cuda"))
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()


def _there_is(count: int) -> str:
    import torch  # noqa: PLC0415

    if count:
        names = ", ".join(f"`cuda:{number}` ({torch.cuda.get_device_name(number)})" for number in range(count))
        return f"there is {names}, and `cpu`"
    built = "" if torch.version.cuda else "; this PyTorch is built without CUDA"
    return f"run on `cpu`{built}"
