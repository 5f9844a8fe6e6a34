"""What goes through the pipe comes out the same; what is no message is refused, whatever it is."""

from __future__ import annotations

import math
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.engine.isolation import wire
from mialang.engine.isolation.wire import Channel, ClosedError, SilentError, WireError, packed, unpacked
from mialang.operators.candidates import Candidates
from mialang.operators.optimisers import adam

numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=8))
values = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)
TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool]


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    made = (
        torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 9))))
        .mul(9)
        .to(draw(st.sampled_from(TYPES)))
    )
    return made.permute(draw(st.permutations(range(made.dim()))))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
        return alike and (one.numel() == 0 or one.stride() == other.stride())
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    return bool(one == other) and type(one) is type(other)


@given(values)
def test_plain_values_come_out_as_they_went_in(value: Any) -> None:
    assert same(value, unpacked(packed(value)[8:]))


@given(tensors())
def test_tensors_keep_type_values_and_order_in_memory(value: torch.Tensor) -> None:
    assert same(value, unpacked(packed(value)[8:]))


def test_views_with_gaps_come_out_dense_and_equal() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    for view in (
        whole[:, ::2],
        whole[:1].expand(3, 4),
        whole.conj(),
        torch.view_as_complex(whole.reshape(3, 2, 2)).conj(),
    ):
        assert torch.equal(unpacked(packed(view)[8:]), view)


def test_leaves_stay_leaves_and_artefacts_and_terms_are_rebuilt() -> None:
    x = torch.randn(2, 3).requires_grad_()
    assert unpacked(packed([x])[8:])[0].requires_grad
    made = Candidates(torch.randn(2, 3), torch.tensor([1, 2]), torch.zeros(2), torch.tensor([1, 2]), (1, 2))
    again = unpacked(packed(made)[8:])
    assert type(again) is Candidates
    assert torch.equal(again.values, made.values)
    term = adam(lr=0.1, beta1=0.9, beta2=0.99)
    assert unpacked(packed(term)[8:]) == term
    assert np.array_equal(unpacked(packed(np.arange(3, dtype=np.int16))[8:]), np.arange(3))
    assert unpacked(packed(b"\x00\xff")[8:]) == b"\x00\xff"


@pytest.mark.parametrize("value", [object(), {1, 2}, print, 1j, type, np.array(["text"]), np.array([object()])])
def test_what_is_no_plain_value_is_not_sent(value: Any) -> None:
    with pytest.raises(WireError):
        packed(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_fault_of_the_sender(data: bytes) -> None:
    try:
        unpacked(data)
    except WireError:
        return
    except struct.error:
        assert len(data) < 4


@given(values, st.data())
def test_a_message_with_a_changed_byte_is_a_value_or_a_fault_of_the_sender(value: Any, data: st.DataObject) -> None:
    frame = bytearray(packed([value, torch.zeros(2, 3), np.arange(4)])[8:])
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(WireError):
        unpacked(bytes(frame))


def header(text: str, rest: bytes = b"") -> bytes:
    return struct.pack(">I", len(text)) + text.encode() + rest


@pytest.mark.parametrize(
    "text",
    [
        '{"value":{"$made":"os:system","fields":{"command":"true"}},"arrays":[]}',
        '{"value":{"$made":"mialang.operators.artefacts:KINDS","fields":{}},"arrays":[]}',
        '{"value":{"$made":"mialang.operators.run:Run","fields":{"seed":"x"}},"arrays":[]}',
        '{"value":{"$made":"mialang.operators.no_such_module:Thing","fields":{}},"arrays":[]}',
        '{"value":{"$made":"mialang.operators..run:Run","fields":{}},"arrays":[]}',
        '{"value":{"$made":"mialang.engine.store:Store","fields":{"root":"/"}},"arrays":[]}',
        '{"value":{"$artefact":"no such","arrays":{},"facts":{}},"arrays":[]}',
        '{"value":{"$tensor":-1},"arrays":[["uint8",[1]]]}',
        '{"value":{"$unknown":1},"arrays":[]}',
        '{"value":1,"arrays":[["object",[1]]]}',
        '{"value":1,"arrays":[["float32",[-1]]]}',
        '{"value":1,"arrays":[["float32",[true]]]}',
        '{"value":1}',
        "[]",
    ],
)
def test_what_would_make_more_than_a_plain_value_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        unpacked(header(text, b"\x00"))


def test_overlapping_memory_is_refused() -> None:
    text = '{"value":{"$tensor":0,"stride":[1,1,5]},"arrays":[["uint8",[2,2,2]]]}'
    with pytest.raises(WireError):
        unpacked(header(text, bytes(8)))


# -- frames --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Two channels that talk to each other."""
    there, back = os.pipe(), os.pipe()
    one, other = Channel(back[0], there[1], largest=2**22), Channel(there[0], back[1], largest=2**22)
    yield one, other
    for end in (one, other):
        with suppress(OSError):
            end.close()


def test_large_messages_go_through_in_pieces(ends: tuple[Channel, Channel]) -> None:
    value = {"x": torch.randn(500, 1000), "words": ["a"] * 1000}
    thread = threading.Thread(target=lambda: ends[0].send(value))
    thread.start()
    assert same(ends[1].receive(10), value)
    thread.join()


def test_too_much_is_neither_sent_nor_accepted(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(WireError, match="too large"):
        ends[0].send(torch.zeros(2**21))
    os.set_blocking(ends[0]._sending, True)
    os.write(ends[0]._sending, struct.pack(">Q", 2**23))
    with pytest.raises(WireError, match="are accepted"):
        ends[1].receive(1)


def test_silence_a_pause_and_an_end_are_told_apart(
    ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SilentError):
        ends[1].receive(0.05)
    monkeypatch.setattr(wire, "BEGUN", 0.05)
    os.write(ends[0]._sending, struct.pack(">Q", 1000) + b"abc")
    with pytest.raises(SilentError):
        ends[1].receive(1)
    ends[0].close()
    with pytest.raises(ClosedError):
        ends[1].receive(1)
    with pytest.raises(ClosedError):
        ends[1].send(1)


def test_a_message_that_nobody_takes_is_not_waited_for(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(SilentError):
        ends[0].send(torch.zeros(2**18), 0.05)
