"""A device is what was asked for, or there are words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mialang.engine.devices import NoDeviceError, device_for


def with_gpus(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(Path, "exists", lambda _: count > 0)
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)
    patch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")


@pytest.mark.parametrize(
    ("asked", "count", "device"),
    [
        ("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:0", 1, "cuda:0"), ("cuda:1", 2, "cuda:1"),
    ],
)  # fmt: skip
def test_what_there_is_is_used(monkeypatch: pytest.MonkeyPatch, asked: str, count: int, device: str) -> None:
    with_gpus(monkeypatch, count)
    assert device_for(asked) == device


@pytest.mark.parametrize(
    ("asked", "count", "help_"),
    [
        ("cuda", 0, "run on `cpu`"),
        ("cuda:2", 2, "`cuda:1` (GPU 1), and `cpu`"),
        ("mps", 1, "`cuda:0` (GPU 0), and `cpu`"),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, asked: str, count: int, help_: str
) -> None:
    with_gpus(monkeypatch, count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(NoDeviceError, match=f"there is no GPU `{asked}` here") as caught:
        device_for(asked)
    assert help_ in caught.value.help


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "", "CPU", "cuda:1:2"])
def test_what_is_no_device_is_said(asked: str) -> None:
    with pytest.raises(NoDeviceError, match="is no device"):
        device_for(asked)
