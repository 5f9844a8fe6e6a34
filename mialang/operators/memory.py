"""Work that is done in smaller parts where memory ends: halved until it fits, and told so that it can be read later."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run

T = TypeVar("T")
# What torch says of a CPU without memory, for which it has no class of its own.
WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def exhausted(problem: BaseException) -> bool:
    """Whether work failed for a lack of memory, of the machine or of its accelerator."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(word in str(problem).lower() for word in WORDS)


class Rows:
    """How many rows are worked on at once: all that may be, and half as many each time that memory ends.

    Attributes:
        most: rows at once, from here on.
        halvings: how often memory ended.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.halvings = 0

    def __call__(
        self,
        n: int,
        work: Callable[[slice], T],
        before: Callable[[], Json] = lambda: None,
        back: Callable[[Json], None] = lambda _: None,
    ) -> list[T]:
        """Work on n rows, part by part; return what each part made.

        Args:
            n: how many rows.
            work: makes something of some rows.
            before: called before each part: what there is to put back.
            back: puts it back where memory ended in the middle of a part.

        Raises:
            OperatorError: not even one row fits.
        """
        made: list[T] = []
        at = 0
        while at < n:
            part = slice(at, min(n, at + self.most))
            kept = before()
            try:
                made.append(work(part))
            except Exception as problem:
                if not exhausted(problem):
                    raise
                rows = part.stop - part.start
                if rows == 1:
                    raise OperatorError(
                        "not even one row fits into memory", note=str(problem).split("\n", 1)[0][:300],
                        help="lower the size of the model or of its inputs, or use a machine with more memory",
                    ) from problem  # fmt: skip
                self.most = rows // 2
                self.halvings += 1
                back(kept)
            else:
                at = part.stop
                continue
            _release()  # outside the handler: the problem itself holds on to what was made
        return made


def _release() -> None:
    """Give memory back that nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def before(run: Run) -> Json:
    """What a part of a step moves outside of itself: what was counted, and where its chance stands."""
    return run.keeper.counts(), run.generator.get_state()


def back(run: Run, kept: Json) -> None:
    """Put it back."""
    counts, state = kept
    run.keeper.recount(counts)
    run.generator.set_state(state)
