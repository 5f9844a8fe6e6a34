"""Messages between a step and the process that holds the handle: plain values in frames, checked before they are believed.

    frame   = length of the rest (8 bytes) · length of the header (4 bytes) · header (JSON) · arrays in a row
    header  = {"value": …, "arrays": [[type, shape], …]}

A value is made of None, numbers, texts, lists, tuples, dictionaries, tensors, arrays, artefacts, and frozen dataclasses that mialang
itself declares. Nothing is unpickled, and nothing that arrives decides which code is run.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

Json = Any
Array = np.ndarray[Any, np.dtype[Any]]
LARGEST = 2**31  # bytes of a message
LARGEST_HEADER = 2**26
DEEPEST = 40  # levels of a value
PACE = 2**20  # bytes a second below which a message that has begun has stopped
BEGUN = 60.0  # seconds that a message which has begun may take in any case
TYPES = frozenset(
    ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64",
     "complex64", "complex128")
)  # fmt: skip
OWN = "mialang.operators."


class WireError(Exception):
    """The other side does not keep to the protocol."""


class ClosedError(WireError):
    """The other side is gone."""


class SilentError(WireError):
    """The other side says nothing for too long."""


# -- frames --------------------------------------------------------------------------------------------------------


class Channel:
    """Two pipes to the other side.

    Args:
        receiving: descriptor to read from.
        sending: descriptor to write to.
        largest: bytes of a message that is accepted.
    """

    def __init__(self, receiving: int, sending: int, largest: int = LARGEST) -> None:
        self._receiving = receiving
        self._sending = sending
        self._largest = largest
        self.received = 0
        for descriptor in (receiving, sending):
            os.set_blocking(descriptor, False)

    def send(self, value: Any, patience: float | None = None) -> None:
        """Send a value.

        Args:
            value: what the other side gets.
            patience: seconds in which the other side must have begun to take it; None = for ever.

        Raises:
            ClosedError: nobody is there.
            SilentError: nobody takes it.
            WireError: the value cannot be sent.
        """
        rest = memoryview(packed(value))
        if len(rest) > self._largest:
            raise WireError(f"a message of {len(rest):,} bytes is too large; {self._largest:,} are allowed")
        end = _deadline(patience, len(rest))
        while rest:
            _wait(self._sending, select.POLLOUT, end)
            try:
                rest = rest[os.write(self._sending, rest[: 2**20]) :]
            except BlockingIOError:
                continue
            except OSError as problem:
                raise ClosedError(f"the other side is gone: {problem.strerror}") from problem

    def receive(self, patience: float | None = None) -> Any:
        """Receive a value.

        Args:
            patience: seconds until a message must begin; None = for ever.

        Raises:
            ClosedError: nobody is there.
            SilentError: nothing comes, or a message stops in its middle.
            WireError: what comes is no message.
        """
        first = self._read(1, None if patience is None else time.monotonic() + patience)
        (length,) = struct.unpack(">Q", first + self._read(7, time.monotonic() + BEGUN))
        if not 4 <= length <= self._largest:
            raise WireError(f"a message of {length:,} bytes is announced; up to {self._largest:,} are accepted")
        data = self._read(length, _deadline(BEGUN, length))
        self.received += 1
        return unpacked(data)

    def _read(self, length: int, end: float | None) -> bytes:
        found = bytearray()
        while len(found) < length:
            _wait(self._receiving, select.POLLIN, end)
            try:
                part = os.read(self._receiving, min(length - len(found), 2**20))
            except BlockingIOError:
                continue
            except OSError as problem:
                raise ClosedError(f"the other side is gone: {problem.strerror}") from problem
            if not part:
                raise ClosedError("the other side is gone")
            found += part
        return bytes(found)

    def close(self) -> None:
        """Close both pipes."""
        os.close(self._receiving)
        os.close(self._sending)


def _deadline(patience: float | None, length: int) -> float | None:
    return None if patience is None else time.monotonic() + patience + length / PACE


def _wait(descriptor: int, what: int, end: float | None) -> None:
    poll = select.poll()
    poll.register(descriptor, what)
    left = None if end is None else max(0.0, end - time.monotonic()) * 1000
    if not poll.poll(left):
        raise SilentError("the other side says nothing")


# -- values to bytes -----------------------------------------------------------------------------------------------


def packed(value: Any) -> bytes:
    """A value as a frame.

    Raises:
        WireError: it holds something that is not sent.
    """
    arrays: list[Array] = []
    tree = _plain(value, arrays, 0)
    told = [[array.dtype.name, list(array.shape)] for array in arrays]
    header = json.dumps({"value": tree, "arrays": told}, separators=(",", ":"), allow_nan=False).encode()
    parts = [struct.pack(">I", len(header)), header, *(array.tobytes() for array in arrays)]
    return struct.pack(">Q", sum(map(len, parts))) + b"".join(parts)


def _plain(value: Any, arrays: list[Array], depth: int) -> Json:
    if depth > DEEPEST:
        raise WireError(f"a value of more than {DEEPEST} levels is not sent")
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"$number": repr(value)}
        case tuple():
            return {"$tuple": [_plain(each, arrays, depth + 1) for each in value]}
        case list():
            return [_plain(each, arrays, depth + 1) for each in value]
        case Mapping():
            pairs = [[_plain(name, arrays, depth + 1), _plain(each, arrays, depth + 1)] for name, each in value.items()]
            return {"$pairs": pairs}
        case bytes():
            return {"$bytes": _kept(np.frombuffer(value, dtype=np.uint8), arrays)}
        case np.ndarray():
            return {"$array": _kept(value, arrays)}
        case np.generic():
            return _plain(value.item(), arrays, depth + 1)
    return _of_operators(value, arrays, depth)


def _kept(array: Array, arrays: list[Array]) -> int:
    if array.dtype.name not in TYPES:
        raise WireError(f"arrays of {array.dtype} are not sent")
    arrays.append(np.asarray(array, order="C"))
    return len(arrays) - 1


def _of_operators(value: Any, arrays: list[Array], depth: int) -> Json:
    import torch  # noqa: PLC0415 - the side that only waits need not load it first

    from mialang.operators.artefacts import Artefact  # noqa: PLC0415

    if isinstance(value, torch.Tensor):
        return _tensor(value, arrays)
    if isinstance(value, Artefact):
        held = {name: _kept(array, arrays) for name, array in value.arrays().items()}
        return {"$artefact": value.kind, "arrays": held, "facts": _plain(value.facts(), arrays, depth + 1)}
    if is_dataclass(value) and not isinstance(value, type) and _declared(type(value)):
        made = {each.name: _plain(getattr(value, each.name), arrays, depth + 1) for each in fields(value) if each.init}
        return {"$made": f"{type(value).__module__}:{type(value).__qualname__}", "fields": made}
    raise WireError(f"a {type(value).__name__} is not sent to another process")


def _declared(kind: type) -> bool:
    """Whether a class is a value of mialang's own: frozen, and what it says is all that it is."""
    return kind.__module__.startswith(OWN) and is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _tensor(value: Any, arrays: list[Array]) -> Json:
    import torch  # noqa: PLC0415

    facts: dict[str, Json] = {}
    held = value.detach().cpu()
    if held.stride() != _usual(held.shape) and _fills(held.shape, held.stride()):
        facts["stride"] = list(held.stride())  # sums over another order in memory would round differently
    dense = held.contiguous().resolve_conj().resolve_neg()
    if dense.dtype == torch.bfloat16:  # which numpy does not know
        facts["bfloat16"] = True
        dense = dense.view(torch.int16)
    if value.requires_grad:
        facts["leaf"] = True
    return {"$tensor": _kept(dense.numpy(), arrays), **facts}


