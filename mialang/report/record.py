"""A finished run as the report sees it: plan, evidence, verdict, artefacts, cost. It reads and never runs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mialang.engine.codec import read_arrays
from mialang.engine.runs import Run
from mialang.engine.store import Action, Store
from mialang.plan.model import Arm, Node, Plan
from mialang.report.evidence import Evidence
from mialang.report.verdict import Verdict, judge

Json = Any


@dataclass
class Record:
    """A finished run.

    Attributes:
        run: where it is kept.
        plan: what was run.
        outcome: what became of each node.
    """

    run: Run
    plan: Plan
    store: Store
    outcome: Mapping[str, Json]

    @classmethod
    def load(cls, store: Store, name: str) -> Record:
        """Read a run by name.

        Raises:
            StoreError: there is no such run.
        """
        run = Run.find(store, name)
        return cls(run, run.plan(), store, run.outcome())

    @cached_property
    def actions(self) -> dict[str, Action]:
        """What each finished node made."""
        found = {}
        for name, made in self.outcome.get("nodes", {}).items():
            action, _ = self.store.whole(made["key"])
            if action is not None:
                found[name] = action
        return found

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Why nodes have no result."""
        failures = {name: failure["title"] for name, failure in self.outcome.get("failures", {}).items()}
        for name, cause in self.outcome.get("skipped", {}).items():
            failures[name] = f"`{self.plan.nodes[cause].label}` failed: {failures.get(cause, '')}"
        for name in self.outcome.get("unfinished", ()):
            failures[name] = "the time budget was spent before it was run"
        return failures

    @cached_property
    def lacking(self) -> dict[str, str]:
        """Why nodes that were selected could not be run: what they rest on is neither selected nor known."""
        return {
            name: f"it rests on `{self.plan.nodes[missing].label}`, which is neither selected nor known"
            for name, missing in self.outcome.get("lacking", {}).items()
        }

    @cached_property
    def evidence(self) -> Evidence:
        """What was measured."""
        values = {name: action.value for name, action in self.actions.items() if action.kind == "measurement"}
        unfinished = frozenset(self.outcome.get("unfinished", ()))
        return Evidence(self.plan, values, self.reasons, unfinished, self.lacking)

    @cached_property
    def verdict(self) -> Verdict:
        """What it means for the gates."""
        complete = not self.outcome.get("lacking") and not self.outcome.get("unfinished")
        return judge(self.evidence, self.outcome.get("failures", {}), complete=complete)

    @property
    def isolation(self) -> str:
        """What stood between attacks and the private data besides handles, step by step as each noted it."""
        steps = [name for name in self.actions if self.plan.nodes[name].role == "attack"]
        stood = Counter(str(self.actions[name].evidence.get("isolation", "none")) for name in steps)
        if len(stood) <= 1:
            return next(iter(stood), "none")
        return "; ".join(f"{what} for {count} of {len(steps)} attack steps" for what, count in stood.most_common())

    # -- looking closer --------------------------------------------------------------------------------------------

    def arrays(self, node: str) -> tuple[dict[str, Any], Any] | None:
        """Arrays and facts of what a node made; None where it made nothing."""
        action = self.actions.get(node)
        return None if action is None or action.value is not None else read_arrays(self.store, action.output)

    def seconds(self, node: str) -> float:
        """How long a node took when it was computed."""
        action = self.actions.get(node)
        return float(action.evidence.get("seconds", 0.0)) if action else 0.0

    def asked(self, arm: Arm) -> int | None:
        """How many questions an arm put to the target; None where nothing was counted."""
        counts = [self.actions[name].evidence.get("asked") for name in arm.nodes if name in self.actions]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def refused(self, arm: Arm) -> int:
        """How many questions of an arm were refused."""
        return sum(int(self.actions[name].evidence.get("refused", 0)) for name in arm.nodes if name in self.actions)

    def notes(self, node: str) -> dict[str, Json]:
        """The facts that a step noted."""
        action = self.actions.get(node)
        return dict(action.evidence.get("notes", {})) if action else {}

    def exhibits(self, node: str) -> dict[str, Json]:
        """What a step kept for the report to draw; it may show what is private."""
        action = self.actions.get(node)
        return dict(action.evidence.get("exhibits", {})) if action else {}

    def upstream(self, node: str) -> list[Node]:
        """A node and everything that it rests on, nearest first."""
        seen: dict[str, None] = {}
        pending = deque([node])
        while pending:
            name = pending.popleft()
            if name not in seen:
                seen[name] = None
                pending.extend(self.plan.nodes[name].inputs)
        return [self.plan.nodes[name] for name in seen]
