"""Secrets: texts that look like a key of a service. No message and no excerpt shows one."""

from __future__ import annotations

import re

VEIL = "*"
KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{8,}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|(?:gh[opsur]|hf|gsk)_[A-Za-z0-9]{20,}"
    r"|(?:glpat|xox[abeoprs])-[A-Za-z0-9_-]{16,}"
    r"|github_pat_[A-Za-z0-9_]{16,}"
    r"|A[KS]IA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]+"
    r")"
)
SCRAMBLED = re.compile(r"(?=(?:[a-zA-Z]*\d){4})[A-Za-z0-9]{24,}")  # letters and digits without a break, as no name has


def looks_secret(text: str) -> bool:
    """Whether a text holds what services hand out as keys."""
    return bool(KEYS.search(text) or SCRAMBLED.fullmatch(text))


def veiled(text: str) -> str:
    """A text in which what looks like a key is covered, as long as it was."""
    return KEYS.sub(lambda found: VEIL * len(found[0]), text)
