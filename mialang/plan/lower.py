"""Lowering: a typed spec becomes one graph; equal nodes merge, seeds come from what a node computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import networkx as nx

from mialang.meaning.accept import kind_of
from mialang.meaning.audit import Attack, Audit, Cell, Instance, Measurement, Threat
from mialang.meaning.catalogue import baselines
from mialang.meaning.declarations import DefenseDeclaration, Operator
from mialang.meaning.estimate import Counts, evaluate, step_queries
from mialang.meaning.evaluate import DRAW, axes_of
from mialang.meaning.fits import Candidate, Setting, candidate_of, fits, setting_of, shortfalls
from mialang.meaning.gates import measured_axes
from mialang.meaning.grants import shield_of, training_slot
from mialang.meaning.judgement.priors import DISJOINT, secrets_of
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.read import attack_of, threat_of
from mialang.meaning.recipes import decoy_arguments
from mialang.meaning.units import Quantity
from mialang.meaning.values import (
    Algebra,
    Application,
    DefendedModel,
    HeldArtefact,
    Named,
    Part,
    PriorItem,
    Range,
    Sight,
    Structured,
    TableValue,
    TargetHandle,
    Value,
    inside,
    replaced,
    walk,
)
from mialang.plan import words
from mialang.plan.model import (
    Arm,
    AttackPlan,
    BudgetPlan,
    GatePlan,
    Json,
    MeasurementPlan,
    Node,
    Plan,
    Reading,
    Role,
    digest,
    references,
)
from mialang.plan.rules import lower_gates
from mialang.plan.values import BoundHandle, Defended, Granted, Leaked

SEEDS = 2**32


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
            self._random[value.digest] = _is_random(value) or any(map(self.draws, inside(value)))
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
                return self._step(declaration, declaration.python, declaration.version, kind, params, repeat,
                                  role, declaration.random, value.defense)  # fmt: skip
            case Part():
                return self._part(value, repeat, role)
            case Application(declaration=Operator() as operator):
                params = {
                    name: self.encode(each, repeat, role, self._is_model(operator, name))
                    for name, each in value.arguments.items()
                }
                label = value.label or value.name
                own_role = self._role(operator, role)
                random = _is_random(value) or any(map(_is_noisy, _handles_in(value)))
                return self._step(operator, operator.python, operator.version, operator.returns, params, repeat,
                                  own_role, random, value, label)  # fmt: skip
        raise TypeError(f"no node for {value!r}")

    def _part(self, part: Part, repeat: int, role: Role) -> str:
        """A part of an artefact that is an artefact itself: a node of its own, so that it can be granted without the rest."""
        source = self.node(part.base, repeat, role)
        params: dict[str, Json] = {"of": {"$node": source}, "member": part.name}
        base = self.nodes[source]
        return self.add("data" if base.role == "data" else role, f"{base.label}.{part.name}", "part",
                        "mialang.operators.parts:part", 1, part.kind, params, repeat=base.repeat)  # fmt: skip

    def _role(self, operator: Operator, role: Role) -> Role:
        """Records that come from nowhere are data, whoever asks for them; a check is a check."""
        if operator.returns == "evidence":
            return "check"
        has_input = any(self.registry.artefact(parameter.type.bare().name) for parameter in operator.parameters)
        if self.registry.is_a(operator.returns, "records") and not has_input:
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
                         random=random, repeat=own_repeat, seconds=seconds)  # fmt: skip

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
    ) -> str:
        """Add a node, or find the one that computes the same."""
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
        )  # fmt: skip
        self.keys[name] = key
        self._ids[key] = name
        return name

    def _handle(self, handle: BoundHandle, repeat: int) -> str:
        target = self.node(handle.target, repeat, "target")
        sees = None if handle.sees is None else {
            name: None if math.isinf(size) else size for name, size in sorted(handle.sees.items())
        }  # fmt: skip
        params: dict[str, Json] = {
            "model": {"$node": target},
            "sees": sees,
            "knows": sorted(handle.knows),
            "transforms": [self._transform(each, repeat) for each in handle.transforms],
            "decoy": handle.decoy,
            "noisy": _is_noisy(handle),
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
        }
        return self.add("held", declaration.name, declaration.name, declaration.python, declaration.version,
                         declaration.artefact, params, random=True, repeat=repeat)  # fmt: skip

    # -- values to JSON --------------------------------------------------------------------------------------------

    def encode(self, value: Value, repeat: int, role: Role, as_model: bool = False) -> Json:
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
                args = {
                    name: self.encode(each, repeat, role, self._is_model(declaration, name))
                    for name, each in value.arguments.items()
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


def _is_random(value: Structured) -> bool:
    match value:
        case Application(declaration=Operator() as operator):
            fixed = any(value.arguments.get(name) is not None for name in operator.fixed_by)
            return operator.is_step and operator.random and not fixed
        case Application(declaration=DefenseDeclaration() as defense):
            return defense.random
        case BoundHandle():
            return _is_noisy(value)
        case Leaked():
            return True
    return False


def _is_noisy(handle: BoundHandle) -> bool:
    """Whether answers of a handle depend on chance: a decoy permutes them, a defense may add noise."""
    declarations = (defense.declaration for defense in handle.transforms)
    return bool(handle.decoy) or any(isinstance(each, DefenseDeclaration) and each.random for each in declarations)


def _handles_in(step: Application) -> list[BoundHandle]:
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


class Lowering:
    """Lowers one audit."""

    def __init__(self, audit: Audit, root: int) -> None:
        self.audit = audit
        self.graph = Graph(audit, root)
        self.root = root
        self.arms: dict[tuple[Any, ...], Arm] = {}
        self._arm_cells: dict[str, dict[tuple[str, ...], dict[Any, list[tuple[Any, ...]]]]] = {}  # attack → axes → cell
        self.readings: list[Reading] = []
        self.repeats = range(audit.matrix.repeat)
        self.open_counts = False  # whether an estimate waits for data to be read

    def lower(self) -> Plan:
        """The whole plan."""
        audit = self.audit
        for attack in audit.attacks.values():
            threat = audit.threats[attack.against]
            for instance in instances_of(audit, attack):
                axes = frozenset(axis for value in (*threat.values(), instance.recipe) for axis in axes_of(value))
                for cell in audit.matrix.cells(axes):
                    self._attack(attack, threat, instance, cell)
        measurements = tuple(self._measurement(each) for each in audit.measurements.values())
        nodes = _ordered(self.graph.nodes)
        return Plan.model_construct(
            spec=audit.source.text,
            spec_name=audit.source.name,
            doc=audit.doc,
            seed=self.root,
            repeats=audit.matrix.repeat,
            matrix={name: tuple(map(words.text_of, values)) for name, values in audit.matrix.axes.items()},
            nodes=nodes,
            observables=words.observables(audit.registry),
            threats=tuple(words.threat_plan(audit, threat) for threat in audit.threats.values()),
            attacks=self._attack_plans(),
            arms=tuple(self.arms.values()),
            measurements=measurements,
            readings=tuple(self.readings),
            gates=lower_gates(audit),
            budget=BudgetPlan(seconds=audit.budget.seconds, queries=audit.budget.queries, usd=audit.budget.usd),
            secrets=self._secrets(),
            controls=all(attack.controls for attack in audit.attacks.values()),
        )

    def _secrets(self) -> dict[str, str]:
        found = {}
        for threat in self.audit.threats.values():
            cell = next(self.audit.matrix.cells(), {})
            target = self.audit.matrix.at(threat.target, cell)
            if isinstance(target, Application) and (secrets := secrets_of(target)):
                found[threat.name] = self.graph.node(secrets[0], 0, "data")
        return found

    # -- attacks ---------------------------------------------------------------------------------------------------

    def _attack(self, attack: Attack, threat: Threat, instance: Instance, cell: Cell) -> None:
        audit = self.audit
        setting = setting_of(audit, threat, cell)
        candidate = candidate_of(audit.matrix.at(instance.recipe, cell), audit.registry)
        if setting is None or candidate is None or not candidate.sound:
            return
        lacks = shortfalls(candidate, setting, audit.registry)
        if lacks:
            behind = ", ".join(defense.text or defense.name for defense in setting.defenses)
            reason = f"does not apply behind {behind}: {lacks[0].words}"
            self._no_arm(attack, instance, "attack", cell, reason)
            return
        self._run_arm(attack, instance, "attack", "", candidate, setting, cell)
        if attack.controls:
            self._blind(attack, instance, candidate, setting, cell)
            for baseline in self._baselines(setting):
                self._run_arm(attack, instance, "baseline", baseline.recipe.name, baseline, setting, cell)

    def _baselines(self, setting: Setting) -> list[Candidate]:
        """The baselines that fit a threat behind its defense."""
        found = []
        for recipe in baselines(self.audit.registry).values():
            candidate = candidate_of(recipe, self.audit.registry)
            if candidate is not None and fits(candidate, setting, self.audit.registry):
                found.append(candidate)
        return found

    def _blind(self, attack: Attack, instance: Instance, candidate: Candidate, setting: Setting, cell: Cell) -> None:
        """The same plan against a decoy; the strongest observable that the attack uses decides which."""
        sights = self.audit.registry.sights.by_name
        decoys = {sights[reason.observable].decoy for reason in candidate.needs.reasons}
        decoys |= {sights[name].decoy for name in candidate.needs.access.holds}
        if "none" in decoys:
            names = [
                reason.observable for reason in candidate.needs.reasons if sights[reason.observable].decoy == "none"
            ]
            names += [name for name in candidate.needs.access.holds if sights[name].decoy == "none"]
            self._no_arm(attack, instance, "blind", cell, f"there is no decoy for {names[0].replace('_', ' ')}")
            return
        target: Value = self._trained_target(setting)
        if "retrained" in decoys:
            decoy_target = self._decoy_target(setting)
            if decoy_target is None:
                reason = "the prior grants nothing that a decoy model could be trained on"
                self._no_arm(attack, instance, "blind", cell, reason)
                return
            target = decoy_target
        permuted = "permuted" if "retrained" not in decoys else ""
        self._run_arm(
            attack, instance, "blind", "", candidate, setting, cell, target=target, decoy=permuted or "retrained"
        )

    def _no_arm(self, attack: Attack, instance: Instance, arm: str, cell: Cell, reason: str) -> None:
        for label in self._labels(instance, cell):
            for repeat in self.repeats:
                self._arm(attack, label, arm, "", cell, repeat, None, reason)

    def _decoy_target(self, setting: Setting) -> Value | None:
        """A model of the same kind, trained on what the prior grants, shuffled so that nothing fits together."""
        operator = setting.target.declaration
        assert isinstance(operator, Operator)
        if not operator.decoy:
            return None
        arguments = {**setting.target.arguments, **dict.fromkeys(operator.fixed_by)}
        granted = setting.counts.granted
        for parameter, value in decoy_arguments(setting.target, self.audit.registry).items():
            if any(isinstance(part, PriorItem) and part.name not in granted for part in walk(value)):
                return None
            arguments[parameter] = replaced(
                value, lambda part: granted[part.name] if isinstance(part, PriorItem) else None
            )
        return defended(
            replace(setting.target, arguments=arguments, label=f"{setting.target.label}_decoy"), setting.defenses
        )

    def _run_arm(  # noqa: PLR0913 - an arm is all of these
        self,
        attack: Attack,
        instance: Instance,
        arm: str,
        baseline: str,
        candidate: Candidate,
        setting: Setting,
        cell: Cell,
        target: Value | None = None,
        decoy: str = "",
    ) -> None:
        bound = self._bound(
            candidate, setting, cell, target if target is not None else self._trained_target(setting), decoy
        )
        metered = not decoy and math.isfinite(setting.access.queries)
        for repeat in self.repeats:
            ids = {name: self.graph.node(value, repeat, "attack") for name, value in bound.items()}
            asking = self._asking(candidate, setting, bound, repeat, metered, decoy)
            for label, name in self._labels(instance, cell).items():
                node = ids[name] if name in ids else next(iter(ids.values()))
                self._arm(attack, label, arm, baseline, cell, repeat, node, "", asking)

    def _labels(self, instance: Instance, cell: Cell) -> dict[str, str]:
        """What the results of an attack are called: by its name, or by its name and theirs where there are several."""
        candidate = candidate_of(self.audit.matrix.at(instance.recipe, cell), self.audit.registry)
        assert candidate is not None
        names = list(candidate.elaborated.results)
        return {f"{instance.name}.{name}": name for name in names} if len(names) > 1 else {instance.name: names[0]}

    def _asking(  # noqa: PLR0913
        self, candidate: Candidate, setting: Setting, bound: Mapping[str, Value], repeat: int, metered: bool, decoy: str
    ) -> tuple[str, ...]:
        """Give the nodes that ask the target their caps; return them."""
        found = []
        for value in bound.values():
            for part in walk(value):
                if not isinstance(part, Application) or not part.is_step or not _handles_in(part):
                    continue
                node = self.graph.node(part, repeat, "attack")
                found.append(node)
                if metered and not decoy:
                    free = replaced(part, _unbind)
                    assert isinstance(free, Application)
                    estimate = step_queries(free, setting.counts)
                    cap = setting.access.queries if estimate is None else estimate
                    self.open_counts = self.open_counts or estimate is None
                    self.graph.nodes[node] = self.graph.nodes[node].model_copy(update={"queries": math.ceil(cap)})
        return tuple(dict.fromkeys(found))

    def _arm(  # noqa: PLR0913
        self, attack: Attack, instance: str, arm: Any, baseline: str, cell: Cell, repeat: int, node: str | None,
        reason: str, nodes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        key = (attack.name, instance, arm, baseline, tuple(sorted(cell.items())), repeat)
        self._arm_cells.setdefault(attack.name, {}).setdefault(tuple(sorted(cell)), {}).setdefault(key[4], []).append(
            key
        )
        self.arms[key] = Arm.model_construct(
            attack=attack.name, instance=instance, arm=arm, baseline=baseline, cell=dict(cell), repeat=repeat,
            node=node, reason=reason, nodes=nodes,
        )  # fmt: skip

    def _trained_target(self, setting: Setting) -> Value:
        return defended(setting.target, setting.defenses)

    def _bound(self, candidate: Candidate, setting: Setting, cell: Cell, target: Value, decoy: str) -> dict[str, Value]:
        """The results of a recipe with the handle, the granted items and the leaked artefacts put in."""
        registry = self.audit.registry
        checks = self._obligations(setting, cell)
        transforms = active_transforms(setting, registry)
        # The handle gives what was inferred, not all that was granted: the least that the attack needs.
        needed = candidate.needs.access
        handle = BoundHandle(target, needed.sees, needed.knows, transforms, decoy, checks)

        def answer(value: Value) -> Value | None:
            match value:
                case TargetHandle():
                    return handle
                case PriorItem():
                    return Granted(value.name, self.audit.matrix.at(setting.counts.granted[value.name], cell), checks)
                case HeldArtefact():
                    return self._held(value, setting, handle, bool(decoy))
            return None

        return {name: replaced(value, answer) for name, value in candidate.elaborated.results.items()}

    def _held(self, held: HeldArtefact, setting: Setting, handle: BoundHandle, blind: bool) -> Value:
        declaration = self.audit.registry.observables[held.name]
        whole = BoundHandle(self._trained_target(setting), None, handle.knows, handle.transforms, "", handle.checks)
        size = setting.access.holds.get(held.name)
        records = secrets_of(setting.target)[0]
        return Leaked(declaration, size if size and math.isfinite(size) else None, whole, records, blind)

    def _obligations(self, setting: Setting, cell: Cell) -> tuple[Application, ...]:
        """What must hold before any attack: asserted facts, and that no prior item shares a record with the secret."""
        audit = self.audit
        checks: list[Application] = []
        disjoint = audit.registry.loader.prelude.look(DISJOINT)[1]
        for prior in audit.priors(setting.threat, cell):
            checks.extend(prior.asserts)
            for name, value in prior.items.items():
                if audit.registry.item(name).overlaps or not audit.registry.is_a(
                    kind_of(value, audit.registry), "records"
                ):
                    continue
                for secret in secrets_of(setting.target):
                    if isinstance(disjoint, Operator) and kind_of(secret, audit.registry) == kind_of(
                        value, audit.registry
                    ):
                        checks.append(Application(disjoint, {"first": value, "second": secret, "by": "record"}))
        return tuple({check.digest: check for check in checks}.values())

    def _attack_plans(self) -> tuple[AttackPlan, ...]:
        found = []
        for attack in self.audit.attacks.values():
            threat = self.audit.threats[attack.against]
            setting = next(
                (
                    each
                    for cell in self.audit.matrix.cells()
                    if (each := setting_of(self.audit, threat, cell)) is not None
                ),
                None,
            )
            for instance in instances_of(self.audit, attack):
                cell = next(self.audit.matrix.cells(), {})
                candidate = candidate_of(self.audit.matrix.at(instance.recipe, cell), self.audit.registry)
                if candidate is not None and setting is not None:
                    found.append(words.attack_plan(attack.name, instance.name, candidate, setting))
        return tuple(found)

    # -- measurements ----------------------------------------------------------------------------------------------

    def _measurement(self, measurement: Measurement) -> MeasurementPlan:
        audit = self.audit
        axes = measured_axes(measurement, audit)
        attack = attack_of(measurement)
        for cell in audit.matrix.cells(frozenset(axes)):
            if attack is not None:
                self._of_attack(measurement, attack, cell)
            else:
                self._of_model(measurement, cell)
        return MeasurementPlan(
            name=measurement.name,
            metric=measurement.metric.name,
            sort=measurement.metric.sort,
            higher=measurement.metric.higher,
            unit=measurement.metric.unit,
            fields=measurement.fields,
            axes=tuple(sorted(axes)),
            attack=attack or "",
            threat=threat_of(measurement, audit) or "",
        )

    def _of_attack(self, measurement: Measurement, attack: str, cell: Cell) -> None:
        for arm in self._arms_in(attack, cell):
            node = None
            if arm.node is not None:
                made = arm.node
                node = self._metric_node(measurement, cell, arm.repeat, {"$node": made}, arm.nodes)
            self.readings.append(
                Reading.model_construct(
                    measurement=measurement.name, cell=dict(cell), repeat=arm.repeat, instance=arm.instance, arm=arm.arm,
                    baseline=arm.baseline, node=node, reason=arm.reason,
                )
            )  # fmt: skip

    def _arms_in(self, attack: str, cell: Cell) -> list[Arm]:
        """The arms of an attack in a cell; an arm that varies along fewer axes belongs to every cell that agrees."""
        found: dict[tuple[Any, ...], Arm] = {}
        for axes, by_cell in self._arm_cells.get(attack, {}).items():
            place = tuple((axis, cell[axis]) for axis in axes if axis in cell)
            found.update({key: self.arms[key] for key in by_cell.get(place, ())})
        return list(found.values())

    def _of_model(self, measurement: Measurement, cell: Cell) -> None:
        for repeat in self.repeats:
            node = self._metric_node(measurement, cell, repeat, None, ())
            self.readings.append(
                Reading.model_construct(measurement=measurement.name, cell=dict(cell), repeat=repeat, instance="", arm="",
                                        baseline="", node=node, reason="")
            )  # fmt: skip

    def _metric_node(self, measurement: Measurement, cell: Cell, repeat: int, of: Json, asking: tuple[str, ...]) -> str:
        del asking
        metric = measurement.metric
        params: dict[str, Json] = {}
        for name, value in measurement.value.arguments.items():
            at = self.audit.matrix.at(value, cell)
            if isinstance(at, Named) and at.sort == "attack":
                params[name] = of
            elif isinstance(at, DefendedModel):
                params[name] = {"$handle": self._whole_target(at.threat, cell, repeat)}
            elif isinstance(at, Application) and self._is_judge(at, metric.sort, name, metric):
                params[name] = {"$model": self.graph.node(at, 0, "judge")}
            else:
                params[name] = self.graph.encode(at, repeat, "data")
        random = metric.random or any(self.graph.nodes[name].params.get("noisy") for name in references(params))
        return self.graph.add("metric", measurement.name, metric.name, metric.python, metric.version, "measurement", params,
                              random=random, repeat=repeat if random else None)  # fmt: skip

    def _is_judge(self, value: Application, sort: str, name: str, metric: Any) -> bool:
        parameter = metric.by_name[name]
        return sort == "leakage" and self.audit.registry.is_a(parameter.type.bare().name, "model") and value.is_step

    def _whole_target(self, threat: str, cell: Cell, repeat: int) -> str:
        """The defended model as its owner serves it: everything seen, nothing metered, defenses on answers in place."""
        setting = setting_of(self.audit, self.audit.threats[threat], cell)
        assert setting is not None
        transforms = tuple(each for each in setting.defenses if shield_of(each, self.audit.registry).on_answers)
        handle = BoundHandle(self._trained_target(setting), None, frozenset(), transforms, "", ())
        return self.graph.node(handle, repeat, "handle")


def active_transforms(setting: Setting, registry: Any) -> tuple[Application, ...]:
    """The defenses on answers that the adversary meets: none for who holds the weights."""
    found = []
    for defense in setting.defenses:
        shield = shield_of(defense, registry)
        if shield.on_answers and not shield.bypassed_by(setting.granted):
            found.append(defense)
    return tuple(found)


def defended(target: Application, defenses: tuple[Application, ...]) -> Value:
    """A target behind the defenses that act before answers: on its data, its training, or the finished model."""
    arguments = dict(target.arguments)
    operator = target.declaration
    assert isinstance(operator, Operator)
    for defense in defenses:
        declaration = defense.declaration
        assert isinstance(declaration, DefenseDeclaration)
        if declaration.acts == "training":
            slot = training_slot(operator)
            assert slot is not None, operator.name
            already = arguments[slot]
            arguments[slot] = (*(already if isinstance(already, tuple) else ()), defense)
        elif declaration.acts == "data":
            for name in operator.secret:
                if arguments.get(name) is not None:
                    arguments[name] = Defended(defense, arguments[name])
    value: Value = Application(operator, arguments, target.span, target.label, target.text)
    for defense in defenses:
        if isinstance(defense.declaration, DefenseDeclaration) and defense.declaration.acts == "model":
            value = Defended(defense, value)
    return value


def _unbind(value: Value) -> Value | None:
    """Turn a bound step back into the open one that estimates are made for."""
    if isinstance(value, BoundHandle):
        return TargetHandle()
    return value.value if isinstance(value, Granted) else None


def _ordered(nodes: dict[str, Node]) -> dict[str, Node]:
    """Nodes with inputs before what uses them, otherwise in the order in which they were made."""
    place = {name: number for number, name in enumerate(nodes)}
    drawn = nx.DiGraph()
    drawn.add_nodes_from(nodes)
    drawn.add_edges_from((source, node.id) for node in nodes.values() for source in (*node.inputs, *node.after))
    return {name: nodes[name] for name in nx.lexicographical_topological_sort(drawn, key=place.__getitem__)}


Measure = Callable[[Plan], Mapping[str, int]]


def lower(audit: Audit, seed: int = 0, measure: Measure | None = None) -> Plan:
    """Lower an audit that has no errors.

    Args:
        audit: the typed spec; sizes that were measured are kept in it.
        seed: the root from which all seeds are derived.
        measure: reads the data of a plan and gives their sizes by node; asked only where the number of questions of a
            metered attack depends on them.
    """
    lowering = Lowering(audit, seed)
    plan = lowering.lower()
    if measure is None or not lowering.open_counts:
        return plan
    sizes = measure(plan)
    audit.measured.update(lowering.graph.sizes_by_value(sizes))
    return Lowering(audit, seed).lower()


__all__ = ["DRAW", "GatePlan", "Lowering", "lower"]
