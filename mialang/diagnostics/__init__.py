"""Findings: what is wrong or doubtful in a spec, as values that accumulate."""

from mialang.diagnostics.finding import Diagnostic, Label, Severity, error, warning
from mialang.diagnostics.suggest import closest, did_you_mean, listed

__all__ = ["Diagnostic", "Label", "Severity", "closest", "did_you_mean", "error", "listed", "warning"]
