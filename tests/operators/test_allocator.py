"""Freed memory is kept for the next tensor, unless the environment says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# A block of 16 MiB, taken and freed ten times, after twenty that the allocator may need to settle.
PROGRAM = """
import resource
import mialang.operators
import torch
for _ in range(20):
    torch.ones(2**22)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(10):
    torch.ones(2**22)
print(faults() - before)
"""


def faults(**environment: str) -> int:
    """How many pages the kernel had to map for ten blocks."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("own", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}])
def test_a_block_that_was_freed_is_used_again_unless_the_environment_sets_the_allocator(own: dict[str, str]) -> None:
    """Told by pages: how large one is, and so how many there are, is the kernel's choice."""
    kept, mapped_anew = faults(), faults(**own)
    if platform.libc_ver()[0] == "glibc":
        assert kept * 5 < mapped_anew
    else:
        assert kept <= mapped_anew * 2
