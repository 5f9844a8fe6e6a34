"""A plan as a picture: Mermaid and DOT. Repeats and cells that look alike are drawn once, with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mialang.plan.model import Node, Plan, digest

SHAPES = {
    "data": ("[(", ")]", "cylinder"),
    "target": ("[[", "]]", "box3d"),
    "judge": ("[[", "]]", "box3d"),
    "handle": ("{{", "}}", "hexagon"),
    "grant": ("{{", "}}", "hexagon"),
    "held": ("{{", "}}", "hexagon"),
    "attack": ("[", "]", "box"),
    "check": ("([", "])", "oval"),
    "metric": ("([", "])", "oval"),
}
COLOURS = {
    "data": "#f4d9d0", "target": "#f4d9d0", "judge": "#e6dcf0", "handle": "#fff2cc", "grant": "#fff2cc", "held": "#fff2cc",
    "attack": "#dbe8f5", "check": "#e8e8e8", "metric": "#d9ead3",
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """A plan folded: one box per sort of node, with how many it stands for."""

    boxes: dict[str, tuple[Node, int]]
    arrows: tuple[tuple[str, str], ...]


def fold(plan: Plan, *, whole: bool = False) -> Drawing:
    """Fold nodes that do the same in the same place; `whole` draws every node."""
    shape: dict[str, str] = {}
    names: dict[str, str] = {}
    for node in plan.nodes.values():
        inputs = ",".join(sorted({shape[each] for each in node.inputs}))
        shape[node.id] = node.id if whole else digest([node.role, node.label, inputs])
        names.setdefault(shape[node.id], node.id)
    counts = Counter(shape.values())
    boxes = {form: (plan.nodes[names[form]], counts[form]) for form in dict.fromkeys(shape.values())}
    arrows = {(shape[source], shape[node.id]): None for node in plan.nodes.values() for source in node.inputs}
    return Drawing(boxes, tuple(arrows))


def _ids(boxes: Iterable[str]) -> dict[str, str]:
    return {form: f"n{number}" for number, form in enumerate(boxes)}


def _caption(node: Node, count: int) -> str:
    name = node.label if node.label in (node.operator, "") else f"{node.label}: {node.operator}"
    return name.replace("_", " ") + (f" ×{count}" if count > 1 else "")


def as_mermaid(plan: Plan, *, whole: bool = False) -> str:
    """A Mermaid flow chart."""
    drawing = fold(plan, whole=whole)
    ids = _ids(drawing.boxes)
    lines = ["flowchart LR"]
    for form, (node, count) in drawing.boxes.items():
        opening, closing, _ = SHAPES[node.role]
        lines.append(f'  {ids[form]}{opening}"{_caption(node, count)}"{closing}:::{node.role}')
    lines += [f"  {ids[source]} --> {ids[sink]}" for source, sink in drawing.arrows]
    lines += [f"  classDef {role} fill:{colour},stroke:#555" for role, colour in COLOURS.items()]
    return "\n".join(lines) + "\n"


def as_dot(plan: Plan, *, whole: bool = False) -> str:
    """A Graphviz graph."""
    drawing = fold(plan, whole=whole)
    ids = _ids(drawing.boxes)
    lines = ["digraph plan {", "  rankdir=LR;", '  node [fontname="sans-serif", style=filled];']
    for form, (node, count) in drawing.boxes.items():
        caption = _caption(node, count).replace('"', r"\"")
        lines.append(
            f'  {ids[form]} [label="{caption}", shape={SHAPES[node.role][2]}, fillcolor="{COLOURS[node.role]}"];'
        )
    lines += [f"  {ids[source]} -> {ids[sink]};" for source, sink in drawing.arrows]
    return "\n".join([*lines, "}"]) + "\n"
