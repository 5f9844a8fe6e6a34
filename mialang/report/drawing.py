"""The plan as a picture: the folded graph, left to right, with a shape and a word for each role."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter

from markupsafe import Markup

from mialang.plan.emit.graphs import fold
from mialang.plan.model import Node, Plan
from mialang.report.layers import lay_out
from mialang.report.svg import tag

WIDE, TALL = 144, 36
ACROSS, DOWN = 194, 46
MARGIN = 8
LONGEST = 18


def draw(plan: Plan) -> Markup:
    """The folded graph of a plan; measurements of one name are one box."""
    boxes, arrows = _folded(_in_order(plan))
    layout = lay_out(list(boxes), arrows)

    def spot(place: tuple[int, float]) -> tuple[float, float]:
        return MARGIN + place[0] * ACROSS, MARGIN + place[1] * DOWN + TALL / 2

    routes = [tag("path", d=_curve([spot(each) for each in route]), class_="arrow") for route in layout.routes.values()]
    shown = [part for name, (node, count) in boxes.items() for part in _box(node, count, *spot(layout.places[name]))]
    width = 2 * MARGIN + max(layout.layers - 1, 0) * ACROSS + WIDE
    height = 2 * MARGIN + max(layout.height - 1, 0) * DOWN + TALL
    return tag(
        "svg", *routes, *shown, class_="plan", viewBox=f"0 0 {width} {height:.0f}", style=f"max-width: {width}px",
        role="img", aria_label=f"The plan as a graph of {len(boxes)} sorts of steps; the text above says the same.",
    )  # fmt: skip


def _in_order(plan: Plan) -> Plan:
    """The plan with inputs before what uses them: a plan that was read from a file has its nodes by name."""
    order = TopologicalSorter({node.id: (*node.inputs, *node.after) for node in plan.nodes.values()}).static_order()
    return plan.model_copy(update={"nodes": {name: plan.nodes[name] for name in order}})


def _folded(plan: Plan) -> tuple[dict[str, tuple[Node, int]], list[tuple[str, str]]]:
    drawing = fold(plan)
    names = {
        form: f"metric:{node.label}" if node.role == "metric" else form for form, (node, _) in drawing.boxes.items()
    }
    boxes: dict[str, tuple[Node, int]] = {}
    for form, (node, count) in drawing.boxes.items():
        first, already = boxes.get(names[form], (node, 0))
        boxes[names[form]] = (first, already + count)
    # A measurement may bear the name of the step that it measures.
    arrows = ((names[source], names[sink]) for source, sink in drawing.arrows)
    return boxes, [(source, sink) for source, sink in arrows if source != sink]


def _curve(points: list[tuple[float, float]]) -> str:
    """A smooth line from the right of one box to the left of another, level where it passes between boxes."""
    x, y = points[0]
    x += WIDE
    parts = [f"M{x:.0f},{y:.1f}"]
    for number, (left, down) in enumerate(points[1:], start=1):
        bend = (left - x) / 2
        parts.append(f"C{x + bend:.0f},{y:.1f} {left - bend:.0f},{down:.1f} {left:.0f},{down:.1f}")
        if number < len(points) - 1:
            parts.append(f"H{left + WIDE:.0f}")
        x, y = left + WIDE, down
    return "".join(parts)


def _box(node: Node, count: int, left: float, middle: float) -> Iterable[Markup]:
    top = middle - TALL / 2
    yield _shape(node.role, left, top)
    label = node.label.replace("_", " ")
    name = (label if len(label) <= LONGEST else label[: LONGEST - 1] + "…") + (f" ×{count}" if count > 1 else "")
    below = node.role if node.operator in (node.label, node.role) else f"{node.role}: {node.operator.replace('_', ' ')}"
    x = left + WIDE / 2
    yield tag("text", name, x=x, y=middle - 2, class_="label")
    yield tag("text", below[: LONGEST + 7], x=x, y=middle + 11, class_="role")


def _shape(role: str, left: float, top: float) -> Markup:
    look = f"box {role}"
    if role in ("handle", "grant", "held"):
        right, bottom, middle, cut = left + WIDE, top + TALL, top + TALL / 2, 10
        corners = f"M{left},{middle} L{left + cut},{top} H{right - cut} L{right},{middle} L{right - cut},{bottom} H{left + cut} Z"
        return tag("path", d=corners, class_=look)
    corner = TALL / 2 if role in ("metric", "check") else 3
    return tag("rect", x=left, y=top, width=WIDE, height=TALL, rx=corner, class_=look)
