"""Arms: how every attack is run in every cell and repeat, with its blind control and its baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mialang.meaning.accept import kind_of
from mialang.meaning.audit import Attack, Audit, Cell, Instance, Threat
from mialang.meaning.catalogue import baselines
from mialang.meaning.declarations import DefenseDeclaration, Operator
from mialang.meaning.estimate import step_queries
from mialang.meaning.fits import (
    Candidate,
    Setting,
    candidate_of,
    fits,
    secrets_of,
    setting_of,
    shortfalls,
    trained_on_secret,
)
from mialang.meaning.grants import shield_of, training_slot
from mialang.meaning.judgement.priors import DISJOINT
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.recipes import decoy_arguments
from mialang.meaning.registry import Registry
from mialang.meaning.values import (
    Application,
    HeldArtefact,
    PriorItem,
    TargetHandle,
    Value,
    replaced,
    walk,
)
from mialang.plan import words
from mialang.plan.model import (
    Arm,
    AttackPlan,
)
from mialang.plan.nodes import Graph, handles_in
from mialang.plan.values import BoundHandle, Defended, Granted, Leaked
from mialang.threat import Access

OF_WEIGHTS = ("retrained", "zero")  # decoys of what comes from weights: weights, statistics, gradients


class Arms:
    """The arms of all attacks: for real, against a decoy, and the baselines in their place.

    Attributes:
        found: the arms, by what tells them apart.
        open_counts: whether an estimate waits for data to be read.
    """

    def __init__(self, audit: Audit, graph: Graph) -> None:
        self.audit = audit
        self.graph = graph
        self.repeats = range(audit.matrix.repeat)
        self.found: dict[tuple[Any, ...], Arm] = {}
        self.open_counts = False
        self._revealed: dict[int, tuple[Setting, list[Value]]] = {}  # kept with its setting, so that ids stay its own
        self._by_cell: dict[str, dict[tuple[str, ...], dict[Any, list[tuple[Any, ...]]]]] = {}  # attack → axes → cell

    def run(self, attack: Attack, threat: Threat, instance: Instance, cell: Cell) -> None:
        """Add the arms of one recipe in one cell; where it does not apply, arms that say why."""
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
            for baseline in self._baselines(setting, candidate):
                self._run_arm(attack, instance, "baseline", baseline.recipe.name, baseline, setting, cell)

    def _baselines(self, setting: Setting, attack: Candidate) -> list[Candidate]:
        """The baselines that fit a threat behind its defense and hand over the sort of thing that the attack does."""
        registry = self.audit.registry
        found = []
        for recipe in baselines(registry).values():
            candidate = candidate_of(recipe, registry)
            if candidate is None or not fits(candidate, setting, registry):
                continue
            if self._sorts(candidate) & self._sorts(attack):
                found.append(candidate)
        return found

    def _sorts(self, candidate: Candidate) -> set[str]:
        """The broadest kinds of what a recipe hands over: what no kind is above."""
        registry = self.audit.registry
        return {registry.ancestors(kind_of(each, registry))[-1] for each in candidate.elaborated.results.values()}

    def _blind(self, attack: Attack, instance: Instance, candidate: Candidate, setting: Setting, cell: Cell) -> None:
        """The same plan against a decoy; the strongest observable that the attack uses decides which."""
        sights = self.audit.registry.sights.by_name
        seen = [reason.observable for reason in candidate.needs.reasons]
        held = list(candidate.needs.access.holds)
        decoys = {name: sights[name].decoy for name in (*seen, *held)}
        missing = [name for name, decoy in decoys.items() if decoy == "none"]
        if missing:
            self._no_arm(attack, instance, "blind", cell, f"there is no decoy for {missing[0].replace('_', ' ')}")
            return
        target: Value = defended(setting.target, setting.defenses)
        if held and not trained_on_secret(setting.target) and any(decoys[name] in OF_WEIGHTS for name in seen):
            # Weights that were never fitted to the secret give nothing of it away; what leaked does, and is permuted.
            self._run_arm(attack, instance, "blind", "", candidate, setting, cell, target=target, decoy="held")
            return
        if "retrained" in decoys.values():
            decoy_target = self._decoy_target(setting)
            if decoy_target is None:
                reason = "the prior grants nothing that a decoy model could be trained on"
                self._no_arm(attack, instance, "blind", cell, reason)
                return
            target = decoy_target
        permuted = "permuted" if "retrained" not in decoys.values() else ""
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
            candidate,
            setting,
            cell,
            target if target is not None else defended(setting.target, setting.defenses),
            decoy,
        )
        metered = not decoy and math.isfinite(setting.access.queries)
        questions = self._questions(setting, bound, metered=metered)
        labels = self._labels(instance, cell)
        for repeat in self.repeats:
            ids = {name: self.graph.node(value, repeat, "attack") for name, value in bound.items()}
            asking = self._asking(questions, repeat, setting.access.queries)
            for label, name in labels.items():
                node = ids[name] if name in ids else next(iter(ids.values()))
                self._arm(attack, label, arm, baseline, cell, repeat, node, "", asking)

    def _labels(self, instance: Instance, cell: Cell) -> dict[str, str]:
        """What the results of an attack are called: by its name, or by its name and theirs where there are several."""
        candidate = candidate_of(self.audit.matrix.at(instance.recipe, cell), self.audit.registry)
        assert candidate is not None
        names = list(candidate.elaborated.results)
        return {f"{instance.name}.{name}": name for name in names} if len(names) > 1 else {instance.name: names[0]}

    def _questions(
        self, setting: Setting, bound: Mapping[str, Value], *, metered: bool
    ) -> list[tuple[Application, int | None]]:
        """The steps that ask the target, each with the cap on its questions; None where nobody counts them."""
        found: list[tuple[Application, int | None]] = []
        for value in bound.values():
            for part in walk(value):
                if not isinstance(part, Application) or not part.is_step or not handles_in(part):
                    continue
                cap = None
                if metered:
                    free = replaced(part, _unbind)
                    assert isinstance(free, Application)
                    estimate = step_queries(free, setting.counts)
                    cap = math.ceil(setting.access.queries if estimate is None else estimate)
                    self.open_counts = self.open_counts or estimate is None
                found.append((part, cap))
        return found

    def _asking(self, questions: list[tuple[Application, int | None]], repeat: int, granted: float) -> tuple[str, ...]:
        """Give the nodes that ask the target their caps; return them.

        What the threat grants beyond that is for requests that come to nothing, the same for each: together they never
        exceed the threat.
        """
        found = {self.graph.node(part, repeat, "attack"): cap for part, cap in questions}
        caps = {name: cap for name, cap in found.items() if cap is not None}
        for name, cap in caps.items():
            node = self.graph.nodes[name]
            spare = max(0, math.floor(granted) - sum(caps.values())) // len(caps)
            most = cap + spare if node.granted is None else min(node.granted, cap + spare)
            self.graph.nodes[name] = node.model_copy(update={"queries": cap, "granted": most})
        return tuple(found)

    def _arm(  # noqa: PLR0913 - the parts of an arm
        self, attack: Attack, instance: str, arm: Any, baseline: str, cell: Cell, repeat: int, node: str | None,
        reason: str, nodes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        key = (attack.name, instance, arm, baseline, tuple(sorted(cell.items())), repeat)
        self._by_cell.setdefault(attack.name, {}).setdefault(tuple(sorted(cell)), {}).setdefault(key[4], []).append(key)
        self.found[key] = Arm.model_construct(
            attack=attack.name, instance=instance, arm=arm, baseline=baseline, cell=dict(cell), repeat=repeat,
            node=node, reason=reason, nodes=nodes,
        )  # fmt: skip

    def _bound(self, candidate: Candidate, setting: Setting, cell: Cell, target: Value, decoy: str) -> dict[str, Value]:
        """The results of a recipe with the handle, the granted items and the leaked artefacts put in."""
        registry = self.audit.registry
        checks = self._obligations(setting, cell)
        # The handle gives what was inferred, not all that was granted: the least that the attack needs.
        needed = candidate.needs.access
        transforms = active_transforms(setting, needed, registry)
        sees = {**needed.sees, **_as_granted(candidate, setting)}
        handle = BoundHandle(target, sees, needed.knows, transforms, decoy, checks)

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
        shields = [(defense, shield_of(defense, self.audit.registry)) for defense in setting.defenses]
        # What leaked was taken behind its defense: not even whoever holds the weights steps around that.
        transforms = tuple(defense for defense, shield in shields if shield.guards(held.name, declaration.records))
        whole = BoundHandle(
            defended(setting.target, setting.defenses), None, handle.knows, transforms, "", handle.checks
        )
        size = setting.access.holds.get(held.name)
        records = secrets_of(setting.target)[0]
        return Leaked(declaration, size if size and math.isfinite(size) else None, whole, records, blind)

    def revealed(self, threat: Threat, cell: Cell, repeat: int) -> list[str]:
        """The nodes of what a threat grants that reveals part of the secret; it leaves every metric's universe."""
        setting = setting_of(self.audit, threat, cell)
        if setting is None:
            return []
        if id(setting) not in self._revealed:
            self._revealed[id(setting)] = (setting, self._revealing(setting, cell))
        return [self.graph.node(value, repeat, "held") for value in self._revealed[id(setting)][1]]

    def _revealing(self, setting: Setting, cell: Cell) -> list[Value]:
        """What a threat grants that reveals part of the secret."""
        registry = self.audit.registry
        checks = self._obligations(setting, cell)
        found: list[Value] = []
        for name in setting.access.holds:
            declared = registry.observables[name]
            if declared.reveals:
                target = defended(setting.target, setting.defenses)
                handle = BoundHandle(target, None, frozenset(), (), "", checks)
                found.append(self._held(HeldArtefact(name, declared.artefact), setting, handle, blind=False))
        for name, value in setting.counts.granted.items():
            if registry.item(name).overlaps:
                found.append(Granted(name, self.audit.matrix.at(value, cell), checks))
        return found

    def _obligations(self, setting: Setting, cell: Cell) -> tuple[Application, ...]:
        """What must hold before any attack: asserted facts, and that no prior item shares a record with the secret."""
        audit, registry = self.audit, self.audit.registry
        checks: list[Application] = []
        disjoint = registry.loader.prelude.look(DISJOINT)[1]
        assert isinstance(disjoint, Operator)
        for prior in audit.priors(setting.threat, cell):
            checks.extend(prior.asserts)
            for name, value in prior.items.items():
                kind = kind_of(value, registry)
                if registry.item(name).overlaps or not registry.is_a(kind, "records"):
                    continue
                checks.extend(
                    Application(
                        disjoint,
                        {"first": value, "second": secret, "by": "record", "near": None},
                        prior.spans.get(name),
                    )
                    for secret in secrets_of(setting.target)
                    if kind_of(secret, registry) == kind
                )
        return tuple({check.digest: check for check in checks}.values())

    def attack_plans(self) -> tuple[AttackPlan, ...]:
        """The recipes of all attacks, for the report."""
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

    def of(self, attack: str, cell: Cell) -> list[Arm]:
        """The arms of an attack in a cell; an arm that varies along fewer axes belongs to every cell that agrees."""
        found: dict[tuple[Any, ...], Arm] = {}
        for axes, by_cell in self._by_cell.get(attack, {}).items():
            place = tuple((axis, cell[axis]) for axis in axes if axis in cell)
            found.update({key: self.found[key] for key in by_cell.get(place, ())})
        return list(found.values())


def _as_granted(candidate: Candidate, setting: Setting) -> dict[str, float]:
    """The sizes of what an attack takes in whatever size there is: those that are left behind the defense."""
    granted = setting.access.sees
    return {
        reason.observable: granted[reason.observable]
        for reason in candidate.needs.reasons
        if math.isinf(reason.size)
        and candidate.needs.access.sees[reason.observable] < granted.get(reason.observable, 0)
    }


def active_transforms(setting: Setting, needed: Access, registry: Registry) -> tuple[Application, ...]:
    """The defenses that change an answer which an attack asks for: none for who holds the weights."""
    order = registry.sights.order
    found = []
    for defense in setting.defenses:
        shield = shield_of(defense, registry)
        changed = {weaker for name in shield.on or shield.transforms for weaker in order.below(name)}
        if shield.on_answers and not shield.bypassed_by(setting.granted) and changed & needed.sees.keys():
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
