"""The threat model as a type: access, extent, prior and defense as orders, and how they fit together. No torch, no text."""

from mialang.threat.access import ACTS, KNOWLEDGE, Access, Gap
from mialang.threat.defense import ACTS_ON, Shield
from mialang.threat.extent import Extent, Extents
from mialang.threat.observables import Observable, Observables
from mialang.threat.prior import Item, prior_kind

__all__ = [
    "ACTS",
    "ACTS_ON",
    "KNOWLEDGE",
    "Access",
    "Extent",
    "Extents",
    "Gap",
    "Item",
    "Observable",
    "Observables",
    "Shield",
    "prior_kind",
]
