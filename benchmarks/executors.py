"""A real audit inline and on worker processes, side by side: what the second core is worth.

    MIALANG_DATA=DIR python benchmarks/executors.py [--set NAME=VALUE …] [--rounds 1] [--keep DIR]

Every round runs the whole audit of MNIST with a defense into two empty stores, once with each executor, in turn. Inline, torch
uses all cores for one node; with processes, each of as many workers as there are cores computes with one thread.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "specs" / "image" / "mnist_white_box.mia"


def seconds(executor: str, settings: list[str], store: Path) -> tuple[float, int]:
    """How long one run took, start and report included, and how many nodes it computed."""
    given = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "mialang", "run", str(SPEC), "--store", str(store), "--on", executor, *given]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode not in (0, 1, 3):
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    counted = next(line for line in done.stdout.splitlines() if "nodes computed" in line)
    return took, int(counted.split()[0].replace(",", ""))


def main() -> None:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of the audit, for less than the whole",
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder that keeps the stores")
    chosen = parser.parse_args()
    if "MIALANG_DATA" not in os.environ:
        parser.error("MIALANG_DATA names the folder that holds image/mnist.npz")
    print(f"{SPEC.name}, {', '.join([*chosen.set, f'{os.cpu_count()} cores'])}", flush=True)
    for number in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as temporary:
            folder = (chosen.keep or Path(temporary)) / f"round-{number + 1}"
            order = ["processes", "inline"] if number % 2 == 0 else ["inline", "processes"]
            took = {each: seconds(each, chosen.set, folder / each) for each in order}
        inline, processes = took["inline"], took["processes"]
        print(
            f"round {number + 1}: inline {inline[0]:.0f} s, processes {processes[0]:.0f} s: "
            f"{processes[0] / inline[0]:.2f} of the time ({inline[1]} and {processes[1]} nodes computed)",
            flush=True,
        )


if __name__ == "__main__":
    main()
