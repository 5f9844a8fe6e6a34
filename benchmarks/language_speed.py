"""How fast the language is: `check` as a whole process, a long spec, a plan of 10,000 nodes.

python benchmarks/language_speed.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from mialang.meaning.check import check
from mialang.plan import lower
from mialang.plan.flow import prove_flow
from mialang.source import Source

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "specs" / "quickstart.mia"
TINY = ROOT / "tests" / "good" / "tiny.mia"


def whole_process(runs: int = 9) -> list[float]:
    command = [sys.executable, "-m", "mialang", "check", str(QUICKSTART)]
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return times[1:]  # the first fills the file cache


def long_spec(lines: int) -> str:
    text = TINY.read_text()
    block = 'data d{} : image.Digits {{\n  split   = "train"\n  classes = 0..4\n}}\n\n'
    copies = (lines - text.count("\n")) // block.count("\n")
    return text + "\n" + "".join(block.format(number) for number in range(copies))


def many_cells() -> str:
    """The tiny audit over 125 numbers of steps and five repeats: about 10,000 nodes."""
    steps = ", ".join(map(str, range(1, 126)))
    text = (
        TINY.read_text().replace("matrix {\n", f"matrix {{\n  steps = [{steps}]\n").replace("= 2\n\nlet", "= 5\n\nlet")
    )
    text = text.replace(
        "gan_steps = 5, steps = 5, starts = 2, keep = 2)", "gan_steps = 5, steps = matrix.steps, starts = 2, keep = 2)"
    )
    return text.replace("gan_steps = 5, epochs = 1, steps = 5", "gan_steps = 5, epochs = 1, steps = matrix.steps")


def timed(text: str) -> tuple[float, int]:
    start = time.perf_counter()
    _, found = check(Source("long.mia", text))
    return time.perf_counter() - start, sum(finding.is_error for finding in found)


def main() -> None:
    times = whole_process()
    print(
        f"check specs/quickstart.mia: median {statistics.median(times):.3f} s, {min(times):.3f} to {max(times):.3f}, {len(times)} runs"
    )
    previous = None
    for lines in (1_250, 2_500, 5_000, 10_000):
        text = long_spec(lines)
        seconds, errors = min(timed(text) for _ in range(3))
        growth = f", ×{seconds / previous:.2f}" if previous else ""
        print(f"check {text.count(chr(10)):,} lines: {seconds:.2f} s ({errors} errors{growth})")
        previous = seconds
    audit, _ = check(Source("cells.mia", many_cells()))
    assert audit is not None
    start = time.perf_counter()
    plan = lower(audit)
    lowered = time.perf_counter() - start
    assert prove_flow(plan) == []
    key = plan.key
    total = time.perf_counter() - start
    print(
        f"compile {len(plan.nodes):,} nodes: {total:.2f} s (lowering {lowered:.2f} s, the rest flow proof and digest {key[:8]})"
    )


if __name__ == "__main__":
    main()
