"""A memory of answers: what was asked more than once stays longer than what was asked once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch


class Recall:
    """Answers by key, in two parts: those asked once make room for each other, those asked again have room of their own.

    A store behind noise is asked about the same public texts by every attack, real and blind, and about each attack's
    guesses once; the guesses must not drive out the texts.

    Args:
        once: how many answers asked once are kept.
        again: how many asked more than once are kept.
    """

    def __init__(self, once: int, again: int) -> None:
        self._room = (once, again)
        self._once: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._again: OrderedDict[str, torch.Tensor] = OrderedDict()

    def __call__(self, key: str, work: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the answer under a key, worked out where it is not known."""
        if key in self._again:
            self._again.move_to_end(key)
            return self._again[key]
        if key in self._once:
            self._again[key] = self._once.pop(key)
            _drop(self._again, self._room[1])
            return self._again[key]
        made = self._once[key] = work()
        _drop(self._once, self._room[0])
        return made


def _drop(kept: OrderedDict[str, torch.Tensor], room: int) -> None:
    while len(kept) > room:
        kept.popitem(last=False)
