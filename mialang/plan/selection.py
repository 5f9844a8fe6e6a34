"""Selection: which nodes of a plan are wanted, said in a few words such as `+leak` or `cell:defense=none()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

from mialang.diagnostics import Diagnostic, did_you_mean, error, listed, warning
from mialang.plan.model import Node, Plan, Reading, structure_of

CODE = "E0802"


@dataclass(frozen=True)
class Past:
    """What a selection asks of an earlier run.

    Attributes:
        known: ids of its nodes, apart from those whose files or results have changed since.
        undone: ids of its nodes that failed, were skipped, or were left undone.
    """

    known: frozenset[str]
    undone: frozenset[str]


@dataclass(frozen=True)
class _Cell:
    """A cell that is wanted, with all that it rests on."""

    places: _Places
    nodes: set[str]


_Places = dict[str, set[int]]  # by axis, the places in the matrix
Look = Callable[[str], Past | Diagnostic]  # a run by its name, or why there is none


def select(plan: Plan, wanted: Sequence[str], look: Look) -> tuple[Plan, list[Diagnostic]]:
    """Return the plan with what is wanted of it marked; several expressions add up.

    `name` is a node, a label, an operator, a measurement, an attack or a recipe, and may hold `*`; `kind:attack` goes by
    what nodes are or make; `cell:defense=none()` is everything that a cell rests on; `changed:RUN` what that run did not
    compute, `failed:RUN` what it left without a result. A `+` in front adds what is needed, a `+` behind what needs it.

    Args:
        plan: the plan.
        wanted: expressions; none wants everything.
        look: reads an earlier run.

    Returns:
        The plan, and findings; with findings the plan is as it was. Where all that was asked for is what an earlier run left
        undone, and it left nothing, the findings are warnings. Readings in cells that are not wanted are marked too.
    """
    if not wanted:
        return plan, []
    graph = _Graph(plan)
    chosen: set[str] = set()
    whole: set[str] = set()  # chosen for themselves, in whatever cell they are read
    cells: list[_Places] = []
    found: list[Diagnostic] = []
    nothing: list[Diagnostic] = []
    for expression in wanted:
        text = expression.strip()
        core = text.removeprefix("+").removesuffix("+").strip()
        named = _named(core, graph, look)
        if isinstance(named, Diagnostic):
            (found if named.is_error else nothing).append(named)
            continue
        if isinstance(named, _Cell):
            cells.append(named.places)
            chosen |= named.nodes
            continue
        whole |= named
        if text.startswith("+"):
            whole |= graph.needed(named)
        if text.endswith("+"):
            whole |= graph.needing(named)
    chosen |= whole
    steps = [name for name, node in plan.nodes.items() if name in chosen and not node.passes_on]
    if not found and not steps and nothing:
        return plan, nothing
    if not found and not steps:
        shown = ", ".join(f"`{each}`" for each in wanted)
        found.append(error(CODE, f"nothing is selected by {shown}: it computes nothing itself").help(
            "put a `+` behind it to select what needs it, or in front for what it needs"
        ))  # fmt: skip
    if found:
        return plan, found

    def wants(reading: Reading) -> bool:
        return reading.node in whole or any(_lies(reading.cell, places) for places in cells)

    # Two cells may be read from one node, and only one of them be selected.
    readings = tuple(each if wants(each) else each.model_copy(update={"selected": False}) for each in plan.readings)
    return plan.model_copy(update={"selected": tuple(steps), "readings": readings}), []


def needed_by_selection(plan: Plan) -> dict[str, Node]:
    """The nodes that a run of the plan looks at: those selected and all that they rest on, in order."""
    if plan.selected is None:
        return dict(plan.nodes)
    chosen = set(plan.selected)
    chosen |= _Graph(plan).needed(chosen)
    return {name: node for name, node in plan.nodes.items() if name in chosen}


class _Graph:
    """A plan with its edges in both directions."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._sources: dict[str, list[str]] = {}
        self._users: dict[str, list[str]] = {}
        for source, user in plan.edges():
            self._sources.setdefault(user, []).append(source)
            self._users.setdefault(source, []).append(user)

    def needed(self, names: Iterable[str]) -> set[str]:
        """Everything that some nodes rest on, themselves included."""
        return _reached(names, self._sources)

    def needing(self, names: Iterable[str]) -> set[str]:
        """Everything that rests on some nodes, themselves included."""
        return _reached(names, self._users)


