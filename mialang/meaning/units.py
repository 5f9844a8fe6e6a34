"""Units of the language: what each one measures, and how many base units it is worth."""

from __future__ import annotations

from dataclasses import dataclass

UNITS: dict[str, tuple[str, float]] = {
    "%": ("share", 0.01),
    "ms": ("time", 1e-3),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "d": ("time", 86400.0),
    "kB": ("size", 1e3),
    "MB": ("size", 1e6),
    "GB": ("size", 1e9),
    "KiB": ("size", 1024.0),
    "MiB": ("size", 1024.0**2),
    "GiB": ("size", 1024.0**3),
    "bits": ("bits", 1.0),
    "queries": ("queries", 1.0),
    "tokens": ("tokens", 1.0),
    "steps": ("steps", 1.0),
    "epochs": ("epochs", 1.0),
    "usd": ("usd", 1.0),
}


@dataclass(frozen=True)
class Quantity:
    """A number with a dimension, in base units (share as a fraction, time in seconds, size in bytes)."""

    value: float
    dimension: str

    @classmethod
    def of(cls, number: float, unit: str) -> Quantity:
        """Convert a written quantity to base units."""
        dimension, factor = UNITS[unit]
        return cls(round(number * factor, 12), dimension)

    def __str__(self) -> str:
        if self.dimension == "share":
            return f"{self.value * 100:g} %"
        if self.dimension == "time":
            return duration(self.value)
        if self.dimension == "size":
            return f"{self.value / 1e6:g} MB"
        return f"{self.value:,.0f} {self.dimension}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps the number above one: `1.5 h`, `20 min`, `3 s`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms"
