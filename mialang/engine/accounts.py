"""Accounts: who pays for the questions of a node to a service, and what is written down of them.

    transcripts/<node>-<key>.jsonl   one line a request: when, how many inputs, how long, what it cost, and hashes of what was sent and came

What was sent and came stands in a transcript only where that is asked for: it may be private.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Literal

from mialang.engine.files import make_folder
from mialang.engine.ledger import Ledger
from mialang.engine.store import Store, UnwritableError

Json = Any
Keeps = Literal["none", "hashes", "contents"]


class Account:
    """Pays for the questions of one node, and writes them down.

    Args:
        store: where the transcript lies.
        key: what the node is.
        node: its name in the plan.
        ledger: what it has spent.
        keeps: what the transcript holds of what was sent and came.
    """

    def __init__(self, store: Store, key: str, node: str, ledger: Ledger, keeps: Keeps) -> None:
        self.ledger = ledger
        self.requests = 0
        self._keeps = keeps
        self._path = store.root / "transcripts" / f"{node}-{key[:10]}.jsonl"
        self._paid = 0.0

    def turn(self, service: str, every: float) -> None:
        """Wait until the service may be asked again."""
        self.ledger.turn(service, every)

    def charge(self, questions: int, usd: float) -> None:
        """Pay for a request, in questions and US dollars, before it is sent.

        Raises:
            RefusedError: the threat or the budget does not allow it; nothing is charged.
        """
        self.ledger.spend(questions, usd)
        self._paid = usd
        self.requests += 1

    def withdraw(self, questions: int) -> None:
        """Take back the last request, which never left, with what was paid for it."""
        self.ledger.give_back(questions, self._paid)
        self._paid = 0.0
        self.requests -= 1

    def settle(self, usd: float) -> None:
        """Take back what was paid too much."""
        if usd > 0:
            self.ledger.give_back(0, usd)

    def record(self, entry: Mapping[str, Json], sent: bytes, received: bytes) -> None:
        """Write down a request.

        Raises:
            UnwritableError: it cannot be written down.
        """
        if self._keeps == "none":
            return
        line = {
            "time": round(time.time(), 3),
            **entry,
            "usd": self._paid,
            "sent": _hash(sent),
            "received": _hash(received),
        }
        if self._keeps == "contents":
            line["contents"] = {"sent": sent.decode(errors="replace"), "received": received.decode(errors="replace")}
        try:
            make_folder(self._path.parent)
            handle = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            try:
                os.write(handle, json.dumps(line).encode() + b"\n")
            finally:
                os.close(handle)
        except OSError as problem:
            raise UnwritableError(f"the transcript `{self._path}` cannot be written: {problem.strerror}") from problem


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
