"""Misfits: why a value does not fit where it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Misfit:
    """Why a value does not fit; where it may be secret, neither the words nor an excerpt show it.

    Attributes:
        value: what the title calls the value, so that what is written can stand there instead.
        place: which item of a list it is, and of a list in it; empty for the whole.
    """

    code: str
    title: str
    help: str = ""
    note: str = ""
    secret: bool = False
    value: str = ""
    place: tuple[int, ...] = ()
