"""The figures of a run as rows of a Markdown table, for docs/benchmarks.md.

    python benchmarks/figures.py .mialang/runs/RUN/verdict.json

Reads what `mialang run` wrote and computes nothing. Every figure stands with its one-sided bounds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SHARE = "share"


def figure(value: dict[str, Any] | None, unit: str) -> str:
    """A figure with its bounds, or why there is none."""
    if value is None:
        return ""
    if "point" not in value:
        return str(value.get("reason") or value.get("state") or "not available")
    scale, end = (100, " %") if unit == SHARE else (1, "")
    point = f"{value['point'] * scale:.3g}{end}"
    if value.get("lower") is None:
        return point
    return f"{point} [{value['lower'] * scale:.3g}, {value['upper'] * scale:.3g}]"


def row(measured: dict[str, Any]) -> str:
    """One measurement as a row."""
    unit = measured["unit"]
    name = measured["measurement"] + (f".{measured['field']}" if measured["field"] else "")
    best = measured.get("baseline")
    shown = figure(best, unit) + (f" {best['name']}" if best and best.get("name") else "")
    cell = ", ".join(measured["cell"].values())
    cells = [name, measured.get("attack", ""), cell, figure(measured["value"], unit)]
    cells += [figure(measured.get(view), unit) for view in ("blind", "gain")]
    return "| " + " | ".join([*cells, shown]) + " |"


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("verdict", type=Path, help="verdict.json of a run")
    verdict = json.loads(reader.parse_args().verdict.read_text(encoding="utf-8"))
    print(f"`{verdict['spec']}`, seed {verdict['seed']}, {verdict['repeats']} repeats\n")
    print("| measured | attack | cell | value | blind control | gain | best baseline |")
    print("|---|---|---|---|---|---|---|")
    for measured in verdict["measurements"]:
        print(row(measured))


if __name__ == "__main__":
    main()
