"""Values to nodes: what computes the same from the same is one node, and its seed comes from what it computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mialang.meaning.accept import kind_of
from mialang.meaning.audit import Audit
from mialang.meaning.declarations import DefenseDeclaration, Operator
from mialang.meaning.estimate import Counts, evaluate
from mialang.meaning.grants import shield_of
from mialang.meaning.library import is_library
from mialang.meaning.units import Quantity
from mialang.meaning.values import (
    Algebra,
    Application,
    Part,
    Range,
    Sight,
    Structured,
    TableValue,
    Value,
    inside,
)
from mialang.plan.model import (
    Json,
    Node,
    Role,
    digest,
    references,
)
from mialang.plan.values import BoundHandle, Defended, Granted, Leaked
from mialang.source import Span

SEEDS = 2**32
LIMIT = "on"  # the parameter of a defense that names the observables it is limited to


class Graph:
    """The nodes made so far. Nodes that compute the same from the same are one node."""

    def __init__(self, audit: Audit, root: int) -> None:
        self.audit = audit
        self.registry = audit.registry
        self.root = root
        self.nodes: dict[str, Node] = {}
        self.keys: dict[str, str] = {}  # node id → structural key
        self._ids: dict[str, str] = {}  # structural key → node id
        self._memory: dict[tuple[str, int | None], str] = {}
        self._random: dict[str, bool] = {}
        self.counts = Counts()
        self.asking: Span | None = None  # the block that is lowered: where steps of the library are asked for
        self._places: dict[Span, str] = {}

    def sizes_by_value(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes of nodes as sizes of the values that they stand for."""
        return {digest_: sizes[node] for (digest_, _), node in self._memory.items() if node in sizes}

    # -- values to nodes -------------------------------------------------------------------------------------------

    def node(self, value: Value, repeat: int, role: Role) -> str:
        """The id of the node that makes an artefact, or stands for a handle."""
        assert isinstance(value, Structured), value
        key = (value.digest, repeat if self.draws(value) else None)
        if key not in self._memory:
            self._memory[key] = self._make(value, repeat, role)
        return self._memory[key]

    def draws(self, value: Value) -> bool:
        """Whether anything inside a value is random, so that repeats differ."""
        if isinstance(value, tuple):
            return any(map(self.draws, value))
        if not isinstance(value, Structured):
            return False
        if value.digest not in self._random:
            self._random[value.digest] = is_random(value) or any(map(self.draws, inside(value)))
        return self._random[value.digest]

    def _make(self, value: Structured, repeat: int, role: Role) -> str:
        match value:
            case BoundHandle():
                return self._handle(value, repeat)
            case Granted():
                source = self.node(value.value, repeat, "data")
                params = {"of": {"$node": source}, "item": value.item}
                after = self._checks(value.checks, repeat)
                return self.add("grant", value.item, "grant", "", 1, self.nodes[source].kind, params, after=after)
            case Leaked():
                return self._leaked(value, repeat)
            case Defended():
                declaration = value.declaration
                params = {name: self.encode(each, repeat, role) for name, each in value.defense.arguments.items()}
                params["of"] = {"$node": self.node(value.value, repeat, role)}
                kind = kind_of(_plain(value.value), self.registry)
                own_role = "data" if declaration.acts == "data" else role
                return self._step(declaration, declaration.python, declaration.version, kind, params, repeat,
                                  own_role, declaration.random, value.defense)  # fmt: skip
            case Part():
                return self._part(value, repeat, role)
            case Application(declaration=Operator() as operator):
                params = {
                    name: self.encode(each, repeat, role, self._is_model(operator, name))
                    for name, each in value.arguments.items()
                }
                label = value.label or value.name
                own_role = self._role(operator, role)
                random = is_random(value) or any(map(is_noisy, handles_in(value)))
                return self._step(operator, operator.python, operator.version, kind_of(value, self.registry), params, repeat,
                                  own_role, random, value, label)  # fmt: skip
        raise TypeError(f"no node for {value!r}")

    def _part(self, part: Part, repeat: int, role: Role) -> str:
        """A part of an artefact that is an artefact itself: a node of its own, so that it can be granted without the rest."""
        source = self.node(part.base, repeat, role)
        params: dict[str, Json] = {"of": {"$node": source}, "member": part.name}
        base = self.nodes[source]
        return self.add("data" if base.role == "data" else role, f"{base.label}.{part.name}", "part",
                        "mialang.operators.parts:part", 1, part.kind, params, repeat=base.repeat, place=base.place)  # fmt: skip

    def _role(self, operator: Operator, role: Role) -> Role:
        """Records that come from nowhere, or outside an attack from no model, are data; a check is a check."""
        if operator.returns == "evidence":
            return "check"
        kinds = [parameter.type.bare().name for parameter in operator.parameters]
        inputs = [kind for kind in kinds if self.registry.artefact(kind)]
        of_models = any(self.registry.is_a(kind, "model") for kind in inputs)
        if self.registry.is_a(operator.returns, "records") and not of_models and (not inputs or role != "attack"):
            return "data"
        return role

    def _is_model(self, operator: Any, name: str) -> bool:
        parameter = operator.by_name.get(name)
        return parameter is not None and self.registry.is_a(parameter.type.bare().name, "model")

    def _step(  # noqa: PLR0913 - the parts of a node
        self,
        declaration: Operator | DefenseDeclaration,
        python: str,
        version: int,
        kind: str,
        params: dict[str, Json],
        repeat: int,
        role: Role,
        random: bool,
        value: Application,
        label: str = "",
    ) -> str:
        own_repeat = (
            repeat if random or any(self.nodes[each].repeat is not None for each in references(params)) else None
        )
        seconds = evaluate(declaration.seconds, value, self.counts) if isinstance(declaration, Operator) else None
        return self.add(role, label or declaration.name, declaration.name, python, version, kind, params,
                         random=random, repeat=own_repeat, seconds=seconds, place=self._place(value))  # fmt: skip

    def add(  # noqa: PLR0913 - the parts of a node
        self,
        role: Role,
        label: str,
        operator: str,
        python: str,
        version: int,
        kind: str,
        params: dict[str, Json],
        *,
        random: bool = False,
        repeat: int | None = None,
        seconds: float | None = None,
        after: tuple[str, ...] = (),
        place: str | None = None,
    ) -> str:
        """Add a node, or find the one that computes the same; without a place of its own it stands at what is lowered."""
        what = [operator, python, version, _by_key(params, self.keys)]
        seed = int(digest([self.root, what, repeat])[:8], 16) % SEEDS if random else None
        key = digest([what, seed])
        if key in self._ids:
            return self._ids[key]
        name = f"{label}-{key[:10]}"
        inputs = tuple(dict.fromkeys(references(params)))
        if repeat is None and any(self.nodes[each].repeat is not None for each in inputs):
            repeat = next(self.nodes[each].repeat for each in inputs if self.nodes[each].repeat is not None)
        self.nodes[name] = Node.model_construct(
            id=name, label=label, role=role, operator=operator, python=python, version=version, kind=kind, params=params,
            inputs=inputs, after=after, seed=seed, repeat=repeat, queries=None, seconds=seconds,
            place=self._place() if place is None else place,
        )  # fmt: skip
        self.keys[name] = key
        self._ids[key] = name
        return name

    def _place(self, value: Application | None = None) -> str:
        """Where a user finds what asks for a step: where it is written, or for steps of the library what uses them."""
        span = value.span if value is not None else None
        if span is None or is_library(span.source.name):
            span = self.asking
        if span is None:
            return ""
        if span not in self._places:
            self._places[span] = span.place()
        return self._places[span]

    def _handle(self, handle: BoundHandle, repeat: int) -> str:
        target = self.node(handle.target, repeat, "target")
        # A defense that only hides or limits answers changes none of them.
        changing = [each for each in handle.transforms if getattr(each.declaration, "python", "")]
        sees = None if handle.sees is None else {
            name: None if math.isinf(size) else size for name, size in sorted(handle.sees.items())
        }  # fmt: skip
        params: dict[str, Json] = {
            "model": {"$node": target},
            "sees": sees,
            "knows": sorted(handle.knows),
            "transforms": [self._transform(each, repeat) for each in changing],
            "decoy": handle.decoy,
            "noisy": is_noisy(handle),
        }
        label = f"{self.nodes[target].label} ({'decoy' if handle.decoy else 'handle'})"
        return self.add("handle", label.replace(" ", "_"), "handle", "", 1, "model", params,
                         after=self._checks(handle.checks, repeat))  # fmt: skip

    def _transform(self, defense: Application, repeat: int) -> Json:
        declaration = defense.declaration
        assert isinstance(declaration, DefenseDeclaration)
        shield = shield_of(defense, self.registry)
        names = sorted(shield.on or shield.transforms)
        return {"on": names, "term": self.encode(defense, repeat, "handle")}

    def _checks(self, checks: tuple[Application, ...], repeat: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.node(check, repeat, "check") for check in checks))

    def _leaked(self, leaked: Leaked, repeat: int) -> str:
        declaration = leaked.observable
        params: dict[str, Json] = {
            "of": {"$handle": self.node(leaked.handle, repeat, "held")},
            "records": {"$node": self.node(leaked.records, repeat, "data")},
            "size": leaked.size,
            "permuted": leaked.permuted,
            # What of the records leaks is drawn by this number, so that a decoy is made of the same records.
            "turn": repeat,
        }
        return self.add("held", declaration.name, declaration.name, declaration.python, declaration.version,
                         declaration.artefact, params, random=True, repeat=repeat)  # fmt: skip

    # -- values to JSON --------------------------------------------------------------------------------------------

    def encode(  # noqa: C901, PLR0912 - one case per sort of value
        self, value: Value, repeat: int, role: Role, as_model: bool = False
    ) -> Json:
        """A value as JSON; artefacts become references to nodes."""
        match value:
            case tuple():
                return [self.encode(item, repeat, role, as_model) for item in value]
            case Quantity():
                return value.value
            case float() if math.isinf(value):
                return None
            case Range():
                return [value.low, value.high]
            case Sight():
                return value.name if value.size is None else {"observable": value.name, "size": value.size}
            case TableValue():
                return {name: self.encode(item, repeat, role) for name, item in value.entries.items()}
            case Algebra():
                operands = [self.encode(each, repeat, role) for each in value.operands]
                return {"$algebra": value.operator, "operands": operands}
            case BoundHandle():
                return {"$handle": self.node(value, repeat, "handle")}
            case Part() if self.registry.artefact(value.kind):
                return {"$node": self.node(value, repeat, role)}
            case Part():
                return {**self.encode(value.base, repeat, role), "member": value.name}
            case Granted() | Leaked() | Defended():
                return {"$node": self.node(value, repeat, role)}
            case Application() if value.is_step:
                kind = kind_of(value, self.registry)
                sign = "$model" if as_model or self.registry.is_a(kind, "model") else "$node"
                return {sign: self.node(value, repeat, role)}
            case Application(declaration=Operator() | DefenseDeclaration() as declaration):
                # What a defense is limited to is told to the handle, not to the function behind it.
                limited = (LIMIT,) if isinstance(declaration, DefenseDeclaration) else ()
                args = {
                    name: self.encode(each, repeat, role, self._is_model(declaration, name))
                    for name, each in value.arguments.items()
                    if name not in limited
                }
                return {
                    "$term": declaration.name,
                    "python": declaration.python,
                    "version": declaration.version,
                    "args": args,
                }
            case Structured():
                raise TypeError(f"{value!r} has no place in a plan")
        return value


