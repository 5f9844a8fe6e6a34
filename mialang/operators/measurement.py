"""Measurements: what a metric found, per item, or why it found nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch


@dataclass(frozen=True)
class Measurement:
    """Values of a metric by field. JSON only: tensors do not leave the operators.

    Attributes:
        fields: field name → values and, in step with them, the items that they belong to ("class 3"). The value of a
            field is the mean of its values; items are the unit of resampling.
        reasons: field name → why it is not available. A field is in one of the two, never in both.
    """

    fields: dict[str, tuple[list[float], list[str]]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def unavailable(cls, reason: str, *names: str) -> Self:
        """Return a measurement none of whose fields could be computed."""
        return cls(reasons=dict.fromkeys(names or ("",), reason))

    def with_field(self, name: str, values: torch.Tensor, items: Sequence[str]) -> Measurement:
        """Return the measurement with one more field.

        Args:
            name: name of the field; the empty name is the metric's only field.
            values: `[n]`.
            items: n item ids.
        """
        made = ([float(value) for value in values.double()], list(items))
        return Measurement({**self.fields, name: made}, self.reasons)

    def without_field(self, name: str, reason: str) -> Measurement:
        """Return the measurement with one more field marked as not available."""
        return Measurement(self.fields, {**self.reasons, name: reason})

    def json(self) -> dict[str, Any]:
        """Return plain data."""
        made: dict[str, Any] = {n: {"values": values, "items": items} for n, (values, items) in self.fields.items()}
        return {"fields": made | {name: {"unavailable": reason} for name, reason in self.reasons.items()}}
