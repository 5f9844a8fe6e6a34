"""What a step is given beside its parameters: a seed, a place to report to, a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch

from mialang.operators.checkpoints import Keeper, Loop, Nowhere, Part, kept_before
from mialang.operators.errors import OperatorError
from mialang.operators.places import data_folders, first_found

Json: TypeAlias = Any  # a recursive alias for JSON values buys little and costs a cast at every use
Listener: TypeAlias = Callable[[int, int, dict[str, float]], None]


def _silent(done: int, total: int, figures: dict[str, float]) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Run:
    """One execution of one step.

    Attributes:
        seed: seed of the step; equal seeds give equal bytes at an equal thread count.
        device: where tensors live while the step works; artefacts are always handed over on the CPU.
        data: directory in which data files are looked for before `MIALANG_DATA`; None = only there.
        listener: receives `(done, total, figures)` on every `progress`.
        notes: facts kept as evidence, filled by `note`.
        exhibits: what the report draws, filled by `exhibit`. It may show what is private, so that nothing else tells it.
        files: external files that the step read, by the names they were looked for under, filled by `find`.
        keeper: keeps the state of loops, so that a step that was interrupted goes on.
        loops: the loops of the step so far, filled by `loop`.
    """

    seed: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: Path | None = None
    listener: Listener = _silent
    notes: dict[str, Json] = field(default_factory=dict)
    exhibits: dict[str, Json] = field(default_factory=dict)
    files: dict[tuple[str, ...], Path] = field(default_factory=dict)
    keeper: Keeper = field(default_factory=Nowhere)
    loops: list[Loop] = field(default_factory=list)
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Seed the step's own generator of random numbers."""
        object.__setattr__(self, "generator", torch.Generator().manual_seed(self.seed))

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Fork torch's global state and seed it, for initialisation and dropout inside `nn.Module`s."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            yield

    def loop(self, name: str, total: int | None, **parts: Part) -> Loop:
        """Return a loop that a step which was interrupted takes up again where it was; see `Loop`.

        Args:
            name: of the loop; a second one of that name is numbered.
            total: how many steps it has; None = until its body leaves it.
            parts: networks, optimisers and whatever else has a `state_dict`, by name.
        """
        before = sum(loop.name.partition(" #")[0] == name for loop in self.loops)
        self.loops.append(Loop(self, f"{name} #{before + 1}" if before else name, total, parts))
        return self.loops[-1]

    @cached_property
    def resumed(self) -> dict[str, Json]:
        """What the loops of the step kept in an earlier process, by name."""
        return kept_before(self)

    def progress(self, done: int, total: int, **figures: float) -> None:
        """Report that `done` of `total` units of work are finished."""
        self.listener(done, total, figures)

    def note(self, name: str, value: Json) -> None:
        """Keep a JSON fact as evidence with the step."""
        self.notes[name] = value

    def exhibit(self, name: str, value: Json) -> None:
        """Keep something for the report to draw; it may show what is private."""
        self.exhibits[name] = value

    def find(self, *names: str) -> Path:
        """Return the first of several files or folders that exists, searching the data directories in order.

        Args:
            names: paths, absolute or relative to a data directory (or, last, to the working directory).

        Raises:
            OperatorError: none of them exists.
        """
        found = first_found(self.data, *names)
        if found is not None:
            self.files[names] = found.resolve()
            return found
        *given, here = (f"`{folder.absolute()}`" for folder in data_folders(self.data))
        where = f"{', '.join(given)} and the working directory {here}" if given else f"the working directory {here}"
        absolute = all(Path(name).is_absolute() for name in names)
        raise OperatorError(
            f"no file `{names[0]}`",
            note="" if absolute else f"looked in {where}" + ("" if given else "; no data directory is set"),
            help="name the directory that holds it with `--data DIR` or the environment variable MIALANG_DATA",
        )
