"""A diagnostic: code, title in the reader's words, where, why it matters, and one next step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mialang.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Label:
    """A span and the few words written under it."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One finding. Diagnostics are values: phases return them, nothing raises them.

    Attributes:
        hidden: stretches of the source that are covered wherever an excerpt holds them.
    """

    code: str
    severity: Severity
    title: str
    primary: Label | None = None
    others: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    hidden: tuple[Span, ...] = ()

    def also(self, span: Span, text: str = "") -> Diagnostic:
        """Return the finding with the other side of the conflict pointed at."""
        return replace(self, others=(*self.others, Label(span, text)))

    def note(self, text: str) -> Diagnostic:
        """Return the finding with a reason why it matters."""
        return replace(self, notes=(*self.notes, text)) if text else self

    def hide(self, *spans: Span) -> Diagnostic:
        """Return the finding with words that no excerpt shows, because they are secret."""
        return replace(self, hidden=(*self.hidden, *spans))

    def help(self, text: str) -> Diagnostic:
        """Return the finding with one concrete next step."""
        return replace(self, helps=(*self.helps, text)) if text else self

    @property
    def is_error(self) -> bool:
        """Whether the spec cannot be run while this stands."""
        return self.severity == "error"

    def order(self) -> tuple[str, int, str]:
        """Return a key that sorts findings by place."""
        if self.primary is None:
            return ("", -1, self.code)
        return (self.primary.span.source.name, self.primary.span.start, self.code)


def error(code: str, title: str, span: Span | None = None, label: str = "") -> Diagnostic:
    """Return a finding that stops the spec from running."""
    return Diagnostic(code, "error", title, Label(span, label) if span is not None else None)


def warning(code: str, title: str, span: Span | None = None, label: str = "") -> Diagnostic:
    """Return a finding that is reported and does not stop anything."""
    return Diagnostic(code, "warning", title, Label(span, label) if span is not None else None)