def _reached(names: Iterable[str], edges: Mapping[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(edges.get(name, ()))
    return reached


def _named(core: str, graph: _Graph, look: Look) -> set[str] | _Cell | Diagnostic:
    method, colon, rest = core.partition(":")
    if not colon:
        return _by_name(core, graph)
    match method.strip():
        case "kind":
            return _by_kind(rest.strip(), graph.plan)
        case "cell":
            return _by_cell(rest.strip(), graph)
        case "changed":
            past = look(rest.strip())
            return past if isinstance(past, Diagnostic) else _changed(rest.strip(), past, graph)
        case "failed":
            past = look(rest.strip())
            return past if isinstance(past, Diagnostic) else _failed(rest.strip(), past, graph.plan)
    return error(CODE, f"`{core}` selects by `{method}`, which is no way to select").help(
        did_you_mean(method, ("kind", "cell", "changed", "failed"))
    )


# -- by name -------------------------------------------------------------------------------------------------------


def _by_name(name: str, graph: _Graph) -> set[str] | Diagnostic:
    if not name:
        return error(CODE, "a selection names nothing").help(
            "write for example `--select +leak` or `--select kind:attack`"
        )
    plan = graph.plan
    if name in plan.nodes:
        return {name}
    words = _words(graph)
    if any(sign in name for sign in "*?["):
        matching = [words[word]() for word in words if fnmatchcase(word, name)]
        found = set(chain({each for each in plan.nodes if fnmatchcase(each, name)}, *matching))
        if found:
            return found
        return error(CODE, f"no name in this audit is like `{name}`").help(did_you_mean(name.strip("*"), words))
    if name in words:
        return words[name]()
    if begun := {each for each in plan.nodes if each.startswith(name)}:
        return begun
    known = (*(each.name for each in plan.measurements), *(each.attack for each in plan.attacks),
             *(plan.nodes[each].label for each in plan.steps_among(plan.nodes)))  # fmt: skip
    help_ = did_you_mean(name, words) or f"there is {listed(known, most=10)}"
    return error(CODE, f"nothing in this audit is called `{name}`").help(help_)


def _words(graph: _Graph) -> dict[str, Callable[[], set[str]]]:
    """Every word that selects, with what finds the nodes: labels, operators, attacks, recipes, measurements."""
    plan = graph.plan
    nodes: dict[str, set[str]] = {}
    for node in plan.nodes.values():
        for word in (node.label, node.operator):
            nodes.setdefault(word, set()).add(node.id)
    for reading in plan.readings:
        if reading.node is not None:
            nodes.setdefault(reading.measurement, set()).add(reading.node)
    arms: dict[str, set[str]] = {}
    for arm in plan.arms:
        if arm.node is not None:
            for word in (arm.attack, arm.instance, f"{arm.attack}.{arm.instance}", arm.baseline):
                arms.setdefault(word, set()).add(arm.node)
    arms.pop("", None)

    def steps(ends: set[str], plain: set[str]) -> set[str]:
        return plain | {each for each in graph.needed(ends) if plan.nodes[each].role == "attack"}

    def finder(word: str) -> Callable[[], set[str]]:
        return lambda: steps(arms.get(word, set()), nodes.get(word, set()))

    return {word: finder(word) for word in {**nodes, **arms}}


# -- by what nodes are, by cell, by an earlier run -----------------------------------------------------------------


def _by_kind(kind: str, plan: Plan) -> set[str] | Diagnostic:
    found = {node.id for node in plan.nodes.values() if kind in (node.role, node.kind)}
    if found:
        return found
    known = {word for node in plan.nodes.values() if not node.passes_on for word in (node.role, node.kind)}
    return error(CODE, f"no node of this audit is or makes `{kind}`").help(did_you_mean(kind, known))


def _by_cell(text: str, graph: _Graph) -> _Cell | Diagnostic:
    """Everything that the cell rests on: what does not vary along an axis belongs to all its cells."""
    plan = graph.plan
    places: _Places = {}
    for part in text.split("&"):
        axis, sign, value = (each.strip() for each in part.partition("="))
        if not sign or not axis:
            help_ = (
                f"write for example `cell:{_example(plan)}`"
                if plan.matrix
                else "this audit has no matrix: it is one cell"
            )
            return error(CODE, f"`cell:{text}` is not AXIS=VALUE").help(help_)
        if axis not in plan.matrix:
            return error(CODE, f"this audit has no axis `{axis}`").help(
                did_you_mean(axis, plan.matrix) or "it has no matrix: it is one cell"
            )
        words = plan.matrix[axis]
        found = _values(value, words)
        if not found:
            return error(CODE, f"the axis `{axis}` has no value `{value}`").help(did_you_mean(value, words))
        places.setdefault(axis, found)
        places[axis] &= found
    arms = [arm.node for arm in plan.arms if _lies(arm.cell, places)]
    readings = [reading.node for reading in plan.readings if _lies(reading.cell, places)]
    return _Cell(places, graph.needed(name for name in (*arms, *readings) if name is not None))


def _example(plan: Plan) -> str:
    axis, words = next(iter(plan.matrix.items()))
    return f"{axis}={words[0]}"


def _values(value: str, words: Sequence[str]) -> set[int]:
    """The places of a value on an axis: as it is written, or all that go by its name."""
    plain = ["".join(word.split()) for word in words]
    asked = "".join(value.split())
    exact = {place for place, word in enumerate(plain) if word == asked}
    return exact or {place for place, word in enumerate(plain) if word.partition("(")[0] == asked}


def _lies(cell: Mapping[str, int], places: Mapping[str, set[int]]) -> bool:
    return all(axis not in cell or cell[axis] in allowed for axis, allowed in places.items())


def _changed(run: str, past: Past, graph: _Graph) -> set[str] | Diagnostic:
    """What the run did not compute, and what rests on files that have changed since.

    Two nodes that compute the same have the same number behind their labels, whatever they are called.
    """
    known = {structure_of(name) for name in past.known}
    nodes = graph.plan.nodes
    new = {name for name, node in nodes.items() if not node.passes_on and structure_of(name) not in known}
    if not new:
        return warning(CODE, f"nothing has changed since the run `{run}`").help(
            "leave `--select` out: what is known is not done again"
        )
    return graph.needing(new)


def _failed(run: str, past: Past, plan: Plan) -> set[str] | Diagnostic:
    numbers = {structure_of(name) for name in past.undone}
    found = {name for name in plan.nodes if structure_of(name) in numbers}
    if found:
        return found
    if past.undone:
        return error(CODE, f"what failed in the run `{run}` is no part of this audit any more").help(
            f"select what is new instead: `--select changed:{run}`"
        )
    return warning(CODE, f"nothing failed in the run `{run}`").help(
        "leave `--select` out: what is known is not done again"
    )
