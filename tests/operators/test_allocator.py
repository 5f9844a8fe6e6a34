"""Freed memory is kept for the next tensor, unless the environment says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Steps of training of a small convolutional net, after some in which the allocator settles.
PROGRAM = """
import resource
import mialang.operators
import torch
from torch import nn
network = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(8)))
x = torch.rand(64, 16, 32, 32)
def steps(n):
    for _ in range(n):
        network(x).mean().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = steps(10)
print(steps(5) - before)
"""


def faults(**environment: str) -> int:
    """How many pages the kernel had to map for five steps."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("own", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}])
def test_blocks_that_were_freed_are_used_again_unless_the_environment_sets_the_allocator(own: dict[str, str]) -> None:
    """Told by pages: how large one is, and so how many there are, is the kernel's choice."""
    kept, mapped_anew = faults(), faults(**own)
    if platform.libc_ver()[0] == "glibc":
        assert kept * 5 < mapped_anew
    else:
        assert kept <= mapped_anew * 2
