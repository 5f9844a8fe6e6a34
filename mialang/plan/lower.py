"""Lowering: a typed spec becomes one graph with its arms, measurements and gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import networkx as nx

from mialang.meaning.audit import Audit, Cell, Measurement
from mialang.meaning.evaluate import axes_of
from mialang.meaning.fits import secrets_of, setting_of
from mialang.meaning.gates import measured_axes
from mialang.meaning.grants import shield_of
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.read import attack_of, threat_of
from mialang.meaning.values import (
    Application,
    DefendedModel,
    Named,
    Value,
)
from mialang.plan import words
from mialang.plan.arms import Arms, defended
from mialang.plan.model import (
    BudgetPlan,
    Json,
    MeasurementPlan,
    Node,
    Plan,
    Reading,
    references,
)
from mialang.plan.nodes import Graph
from mialang.plan.rules import lower_gates
from mialang.plan.values import BoundHandle


class Lowering:
    """Lowers one audit."""

    def __init__(self, audit: Audit, root: int) -> None:
        self.audit = audit
        self.graph = Graph(audit, root)
        self.root = root
        self.arms = Arms(audit, self.graph)
        self.readings: list[Reading] = []
        self.repeats = range(audit.matrix.repeat)

    def lower(self) -> Plan:
        """The whole plan."""
        audit = self.audit
        for attack in audit.attacks.values():
            threat = audit.threats[attack.against]
            for instance in instances_of(audit, attack):
                self.graph.asking = instance.span
                axes = frozenset(axis for value in (*threat.values(), instance.recipe) for axis in axes_of(value))
                for cell in audit.matrix.cells(axes):
                    self.arms.run(attack, threat, instance, cell)
        measurements = tuple(self._measurement(each) for each in audit.measurements.values())
        nodes = _ordered(self.graph.nodes)
        return Plan.model_construct(
            spec=audit.source.text,
            spec_name=audit.source.name,
            doc=audit.doc,
            seed=self.root,
            repeats=audit.matrix.repeat,
            matrix={name: tuple(map(words.text_of, values)) for name, values in audit.matrix.axes.items()},
            cells=sum(1 for _ in audit.matrix.cells()),
            nodes=nodes,
            observables=words.observables(audit.registry),
            threats=tuple(words.threat_plan(audit, threat) for threat in audit.threats.values()),
            attacks=self.arms.attack_plans(),
            arms=tuple(self.arms.found.values()),
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

    def _measurement(self, measurement: Measurement) -> MeasurementPlan:
        audit = self.audit
        axes = measured_axes(measurement, audit)
        attack = attack_of(measurement)
        self.graph.asking = measurement.span
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
        arguments = self._arguments(measurement, cell)
        for arm in self.arms.of(attack, cell):
            node = None
            if arm.node is not None:
                made = self._unrevealed(arm.node, attack, cell, arm.repeat)
                node = self._metric_node(measurement, arguments, cell, arm.repeat, {"$node": made})
            self.readings.append(
                Reading.model_construct(
                    measurement=measurement.name, cell=dict(cell), repeat=arm.repeat, instance=arm.instance, arm=arm.arm,
                    baseline=arm.baseline, node=node, reason=arm.reason,
                )
            )  # fmt: skip

    def _unrevealed(self, node: str, attack: str, cell: Cell, repeat: int) -> str:
        """What an attack handed over, without what a grant of its threat gives away: that is no recovery."""
        threat = self.audit.threats[self.audit.attacks[attack].against]
        granted = self.arms.revealed(threat, cell, repeat)
        if not granted:
            return node
        made = self.graph.nodes[node]
        params: dict[str, Json] = {"of": {"$node": node}, "granted": [{"$node": each} for each in granted]}
        return self.graph.add("metric", made.label, "unrevealed", "mialang.operators.universe:unrevealed", 1, made.kind,
                              params)  # fmt: skip

    def _of_model(self, measurement: Measurement, cell: Cell) -> None:
        arguments = self._arguments(measurement, cell)
        for repeat in self.repeats:
            node = self._metric_node(measurement, arguments, cell, repeat, None)
            self.readings.append(
                Reading.model_construct(measurement=measurement.name, cell=dict(cell), repeat=repeat, instance="", arm="",
                                        baseline="", node=node, reason="")
            )  # fmt: skip

    def _arguments(self, measurement: Measurement, cell: Cell) -> dict[str, Value]:
        """What a metric is given in a cell."""
        return {name: self.audit.matrix.at(value, cell) for name, value in measurement.value.arguments.items()}

    def _metric_node(
        self, measurement: Measurement, arguments: Mapping[str, Value], cell: Cell, repeat: int, of: Json
    ) -> str:
        metric = measurement.metric
        params: dict[str, Json] = {}
        for name, at in arguments.items():
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
        return (
            sort in ("leakage", "objective")
            and self.audit.registry.is_a(parameter.type.bare().name, "model")
            and value.is_step
        )

    def _whole_target(self, threat: str, cell: Cell, repeat: int) -> str:
        """The defended model as its owner serves it: everything seen, nothing metered, defenses on answers in place."""
        setting = setting_of(self.audit, self.audit.threats[threat], cell)
        assert setting is not None
        transforms = tuple(each for each in setting.defenses if shield_of(each, self.audit.registry).on_answers)
        handle = BoundHandle(defended(setting.target, setting.defenses), None, frozenset(), transforms, "", ())
        return self.graph.node(handle, repeat, "handle")


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
    if measure is None or not lowering.arms.open_counts:
        return plan
    sizes = measure(plan)
    audit.measured.update(lowering.graph.sizes_by_value(sizes))
    return Lowering(audit, seed).lower()
