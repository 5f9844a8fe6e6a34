"""A small made-up audit with a plan, a store and arrays, from which pages are written without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mialang.engine.codec import pack
from mialang.engine.runs import Run
from mialang.engine.store import Action, Store, value_digest
from mialang.plan.model import (
    Arm,
    AttackPlan,
    BudgetPlan,
    GatePlan,
    MeasurementPlan,
    Node,
    Plan,
    Reading,
    RulePlan,
    ThreatPlan,
)
from mialang.report.record import Record

SIDE = 12
CLASSES = (0, 1, 2)
SPEC = '''mia 1

"""
Who sees what?
"""
data secret : image.Digits { classes = 0..2 }   # private
gate "stays private" {
  require leak.gain.top1 <= 20 % at 95 % confidence because "it must"
}
'''


class Audit:
    """Builds a record step by step; what is not put in is missing, as it would be after a run."""

    def __init__(self, folder: Path, defenses: tuple[str, ...] = ("none()", "noise(σ = 1)"), repeats: int = 2) -> None:
        self.store = Store(folder / "store")
        self.store.prepare()
        self.folder = folder
        self.defenses = defenses
        self.repeats = repeats
        self.nodes: dict[str, Node] = {}
        self.outcome: dict[str, Any] = {"nodes": {}, "failures": {}, "skipped": {}, "seconds": 1.5}
        self.arms: list[Arm] = []
        self.readings: list[Reading] = []
        self.measurements: list[MeasurementPlan] = []
        self.gates: list[GatePlan] = []
        self.findings: tuple[Any, ...] = ()
        self.secret_kind = "images"
        self.changes: dict[str, Any] = {}
        generator = np.random.default_rng(3)
        self.secret = generator.integers(0, 256, (12, 1, SIDE, SIDE), dtype=np.uint8)
        self.labels = np.repeat(np.array(CLASSES, dtype=np.int64), 4)
        self.names = {str(label): f"Person {label}" for label in CLASSES}
        self._ground()

    def _ground(self) -> None:
        self.step("secret", "data", "Digits", "images", notes={"records": 12})
        self.keep(
            "secret", "images", {"raw": self.secret, "labels": self.labels}, {"maximum": 255.0, "names": self.names}
        )
        self.step("public", "data", "Digits", "images", notes={"records": 40})
        self.step("images", "grant", "grant", "images", ("public",), params={"item": "images"}, python="")
        self.step(
            "disjoint",
            "check",
            "disjoint",
            "evidence",
            ("public", "secret"),
            params={"by": "record"},
            notes={"shared_records": 0},
        )
        self.step(
            "victim",
            "target",
            "Classifier",
            "classifier",
            ("secret",),
            params={"epochs": 3},
            notes={"train_accuracy": 0.9},
        )
        self.step(
            "expert",
            "judge",
            "Classifier",
            "classifier",
            ("secret",),
            params={"epochs": 9},
            notes={"test_accuracy": 0.99},
        )
        self.step("handle", "handle", "handle", "model", ("victim",), python="")
        self.step("decoy", "handle", "handle", "model", ("victim",), python="")

    # -- parts -----------------------------------------------------------------------------------------------------

    def step(
        self, name: str, role: Any, operator: str, kind: str, inputs: tuple[str, ...] = (), *,
        params: dict[str, Any] | None = None, notes: dict[str, Any] | None = None, python: str = "mialang.operators.x:y", repeat: int | None = None, **evidence: Any,
    ) -> str:  # fmt: skip
        self.nodes[name] = Node(
            id=name, label=name.partition("-")[0], role=role, operator=operator, python=python, version=1, kind=kind,
            params=params or {}, inputs=inputs, repeat=repeat,
        )  # fmt: skip
        if python:
            self._record(
                name,
                Action(
                    name * 2,
                    "0" * 64,
                    "measurement",
                    {},
                    {"notes": notes or {}, "seconds": 2.0, "threads": 1, **evidence},
                ),
            )
        return name

    def keep(self, name: str, kind: str, arrays: dict[str, Any], facts: Any) -> None:
        """Give a node an artefact."""
        output = self.store.put(pack(kind, arrays, facts))
        evidence = self.store.find(name * 2)[0].evidence  # type: ignore[union-attr]
        self._record(name, Action(name * 2, output, kind, None, evidence))

    def _record(self, name: str, action: Action) -> None:
        if action.value is not None:
            action = Action(action.key, value_digest(action.value), action.kind, action.value, action.evidence)
        self.store.record(action)
        self.outcome["nodes"][name] = {"key": action.key, "output": action.output, "kind": action.kind, "cached": False}

    def attack(
        self, instance: str, cell: int, values: list[list[float]], arm: Any = "attack", baseline: str = "", *,
        outputs: np.ndarray[Any, Any] | None = None, attempted: tuple[int, ...] = CLASSES, reason: str = "", asked: int = 7,
    ) -> None:  # fmt: skip
        """An arm of an attack in a cell: its outputs, and the measurement `leak` of them."""
        for repeat in range(self.repeats):
            name = f"{baseline or instance}-{arm}-{cell}-{repeat}"
            made = None
            if not reason:
                made = self.step(f"best-{name}", "attack", "best", "candidates", ("handle", "images"),
                                 params={"keep": 1, "per": "class"}, notes={"formula": "confidence(target)"}, repeat=repeat, asked=asked, refused=cell, by_observable={"label": asked})  # fmt: skip
                pictures = outputs if outputs is not None else self.secret[[0, 4, 8]].astype(np.float32) / 255
                labels = np.array(CLASSES[: len(pictures)], dtype=np.int64)
                self.keep(made, "candidates", {"values": pictures.astype(np.float32), "labels": labels, "group": labels},
                          {"attempted": list(attempted)})  # fmt: skip
            self.arms.append(Arm(attack="inside", instance=instance, arm=arm, baseline=baseline, cell={"defense": cell}, repeat=repeat,
                                 node=made, reason=reason, nodes=(made,) if made else ()))  # fmt: skip
            self.read("leak", {"defense": cell}, repeat, values[repeat] if not reason else None, made,
                      instance=instance, arm=arm, baseline=baseline, reason=reason)  # fmt: skip

    def read(
        self, name: str, cell: dict[str, int], repeat: int, values: list[float] | None, source: str | None = None, *,
        instance: str = "", arm: str = "", baseline: str = "", reason: str = "",
    ) -> str | None:  # fmt: skip
        node = None
        field = next((each.fields[0] for each in self.measurements if each.name == name and each.fields), "")
        if not reason:
            node = f"{name}-{instance}-{arm}-{baseline}-{'.'.join(map(str, cell.values()))}-{repeat}"
            self.step(node, "metric", name, "measurement", (source,) if source else ("handle",), repeat=repeat)
            if values is None:
                self.fail(node, "the metric broke", "a note", "a help")
            else:
                value = {
                    "fields": {field: {"values": values, "items": [f"class {place}" for place in range(len(values))]}}
                }
                notes = {"units_attempted": 3, "units_without_output": ["class 2"] if arm == "attack" else []}
                self._record(node, Action(node * 2, "", "measurement", value, {"notes": notes, "seconds": 0.5}))
        self.readings.append(Reading(measurement=name, cell=cell, repeat=repeat, instance=instance, arm=arm, baseline=baseline,
                                     node=node, reason=reason))  # fmt: skip
        return node

    def fail(self, name: str, title: str, note: str = "", help_: str = "") -> None:
        """Let a node have failed."""
        self.outcome["nodes"].pop(name, None)
        self.outcome["failures"][name] = {"title": title, "note": note, "help": help_, "detail": ""}

    def gate(self, title: str, *rules: RulePlan) -> None:
        """Add a gate."""
        self.gates.append(GatePlan(title=title, rules=rules))

    def record(self) -> Record:
        """What a page is written from."""
        plan = Plan(
            spec=SPEC, spec_name="/somewhere/private/audit.mia", doc="Who sees what?", seed=7, repeats=self.repeats,
            matrix={"defense": self.defenses}, cells=len(self.defenses), nodes=self.nodes, observables={}, threats=(THREAT,), attacks=(GMI,), arms=tuple(self.arms),
            measurements=tuple(self.measurements), readings=tuple(self.readings), gates=tuple(self.gates),
            budget=BudgetPlan(seconds=60), secrets={"insider": "secret"}, findings=self.findings,
        )  # fmt: skip
        nodes = {
            name: node.model_copy(update={"kind": self.secret_kind}) if name == "secret" else node
            for name, node in plan.nodes.items()
        }
        plan = plan.model_copy(update={"nodes": nodes, **self.changes})
        return Record(Run("20260102-030405-abcdef", self.folder), plan, self.store, self.outcome)


THREAT = ThreatPlan(
    name="insider", prose=("`insider` attacks `victim`.", "It sees: label."), access="label; 5,000 queries", queries=5_000, prior="public",
    extent="prototype per class", modality="image", strict=True, fixed_model=False,
)  # fmt: skip
GMI = AttackPlan(
    attack="inside", instance="GMI", recipe="GMI", citation="Zhang et al., CVPR 2020, arXiv:1911.07135.", fidelity="as released",
    family="optimization", gives="prototype per class", needs=("label: best asks the target",), formulas=("descend: minimise loss(target)",),
    queries=100,
)  # fmt: skip
LEAK = MeasurementPlan(
    name="leak", metric="attack_accuracy", sort="leakage", higher="worse", unit="share", fields=("top1",), axes=("defense",),
    attack="inside", threat="insider",
)  # fmt: skip
UTILITY = MeasurementPlan(
    name="utility",
    metric="accuracy",
    sort="utility",
    higher="better",
    unit="share",
    fields=(),
    axes=("defense",),
    threat="insider",
)


def limit(
    sign: str, value: float, *, confidence: float | None = None, verb: Any = "require", cells: tuple[int, ...] = (0,), view: str = "gain",
    read: str = "leak", because: str = "",
) -> RulePlan:  # fmt: skip
    """A rule on the leak, or on another measurement."""
    field = "top1" if read == "leak" else ""
    left = {"read": read, "instance": "", "view": view, "field": field, "at": {}}
    text = f"{read}{'.' + view if view else ''} {sign} {value * 100:g} %"
    condition = {"compare": sign, "left": left, "right": {"number": value, "dimension": "share"}}
    place = "/somewhere/private/audit.mia:8:3"
    return RulePlan(verb=verb, text=text, condition=condition, confidence=confidence, because=because,
                    cells=tuple({"defense": cell} for cell in cells), place=place)  # fmt: skip


def audit(folder: Path) -> Audit:
    """An audit in which every status occurs: four gates, one cell in which the attack does not apply, one failed metric."""
    made = Audit(folder, ("none()", "noise(σ = 1)", "hidden(weights)"))
    made.measurements = [LEAK, UTILITY, UTILITY.model_copy(update={"name": "retrieval"})]
    noise = np.random.default_rng(1).random((3, 1, SIDE, SIDE))
    made.attack("GMI", 0, [[1, 1, 0], [1, 1, 1]])
    made.attack("GMI", 0, [[0, 0, 0], [0, 0, 1]], "blind", outputs=noise)
    made.attack("GMI", 0, [[0, 0, 0], [0, 0, 0]], "baseline", "NearestPublic", outputs=noise)
    made.attack("GMI", 1, [[0, 0, 0], [0, 0, 0]], outputs=noise[:2])
    made.attack("GMI", 1, [[0, 0, 0], [0, 0, 0]], "blind", reason="there is no decoy for weights")
    made.attack("GMI", 2, [], reason="does not apply behind hidden(weights): it needs weights")
    for repeat in range(2):
        for cell, share in enumerate((0.97, 0.9, 0.5)):
            made.read("utility", {"defense": cell}, repeat, [share] * 20)
        made.read("retrieval", {"defense": 0}, repeat, None if repeat else [0.5])
    made.gate(
        "holds",
        limit(">=", 0.4, verb="control", because="an attack that fails proves nothing"),
        limit(">=", 0.4, read="utility", view=""),
    )
    made.gate("leaks", limit("<=", 0.1))
    made.gate("unclear", limit("<=", 0.95, confidence=0.95, cells=(0, 1, 2)))
    made.gate("broken", limit(">=", 0.4, read="retrieval", view=""))
    return made
