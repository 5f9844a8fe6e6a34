"""Loops that can be left and taken up again: a long step goes on, bit for bit, from what its loops kept last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from mialang.operators.run import Run

Json = Any
Array = np.ndarray[Any, np.dtype[Any]]


class Keeper(Protocol):
    """Where loops keep their state. The engine supplies the class; `Nowhere` is for steps that run alone."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, arrays: dict[str, Array], facts: Json) -> None:
        """Keep the state of all loops so far. May raise to end the step here, if somebody asked for that."""

    def load(self) -> tuple[Mapping[str, Array], Json] | None:
        """What was kept last; None for a step that begins afresh."""

    def counts(self) -> Json:
        """What has been counted on behalf of the step so far: questions asked and refused."""

    def recount(self, counts: Json) -> None:
        """Put counts back."""


class Nowhere:
    """Keeps nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, arrays: dict[str, Array], facts: Json) -> None:
        """Keep nothing."""

    def load(self) -> None:
        """Nothing was kept."""

    def counts(self) -> Json:
        """Nothing is counted."""
        return None

    def recount(self, counts: Json) -> None:
        """Nothing is counted."""


class Part(Protocol):
    """What has a state and takes one: a network, an optimiser, a schedule of learning rates."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take a state."""


class Loop:
    """A loop over steps 0, 1, 2… that can be left after any step and taken up again in another process.

    Everything that a later step, or the code after the loop, reads must be in `parts` or in `kept`; what is drawn from
    the step's generator, or from torch's own, is taken care of. Code before the loop runs again on resuming.

        loop = run.loop("training", steps, network=network, optimiser=optimiser)
        loop.kept.update(order=order)
        for step in loop:
            …

    Attributes:
        kept: variables by name: tensors, numbers, texts, and lists, tuples and dictionaries of them.
    """

    def __init__(self, run: Run, name: str, total: int | None, parts: Mapping[str, Part]) -> None:
        self.name = name
        self.kept: dict[str, Any] = {}
        self._run = run
        self._total = total
        self._parts = dict(parts)
        self._step = 0
        self._end: Json = None

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the steps that are left to do."""
        over = self._resume()
        try:
            while not over and (self._total is None or self._step < self._total):
                yield self._step
                self._step += 1
                if self._run.keeper.due():
                    save(self._run)
        finally:
            # Nobody reads a finished optimiser, and its state is twice that of its network.
            self._parts = {name: part for name, part in self._parts.items() if isinstance(part, nn.Module)}
            self._end = self._moment()

    def _moment(self) -> dict[str, Json]:
        """Everything outside the loop that its steps move: sources of randomness, counts of questions."""
        moment = {
            "generator": self._run.generator.get_state(),
            "torch": torch.get_rng_state(),
            "counts": self._run.keeper.counts(),
        }
        if self._run.device.type == "cuda":
            moment["cuda"] = torch.cuda.get_rng_state(self._run.device)
        return moment

    def state(self) -> dict[str, Json]:
        """The state of the loop as it is now."""
        return {
            "step": self._step,
            "over": self._end is not None,
            "moment": self._end or self._moment(),
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "kept": self.kept,
        }

    def _resume(self) -> bool:
        """Take up the state that was kept, if there is one; return whether the loop was over then."""
        kept = self._run.resumed.get(self.name)
        if kept is None:
            return False
        self._step = kept["step"]
        for name, state in kept["parts"].items():
            self._parts[name].load_state_dict(state)
        self.kept.update(kept["kept"])
        moment = kept["moment"]
        self._run.generator.set_state(moment["generator"])
        torch.set_rng_state(moment["torch"])
        if "cuda" in moment:
            torch.cuda.set_rng_state(moment["cuda"].cpu(), self._run.device)
        self._run.keeper.recount(moment["counts"])
        return bool(kept["over"])


def save(run: Run) -> None:
    """Keep the state of all loops of a step."""
    arrays: dict[str, Array] = {}
    facts = plain({"loops": {loop.name: loop.state() for loop in run.loops}, "notes": run.notes}, arrays)
    run.keeper.save(arrays, facts)


def kept_before(run: Run) -> dict[str, Json]:
    """What the loops of a step kept in an earlier process, by name; notes are put back."""
    found = run.keeper.load()
    if found is None:
        return {}
    arrays, facts = found
    state = rebuilt(facts, arrays, run.device)
    run.notes.update(state["notes"])
    loops: dict[str, Json] = state["loops"]
    return loops


# -- plain form ----------------------------------------------------------------------------------------------------


def plain(value: Any, arrays: dict[str, Array]) -> Json:
    """Return a value as JSON, its tensors put into `arrays`.

    Args:
        value: tensors, numbers, texts, None, and lists, tuples and dictionaries of them.
        arrays: filled with one array a tensor.

    Raises:
        TypeError: the value holds something else.
    """
    match value:
        case torch.Tensor():
            return _tensor_facts(value, arrays)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"$number": repr(value)}
        case tuple():
            return {"$tuple": [plain(each, arrays) for each in value]}
        case list():
            return [plain(each, arrays) for each in value]
        case Mapping():
            # As pairs, because names may be numbers, and their order is part of an optimiser's state.
            return {"$pairs": [[plain(name, arrays), plain(each, arrays)] for name, each in value.items()]}
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _tensor_facts(value: torch.Tensor, arrays: dict[str, Array]) -> Json:
    name = f"t{len(arrays)}"
    facts: dict[str, Json] = {"$tensor": name}
    if not value.is_contiguous() and _apart(value.shape, value.stride()):
        facts["stride"] = list(value.stride())  # sums over another order in memory would round differently
    if value.device.type != "cpu":
        facts["device"] = True
    dense = value.detach().cpu().contiguous()
    if dense.dtype == torch.bfloat16:  # which numpy does not know
        facts["bfloat16"] = True
        dense = dense.view(torch.int16)
    arrays[name] = np.array(dense.numpy(), order="C")
    return facts


def _apart(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether every element has a place of its own in memory."""
    reach = 0
    for step, size in sorted(zip(stride, shape, strict=True)):
        if size > 1:
            if step <= reach:
                return False
            reach += step * (size - 1)
    return True


def rebuilt(value: Json, arrays: Mapping[str, Array], device: torch.device) -> Any:
    """Return what `plain` was given; tensors that did not live on the CPU are put on the device."""
    match value:
        case {"$tensor": name}:
            tensor = torch.from_numpy(np.array(arrays[name]))
            if "bfloat16" in value:
                tensor = tensor.view(torch.bfloat16)
            if "stride" in value:
                tensor = torch.empty_strided(tensor.shape, value["stride"], dtype=tensor.dtype).copy_(tensor)
            return tensor.to(device) if "device" in value else tensor
        case {"$number": text}:
            return float(text)
        case {"$tuple": items}:
            return tuple(rebuilt(each, arrays, device) for each in items)
        case {"$pairs": pairs}:
            return {rebuilt(name, arrays, device): rebuilt(each, arrays, device) for name, each in pairs}
        case list():
            return [rebuilt(each, arrays, device) for each in value]
    return value