def is_random(value: Structured) -> bool:
    """Whether making a value draws at random, apart from what is inside it."""
    match value:
        case Application(declaration=Operator() as operator):
            fixed = any(value.arguments.get(name) is not None for name in operator.fixed_by)
            return operator.is_step and operator.random and not fixed
        case Application(declaration=DefenseDeclaration() as defense):
            return defense.random
        case BoundHandle():
            return is_noisy(value)
        case Leaked():
            return True
    return False


def is_noisy(handle: BoundHandle) -> bool:
    """Whether answers of a handle depend on chance: a decoy permutes them, a defense may add noise."""
    declarations = (defense.declaration for defense in handle.transforms)
    return bool(handle.decoy) or any(isinstance(each, DefenseDeclaration) and each.random for each in declarations)


def handles_in(step: Application) -> list[BoundHandle]:
    """The handles that a step asks through, itself or in a term written into it."""
    found: list[BoundHandle] = []
    pending = list(step.arguments.values())
    while pending:
        value = pending.pop()
        if isinstance(value, BoundHandle):
            found.append(value)
        elif not isinstance(value, Part | Granted | Leaked) and not (isinstance(value, Application) and value.is_step):
            pending.extend(inside(value))
    return found


def _plain(value: Value) -> Value:
    return _plain(value.value) if isinstance(value, Defended) else value


def _by_key(params: Json, keys: Mapping[str, str]) -> Json:
    """Parameters with references replaced by structural keys."""
    if isinstance(params, dict):
        return {
            name: keys[each] if name in ("$node", "$model", "$handle") else _by_key(each, keys)
            for name, each in params.items()
        }
    if isinstance(params, list):
        return [_by_key(each, keys) for each in params]
    return params
