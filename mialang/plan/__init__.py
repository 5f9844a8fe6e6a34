"""From a typed spec to a plan: cells, a merged graph of nodes, the flow proof, costs, and ways to write it down."""

from mialang.plan.lower import lower
from mialang.plan.model import Node, Plan

__all__ = ["Node", "Plan", "lower"]
