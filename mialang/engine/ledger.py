"""The ledger: what questions to services have cost, written down before anything is asked, and kept whatever dies.

    ledger/spent.json         per node, by its key: questions and usd
    ledger/scopes/….json      the nodes of an audit, whose usd add up to one budget
    ledger/turn-….json        when a service may be asked next

One process at a time changes it, under a lock that the kernel takes back when its holder dies. So a run that goes on, or two runs
that share a store, never spend more than the budget.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mialang.engine.files import make_folder, only_one
from mialang.engine.handles import RefusedError
from mialang.engine.store import Store, value_digest
from mialang.plan.model import canonical, structure_of

Json = Any
BLINK = 0.005  # seconds between two looks at a lock


@dataclass(frozen=True)
class Purse:
    """A budget of money, and whose costs are held against it.

    Attributes:
        scope: digest of the nodes.
        usd: the budget.
    """

    scope: str
    usd: float


def open_purse(store: Store, nodes: Iterable[str], usd: float) -> Purse:
    """Write down which nodes share a budget.

    Raises:
        UnwritableError: the store cannot be written.
    """
    names = sorted({structure_of(name) for name in nodes})
    scope = value_digest(names)
    path = _folder(store) / "scopes" / f"{scope}.json"
    if not path.exists():
        store.write(path, canonical(names))
    return Purse(scope, usd)


def _folder(store: Store) -> Path:
    return store.root / "ledger"


class Ledger:
    """What one node has spent, and may spend.

    Args:
        store: where it is kept.
        key: what the node is.
        node: its name in the plan.
        purse: the budget of money that it draws on; None = no limit.
        granted: how many questions the threat grants it in all; None = no limit.
        need: how many of these one execution asks at most.

    Attributes:
        asked: questions so far, in this process and in earlier ones.
        usd: what they cost.

    Raises:
        RefusedError: what was spent cannot be read.
    """

    def __init__(  # noqa: PLR0913 - a node, and what limits it
        self,
        store: Store,
        key: str,
        node: str,
        purse: Purse | None = None,
        granted: int | None = None,
        need: int | None = None,
    ) -> None:
        self._granted = granted
        self._need = need
        self._store = store
        self._key = key
        self._node = structure_of(node)
        self._purse = purse
        self._shared = (
            None if purse is None else frozenset(self._read(_folder(store) / "scopes" / f"{purse.scope}.json", []))
        )
        own = self._spent().get(key, {})
        self.asked = int(own.get("asked", 0))
        self.usd = float(own.get("usd", 0.0))

    def spend(self, questions: int, usd: float) -> None:
        """Write down that questions are about to be asked and paid, both or neither.

        Args:
            questions: how many.
            usd: what they cost at most, in US dollars.

        Raises:
            RefusedError: it would go beyond what the threat grants, or beyond the budget of money.
            UnwritableError: it cannot be written down, and so nothing may be asked.
        """
        with self._alone():
            own = self._spent().get(self._key, {"asked": 0})
            if self._granted is not None and own["asked"] + questions > self._granted:
                lacking = own["asked"] + max(questions, self._need or 0) - self._granted
                raise RefusedError(
                    f"the threat's `queries` grant this step {self._granted:,} questions, and {own['asked']:,} were asked",
                    note=f"another request has {questions:,}; what a service may have received counts, answered or not",
                    help=f"raise the threat's `queries` by at least {lacking:,}: the step then asks anew",
                )
            if self._purse is not None and usd > 0:
                before = self._total()
                if before + usd > self._purse.usd + 1e-9:
                    raise RefusedError(
                        f"the budget of {self._purse.usd:,.2f} usd is spent",
                        note=f"{before:,.4f} usd were paid by this audit so far, earlier runs included; this request costs up to {usd:,.4f}",
                        help="raise `budget { cost = … }`, or lower steps, starts, records or repeats",
                    )
            self._add(questions, usd)

    def give_back(self, questions: int, usd: float) -> None:
        """Take back what was paid too much, and questions that never left."""
        with self._alone():
            self._add(-questions, -usd)

    def turn(self, service: str, every: float) -> None:
        """Wait until a service may be asked again, whoever asks it."""
        path = _folder(self._store) / f"turn-{value_digest(service)[:16]}.json"
        with self._alone():
            now = time.time()
            following = max(now, min(float(self._read(path, 0.0)), now + 3600))
            self._store.write(path, canonical(following + every))
        time.sleep(max(0.0, following - now))

    def _add(self, questions: int, usd: float) -> None:
        spent = self._spent()
        own = spent.setdefault(self._key, {"node": self._node, "asked": 0, "usd": 0.0})
        own["asked"] = max(0, own["asked"] + questions)
        own["usd"] = max(0.0, own["usd"] + usd)
        self._store.write(_folder(self._store) / "spent.json", canonical(spent))
        self.asked, self.usd = own["asked"], own["usd"]

    def _total(self) -> float:
        of_audit = (each for each in self._spent().values() if self._shared is None or each["node"] in self._shared)
        return math.fsum(each["usd"] for each in of_audit)

    def _spent(self) -> dict[str, Json]:
        found: dict[str, Json] = self._read(_folder(self._store) / "spent.json", {})
        return found

    def _read(self, path: Path, otherwise: Json) -> Json:
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return otherwise
        except (OSError, ValueError) as problem:
            raise RefusedError(
                f"the ledger `{path}` cannot be read, and what was spent is not guessed",
                note=str(problem),
                help="bring it back from a copy, or use a fresh store, which counts anew: `--store DIR`",
            ) from problem

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folder(_folder(self._store))
        with only_one(_folder(self._store) / "spent.lock", lambda: time.sleep(BLINK)):
            yield
