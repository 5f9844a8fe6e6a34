"""The schedule: every node once its inputs exist; what is known is not done again; a failure skips only its cone."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from mialang.engine.events import Listener
from mialang.engine.executors import Executor
from mialang.engine.isolation.choice import strangers
from mialang.engine.ledger import open_purse
from mialang.engine.stopping import StoppedError
from mialang.engine.store import Action, Look, Store
from mialang.engine.work import Failure, Job, NodeFailedError, Settings, node_key
from mialang.plan.model import Node, Plan, digest
from mialang.plan.selection import needed_by_selection


@dataclass
class Outcome:
    """What became of a plan.

    Attributes:
        actions: what each finished node made.
        outputs: digest by node, those of grants and handles included.
        cached: nodes that were known already.
        failures: why nodes failed.
        skipped: nodes that were not run because of a failure, with the node at fault.
        unfinished: nodes that were not run because the time budget was spent.
        lacking: nodes that were not run because something that they rest on is neither selected nor known, with that.
    """

    actions: dict[str, Action] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    lacking: dict[str, str] = field(default_factory=dict)


# What an answer waits for, and the answers themselves, come before more attacks: a run that ends early has then measured what it made,
# and no judge is left to be trained alone at the end.
FIRST = frozenset({"data", "check", "judge", "metric"})


class Schedule:
    """Runs one plan: of what is ready, data, checks, judges and measurements first, and else in the order of the plan.

    Args:
        plan: what to run.
        store: where results go; the schedule only reads it, workers write.
        executor: where jobs run.
        listener: who is told.
        settings: how work is done.
    """

    def __init__(self, plan: Plan, store: Store, executor: Executor, listener: Listener, settings: Settings) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.tell = listener
        self.settings = settings
        if plan.budget.usd is not None:
            self.settings = replace(settings, purse=open_purse(store, plan.nodes, plan.budget.usd))
        self.outcome = Outcome()
        self._nodes = needed_by_selection(plan)
        self._selected = frozenset(self._nodes if plan.selected is None else plan.selected)
        self._deadline = None if plan.budget.seconds is None else time.monotonic() + plan.budget.seconds
        self._place = {node.id: (node.role not in FIRST, place) for place, node in enumerate(self._nodes.values())}
        self._waits: dict[str, int] = {}
        self._consumers: dict[str, list[str]] = {name: [] for name in self._nodes}
        for node in self._nodes.values():
            sources = dict.fromkeys((*node.inputs, *node.after))
            self._waits[node.id] = len(sources)
            for source in sources:
                self._consumers[source].append(node.id)
        self._strangers = strangers(self._nodes, settings.trusted)
        self._ready = [(place, name) for name, place in self._place.items() if not self._waits[name]]
        heapq.heapify(self._ready)
        self._live: dict[Future[Action], str] = {}
        self._stopped = False
        self._asked = 0

    def run(self) -> Outcome:
        """Run to the end; every root cause of failure is collected.

        Raises:
            StoppedError: somebody asked to stop; what is finished is kept, and long steps are where they can go on.
            UnwritableError: the store cannot be written.
        """
        try:
            while self._live or (self._ready and not self.executor.stop.requested):
                while self._ready and len(self._live) < self.executor.slots and not self.executor.stop.requested:
                    _, name = heapq.heappop(self._ready)
                    self._begin(name)
                if self._live:
                    for future in self.executor.wait(self._live):
                        self._end(self._live.pop(future), future)
        finally:
            self.executor.close()
        if self._ready or self._stopped:
            raise StoppedError
        return self.outcome

    def _begin(self, name: str) -> None:
        if name in self.outcome.skipped or name in self.outcome.unfinished or name in self.outcome.lacking:
            return
        node = self.plan.nodes[name]
        if node.passes_on:
            self._finish(name, self._passed_on(node))
            return
        key = node_key(node, self.outcome.outputs)
        action, damage = self.store.find(key, self.settings.look)
        if action is not None:
            self.outcome.cached.add(name)
            self.outcome.actions[name] = action
            self.tell("cached", node=name, label=node.label, seconds=action.evidence.get("seconds"))
            self._finish(name, action.output)
            return
        if name not in self._selected:
            self._lack(name)
            return
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._leave(name)
            return
        if damage:
            self.tell("recomputed", node=name, label=node.label, reason=damage)
        self.tell("started", node=name, label=node.label, role=node.role, repeat=node.repeat)
        job = Job(
            node, key, self._inputs(node), self._handles(node), self.plan.observables, self.store.root, self.settings,
            tuple(sorted(self._strangers[name])),
        )  # fmt: skip

        def tell(event: str, /, **facts: object) -> None:
            self.tell(event, node=name, label=node.label, **facts)

        self._live[self.executor.submit(job, tell)] = name

    def _passed_on(self, node: Node) -> str:
        """The digest of a grant is that of what it grants; a handle is what it lets be asked of which model."""
        if node.operator == "grant":
            return self.outcome.outputs[node.inputs[0]]
        return node_key(node, self.outcome.outputs)

    def _inputs(self, node: Node) -> dict[str, tuple[str, str]]:
        found = {}
        for name in node.inputs:
            source = self.plan.nodes[name]
            behind = source.inputs if source.role == "handle" else (name,)
            found.update({each: (self.outcome.outputs[each], self._maker(each)) for each in behind})
        return found

    def _maker(self, name: str) -> str:
        """The function that made an artefact; a grant passes on what another node made."""
        node = self.plan.nodes[name]
        return self._maker(node.inputs[0]) if node.passes_on else node.python

    def _handles(self, node: Node) -> dict[str, dict[str, object]]:
        return {name: self.plan.nodes[name].params for name in node.inputs if self.plan.nodes[name].role == "handle"}

    def _end(self, name: str, future: Future[Action]) -> None:
        node = self.plan.nodes[name]
        try:
            action = future.result()
        except NodeFailedError as problem:
            self._fail(name, problem.failure)
            return
        except StoppedError:
            self._stopped = True
            self.tell("stopped", node=name, label=node.label)
            return
        self.outcome.actions[name] = action
        evidence = action.evidence
        self.tell("finished", node=name, label=node.label, output=action.output, seconds=evidence.get("seconds"),
                  asked=evidence.get("asked"))  # fmt: skip
        if evidence.get("asked"):
            self._asked += evidence["asked"]
            self.tell("cost", node=name, label=node.label, asked=evidence["asked"], by=evidence["by_observable"],
                      run=self._asked)  # fmt: skip
        self._finish(name, action.output)

    def _fail(self, name: str, failure: Failure) -> None:
        node = self.plan.nodes[name]
        self.outcome.failures[name] = failure
        self.tell("failed", node=name, label=node.label, title=failure.title, note=failure.note, help=failure.help,
                  detail=failure.detail)  # fmt: skip
        pending = list(self._consumers[name])
        while pending:
            current = pending.pop()
            if current in self.outcome.skipped:
                continue
            self.outcome.skipped[current] = name
            self.tell("skipped", node=current, label=self.plan.nodes[current].label, because=name)
            pending.extend(self._consumers[current])

    def _leave(self, name: str) -> None:
        """Leave a node and what rests on it undone: the time budget is spent."""
        pending = [name]
        while pending:
            current = pending.pop()
            if current not in self.outcome.unfinished and current not in self.outcome.skipped:
                self.outcome.unfinished.add(current)
                self.tell("unfinished", node=current, label=self.plan.nodes[current].label)
                pending.extend(self._consumers[current])

    def _lack(self, missing: str) -> None:
        """Leave what rests on a node undone: the node is not known, and nobody selected it."""
        pending = [missing]
        while pending:
            current = pending.pop()
            if current not in self.outcome.lacking and current not in self.outcome.skipped:
                self.outcome.lacking[current] = missing
                self.tell("lacking", node=current, label=self.plan.nodes[current].label, lacks=missing)
                pending.extend(self._consumers[current])

    def _finish(self, name: str, output: str) -> None:
        self.outcome.outputs[name] = output
        for consumer in self._consumers[name]:
            self._waits[consumer] -= 1
            if (
                not self._waits[consumer]
                and consumer not in self.outcome.skipped
                and consumer not in self.outcome.lacking
            ):
                heapq.heappush(self._ready, (self._place[consumer], consumer))


def known_nodes(plan: Plan, store: Store, look: Look) -> tuple[frozenset[str], dict[str, float]]:
    """What is in the store already: the nodes of a plan, and the mean seconds that operators took.

    Args:
        plan: the plan.
        store: the store.
        look: finds the files that data are read from.
    """
    cached: set[str] = set()
    seconds: dict[str, list[float]] = {}
    for node, _, action in keys_of(plan, lambda key: store.find(key, look)[0]):
        if action is not None:
            cached.add(node.id)
            seconds.setdefault(node.operator, []).append(float(action.evidence.get("seconds", 0)))
    return frozenset(cached), {name: sum(each) / len(each) for name, each in seconds.items()}


def keys_of(plan: Plan, find: Callable[[str], Action | None]) -> Iterator[tuple[Node, str, Action | None]]:
    """The nodes of a plan whose inputs are all known, with their keys and what they made.

    Args:
        plan: the plan.
        find: looks for what the node of a key made.
    """
    outputs: dict[str, str] = {}
    for node in plan.nodes.values():
        if any(each not in outputs for each in node.inputs):
            continue
        if node.passes_on:
            outputs[node.id] = outputs[node.inputs[0]] if node.operator == "grant" else node_key(node, outputs)
            continue
        key = node_key(node, outputs)
        action = find(key)
        if action is not None:
            outputs[node.id] = action.output
        yield node, key, action


def measure_data(plan: Plan, store: Store, executor: Executor, settings: Settings) -> dict[str, int]:
    """Read the data of a plan and what is granted of them; return how many records each node holds.

    Raises:
        NodeFailedError: some data cannot be read.
    """
    wanted = {name: node for name, node in plan.nodes.items() if node.role == "data"}
    kept = {name: node for name, node in wanted.items() if set(node.inputs) <= wanted.keys()}
    part = plan.model_copy(update={"nodes": kept})
    outcome = Schedule(part, store, executor, lambda *_, **__: None, settings).run()
    for failure in outcome.failures.values():
        raise NodeFailedError(failure)
    sizes = {name: action.evidence.get("size") for name, action in outcome.actions.items()}
    return {name: size for name, size in sizes.items() if isinstance(size, int)}


__all__ = ["Outcome", "Schedule", "digest", "known_nodes", "measure_data"]
