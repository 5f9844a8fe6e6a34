"""What a compiled script needs beside the operators: runs, handles, digests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import mialang.operators  # noqa: F401 - sets how torch's threads wait, before torch is loaded
from mialang.engine.codec import pack, unpack
from mialang.engine.handles import Handle, Meter, answering
from mialang.engine.store import value_digest
from mialang.engine.work import limit_threads

Json = Any


class Audit:
    """The frame of a script: it hands out runs and handles, and names every result by its digest.

    Attributes:
        digests: what each node made, by node.
        measured: the measurements, by node.
    """

    def __init__(
        self, observables: Mapping[str, Mapping[str, Json]], data: Path | None = None, out: TextIO = sys.stdout
    ) -> None:
        self._observables = observables
        self._data = data
        self._out = out
        self.digests: dict[str, str] = {}
        self.measured: dict[str, Json] = {}
        self._models: dict[int, tuple[Any, str]] = {}  # with their digests; held, so that no number is used twice

    @classmethod
    def from_command_line(cls, observables: Mapping[str, Mapping[str, Json]]) -> Audit:
        """The frame that the command line asks for."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--threads", type=int, help="CPU threads of each step")
        parser.add_argument("--data", type=Path, help="where data files lie")
        given = parser.parse_args()
        limit_threads(given.threads)
        return cls(observables, given.data)

    def run(self, *, seed: int, questions: int | None = None) -> Any:
        """A seeded run for one step, with a meter for its questions."""
        from mialang.operators.run import Run  # noqa: PLC0415

        run = Run(seed=seed, data=self._data)
        self._meter = Meter(questions)
        return run

    def handle(  # noqa: PLR0913 - everything that a plan says of a handle
        self,
        model: Any,
        run: Any,
        *,
        sees: Mapping[str, float | None] | None,
        knows: Sequence[str] = (),
        transforms: Sequence[tuple[Sequence[str], Any]] = (),
        decoy: str = "",
    ) -> Handle:
        """A model behind its access, for one step."""
        sized = {name: each["size"] for name, each in self._observables.items() if each["size"]}
        answers = answering(model, self._observables, transforms, self._meter, decoy=decoy == "permuted",
                            seed=f"{run.seed} {self._models[id(model)][1]}")  # fmt: skip
        return Handle("target", answers, sees, sized, self._meter, None if sees is None else knows)

    def own(self, model: Any, run: Any, name: str) -> Handle:
        """A model that nobody meters: the attacker's own, or an instrument."""
        from mialang.operators.answers import ModelAnswers  # noqa: PLC0415

        return Handle(name, ModelAnswers(model, self._observables, generator=run.generator))

    def keep(self, node: str, made: Any) -> Any:
        """Name a result by its digest and hand it on as the store would."""
        if hasattr(made, "json"):
            value = made.json()
            self.measured[node] = value
            self.digests[node] = value_digest(value)
            result = made
        else:
            import hashlib  # noqa: PLC0415

            from mialang.operators.artefacts import restore  # noqa: PLC0415

            data = pack(made.kind, made.arrays(), made.facts())
            self.digests[node] = hashlib.sha256(data).hexdigest()
            result = restore(*unpack(data))
            if hasattr(result, "answer"):
                self._models[id(result)] = (result, self.digests[node])
        self._out.write(f"{self.digests[node]}  {node}\n")
        return result

    def report(self) -> None:
        """Write the mean of every measurement."""
        for node, value in self.measured.items():
            for name, field in value["fields"].items():
                label = f"{node}.{name}" if name else node
                if "unavailable" in field:
                    self._out.write(f"{label}: not available: {field['unavailable']}\n")
                else:
                    mean = sum(field["values"]) / len(field["values"]) if field["values"] else float("nan")
                    self._out.write(f"{label}: {mean:.4f} over {len(field['values'])} values\n")
