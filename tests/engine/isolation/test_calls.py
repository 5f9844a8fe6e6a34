"""The filter of system calls says what it should, on every processor that it knows: it is run here as the kernel runs it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.engine.isolation import calls
from mialang.engine.isolation.calls import CLONE, CLONE3, PRLIMIT, PROCESSORS, REFUSED, TO_OWN, program

OWN = 4242
FAMILIES = sorted(PROCESSORS)
NEW = {"fchmodat2", "setxattrat", "removexattrat", "mount_setattr", "process_mrelease"}
HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}


def answer(family: str, number: int, first: int = 0, interface: int | None = None) -> int:
    """What the filter says to a call."""
    place, own = PROCESSORS[family]
    del place
    shown = {0: number, 4: own if interface is None else interface, 16: first}
    code = program(family, OWN)
    held = at = 0
    while True:
        kind, yes, no, value = code[at]
        at += 1
        match kind:
            case calls.LOAD:
                held = shown[value]
            case calls.EQUAL:
                at += yes if held == value else no
            case calls.AT_LEAST:
                at += yes if held >= value else no
            case calls.ANY_BIT:
                at += yes if held & value else no
            case calls.ANSWER:
                return value


@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_of_the_table_is_refused(family: str) -> None:
    place, _ = PROCESSORS[family]
    for name, numbers in REFUSED.items():
        number = numbers[place]
        if number is not None:
            assert answer(family, number) == calls.REFUSE | errno.EPERM, name


@pytest.mark.parametrize("family", FAMILIES)
@given(number=st.integers(0, 500), first=st.integers(0, 2**32 - 1))
def test_every_other_call_is_allowed(family: str, number: int, first: int) -> None:
    place, _ = PROCESSORS[family]
    known = {each[place] for each in (*REFUSED.values(), CLONE, CLONE3, PRLIMIT, *TO_OWN.values())}
    if number not in known:
        assert answer(family, number, first) == calls.ALLOW


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_signals_to_itself_and_its_own_limits_are_allowed_and_no_others(family: str) -> None:
    place, _ = PROCESSORS[family]
    refused = calls.REFUSE | errno.EPERM
    assert answer(family, CLONE[place], 0x3D0F00) == calls.ALLOW  # what the C library asks for a thread
    assert answer(family, CLONE[place], 17) == refused  # a process, whose end is told by a signal
    assert answer(family, CLONE3[place]) == calls.REFUSE | errno.ENOSYS
    for own in TO_OWN.values():
        assert answer(family, own[place], OWN) == calls.ALLOW
        assert {answer(family, own[place], each) for each in (0, 1, OWN - 1, 2**32 - 1)} == {refused}
    assert answer(family, PRLIMIT[place], 0) == calls.ALLOW
    assert answer(family, PRLIMIT[place], OWN + 1) == refused


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_by_another_interface_end_the_process(family: str) -> None:
    assert answer(family, 1, interface=0x40000003) == calls.KILL  # 32-bit code in a 64-bit process
    assert answer(family, 0x40000001) == calls.KILL


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_are_those_of_the_kernel(family: str) -> None:
    path = Path(HEADERS[family])
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    found = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())}
    place, _ = PROCESSORS[family]
    missing = {name for name in REFUSED if name not in found and name in NEW}  # newer than the headers here
    for name, numbers in {**REFUSED, "clone": CLONE, "clone3": CLONE3, "prlimit64": PRLIMIT, **TO_OWN}.items():
        assert found.get(name) == numbers[place] or name in missing, name