def _usual(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor whose last axis lies closest."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _fills(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether strides are those of a tensor that fills its memory, whatever the order of its axes."""
    filled = 1
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size != 1):
        if step != filled:
            return False
        filled *= size
    return 0 not in shape and all(step >= 0 for step in stride)


# -- bytes to values -----------------------------------------------------------------------------------------------


def unpacked(data: bytes) -> Any:
    """The value of a frame, without its length.

    Raises:
        WireError: it is none.
    """
    (length,) = struct.unpack(">I", data[:4])
    if length > min(LARGEST_HEADER, len(data) - 4):
        raise WireError(f"a header of {length:,} bytes does not fit its message")
    try:
        header = json.loads(data[4 : 4 + length])
        tree, told = header["value"], header["arrays"]
        arrays = _arrays(told, memoryview(data)[4 + length :])
        return _rebuilt(tree, arrays, 0)
    except WireError:
        raise
    except Exception as problem:  # whatever a message of the other side's making provokes
        raise WireError(f"a message cannot be read: {type(problem).__name__}") from problem


def _arrays(told: Sequence[Sequence[Any]], data: memoryview) -> list[Array]:
    found: list[Array] = []
    at = 0
    for name, shape in told:
        if name not in TYPES or not all(type(each) is int and each >= 0 for each in shape) or len(shape) > DEEPEST:
            raise WireError("an array is of no type or shape that is sent")
        kind = np.dtype(name)
        size = math.prod(shape) * kind.itemsize
        if at + size > len(data):
            raise WireError("an array is announced that is larger than its message")
        found.append(np.frombuffer(data[at : at + size], dtype=kind).reshape(shape))
        at += size
    if at != len(data):
        raise WireError("a message holds more than it announces")
    return found


