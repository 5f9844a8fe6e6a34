"""A plan as a straight-line Python script that a researcher can read, change and run: one call a node, same digests."""

from __future__ import annotations

import json
import keyword
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from mialang.plan.model import Json, Node, Plan

SIGNS = {"+": 1, "-": 1, "*": 2, "/": 2}


class _Names:
    """Python names for nodes and functions, each used once."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self._taken: dict[str, int] = {}

    def node(self, node: Node) -> str:
        """The variable that holds what a node made."""
        if node.id not in self.nodes:
            self.nodes[node.id] = self._fresh(node.label, always_numbered=True)
        return self.nodes[node.id]

    def function(self, python: str) -> str:
        """The name under which a function is imported."""
        if python not in self.functions:
            module, _, name = python.partition(":")
            clash = name in self.functions.values()
            self.functions[python] = f"{module.rpartition('.')[2]}_{name}" if clash else name
        return self.functions[python]

    def _fresh(self, label: str, *, always_numbered: bool) -> str:
        stem = re.sub(r"\W+", "_", label).strip("_").lower() or "node"
        if stem[0].isdigit() or keyword.iskeyword(stem):
            stem = f"node_{stem}"
        number = self._taken[stem] = self._taken.get(stem, 0) + 1
        return f"{stem}_{number}" if always_numbered or number > 1 else stem


class _Writer:
    """Writes the lines of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.names = _Names()

    def lines(self) -> list[str]:
        """One paragraph a node."""
        return [self._paragraph(node) for node in self.plan.nodes.values() if not node.passes_on]

    def _paragraph(self, node: Node) -> str:
        repeat = f", repeat {node.repeat + 1} of {self.plan.repeats}" if node.repeat is not None else ""
        function = self.names.function(node.python)
        arguments = [f"{name}={self._value(each, node)}" for name, each in node.params.items() if name != "draw"]
        if "draw" in node.params and "draw" in self._declared(node):
            arguments.append(f"draw={self._value(node.params['draw'], node)}")
        lines = [
            f"# {node.role}: {node.label}{repeat}",
            f"run = audit.run(seed={node.seed or 0}{f', questions={node.queries}' if node.queries is not None else ''})",
        ]
        lines += [f"{self._handle_name(name)} = {self._handle(name)}" for name in self._handles(node)]
        lines += [f"{self._model_name(name)} = audit.own({self._input(name)}, run, {name.rpartition('-')[0]!r})"
                  for name in self._models(node)]  # fmt: skip
        call = f"{function}({', '.join([*arguments, 'run=run'])})"
        lines.append(f"{self.names.node(node)} = audit.keep({node.id!r}, {call})")
        return "\n".join(lines)

    def _declared(self, node: Node) -> set[str]:
        """`draw` is a parameter of the function only where the operator declares it; all steps that draw accept it."""
        return {"draw"} if isinstance(node.params.get("draw"), bool) else set()

    # -- values ----------------------------------------------------------------------------------------------------

    def _value(self, value: Json, node: Node, binding: int = 0) -> str:
        match value:
            case {"$term": _, "python": python, "args": arguments}:
                inside = ", ".join(f"{name}={self._value(each, node)}" for name, each in arguments.items())
                return f"{self.names.function(python)}({inside})"
            case {"$algebra": sign, "operands": [left, right]}:
                own = SIGNS[sign]
                text = f"{self._value(left, node, own)} {sign} {self._value(right, node, own + 1)}"
                return f"({text})" if own < binding else text
            case {"$handle": name}:
                return self._handle_name(name)
            case {"$model": name}:
                return self._model_name(name)
            case {"$node": name}:
                return self._input(name) + (f".{value['member']}" if "member" in value else "")
            case dict():
                inside = ", ".join(f"{name!r}: {self._value(each, node)}" for name, each in value.items())
                return f"{{{inside}}}"
            case list() | tuple():
                return f"[{', '.join(self._value(each, node) for each in value)}]"
        return repr(value)

    def _input(self, name: str) -> str:
        """The variable of an input; a grant is what it grants."""
        source = self.plan.nodes[name]
        while source.operator == "grant" and source.passes_on:
            source = self.plan.nodes[source.inputs[0]]
        return self.names.node(source)

    # -- handles ---------------------------------------------------------------------------------------------------

    def _handles(self, node: Node) -> list[str]:
        return [name for name in node.inputs if self.plan.nodes[name].role == "handle"]

    def _models(self, node: Node) -> list[str]:
        return list(dict.fromkeys(_mentioned(node.params, "$model")))

    def _handle_name(self, name: str) -> str:
        return "target" if self.plan.nodes[name].params["decoy"] == "" else "decoy"

    def _model_name(self, name: str) -> str:
        return f"ask_{self._input(name)}"

    def _handle(self, name: str) -> str:
        node = self.plan.nodes[name]
        params = node.params
        model = self._input(params["model"]["$node"])
        transforms = ", ".join(f"({each['on']!r}, {self._value(each['term'], node)})" for each in params["transforms"])
        given = [f"sees={params['sees']!r}"]
        if params["knows"]:
            given.append(f"knows={params['knows']!r}")
        if transforms:
            given.append(f"transforms=[{transforms}]")
        if params["decoy"]:
            given.append(f"decoy={params['decoy']!r}")
        return f"audit.handle({model}, run, {', '.join(given)})"


def _mentioned(params: Json, sign: str) -> list[str]:
    if isinstance(params, dict):
        if sign in params:
            return [params[sign]]
        return [name for each in params.values() for name in _mentioned(each, sign)]
    if isinstance(params, list | tuple):
        return [name for each in params for name in _mentioned(each, sign)]
    return []


def as_script(plan: Plan) -> str:
    """The script.

    Running it prints a digest a node, which equals the digest that `mialang run` keeps for the same plan at an equal
    number of threads, and the mean of every measurement.
    """
    writer = _Writer(plan)
    paragraphs = writer.lines()
    imports: dict[str, list[str]] = {}
    for python, name in writer.names.functions.items():
        module, _, original = python.partition(":")
        imports.setdefault(module, []).append(original if original == name else f"{original} as {name}")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                              autoescape=False)  # noqa: S701 - the template writes Python, not HTML  # fmt: skip
    environment.filters["doc"] = _doc
    template = environment.from_string((files("mialang.plan.emit") / "script.py.jinja").read_text(encoding="utf-8"))
    context: dict[str, Any] = {
        "plan": plan,
        "imports": {module: sorted(names) for module, names in sorted(imports.items())},
        "observables": json.dumps(plan.observables, indent=4)
        .replace("null", "None")
        .replace("true", "True")
        .replace("false", "False"),
        "paragraphs": paragraphs,
    }
    return template.render(context)


def _doc(text: str) -> str:
    """A text that may stand in a Python doc string."""
    return text.replace("\\", "\\\\").replace('"""', "'''")