def _rebuilt(tree: Json, arrays: list[Array], depth: int) -> Any:
    if depth > DEEPEST:
        raise WireError(f"a value of more than {DEEPEST} levels is not accepted")
    match tree:
        case list():
            return [_rebuilt(each, arrays, depth + 1) for each in tree]
        case {"$number": "nan" | "inf" | "-inf" as text}:
            return float(text)
        case {"$tuple": list(items)}:
            return tuple(_rebuilt(each, arrays, depth + 1) for each in items)
        case {"$pairs": list(pairs)}:
            return {_rebuilt(name, arrays, depth + 1): _rebuilt(each, arrays, depth + 1) for name, each in pairs}
        case {"$bytes": int(place)}:
            return _held(place, arrays).tobytes()
        case {"$array": int(place)}:
            return _held(place, arrays).copy()
        case {"$tensor": int(place)}:
            return _as_tensor(tree, _held(place, arrays))
        case {"$artefact": str(kind), "arrays": dict(held), "facts": facts}:
            return _artefact(kind, {str(name): _held(place, arrays).copy() for name, place in held.items()},
                             _rebuilt(facts, arrays, depth + 1))  # fmt: skip
        case {"$made": str(name), "fields": dict(given)}:
            return _made(name, {str(each): _rebuilt(value, arrays, depth + 1) for each, value in given.items()})
        case dict():
            raise WireError("a message holds a value of an unknown sort")
    return tree


def _held(place: int, arrays: list[Array]) -> Array:
    if not 0 <= place < len(arrays):
        raise WireError("a message mentions an array that it does not hold")
    return arrays[place]


def _as_tensor(tree: Mapping[str, Json], array: Array) -> Any:
    import torch  # noqa: PLC0415

    made = torch.from_numpy(np.array(array))
    if "bfloat16" in tree:
        made = made.view(torch.bfloat16)
    stride = tree.get("stride")
    if stride is not None:
        if not all(type(each) is int for each in stride) or not _fills(made.shape, stride):
            raise WireError("a tensor lies in memory as none does")
        made = torch.empty_strided(made.shape, stride, dtype=made.dtype).copy_(made)
    return made.requires_grad_() if "leaf" in tree else made


def _artefact(kind: str, held: Mapping[str, Array], facts: Json) -> Any:
    from mialang.operators.artefacts import KINDS  # noqa: PLC0415

    if kind not in KINDS:
        raise WireError(f"a message holds an artefact of an unknown kind, `{kind[:60]}`")
    return KINDS[kind].restore(held, facts)


def _made(name: str, given: Mapping[str, Any]) -> Any:
    module, _, qualified = name.partition(":")
    if not module.startswith(OWN) or not all(part.isidentifier() for part in (*module.split("."), qualified)):
        raise WireError("a message holds a value of a class that is none of mialang's")
    try:
        kind = getattr(import_module(module), qualified)
    except (ImportError, AttributeError) as problem:
        raise WireError("a message holds a value of a class that does not exist") from problem
    if not isinstance(kind, type) or not _declared(kind):
        raise WireError("a message holds a value of a class that is no plain value")
    return kind(**given)
