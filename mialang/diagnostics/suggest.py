"""Did you mean: the known word nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Iterable

ALIKE = 0.65  # how alike two words must be for one to be a slip of the other
LONGEST = 100  # longer words are no slips of anything


def closest(word: str, known: Iterable[str], most: int = 1, alike: float = ALIKE) -> list[str]:
    """Return up to `most` known words that look like a slip of `word`, best first.

    Case and the difference between `_` and `-` do not count; a prefix of at least three letters does.
    """
    from difflib import SequenceMatcher  # noqa: PLC0415 - only slips need it

    def folded(text: str) -> str:
        return text.casefold().replace("-", "_")

    target = folded(word)
    if len(target) > LONGEST:
        return []
    scored = []
    matcher = SequenceMatcher(b=target)
    for candidate in sorted(set(known)):
        other = folded(candidate)
        matcher.set_seq1(other)
        ratio = matcher.ratio() if matcher.real_quick_ratio() >= alike and matcher.quick_ratio() >= alike else 0.0
        if len(target) >= 3 and (other.startswith(target) or target.startswith(other)):
            ratio = max(ratio, 0.75)
        if ratio >= alike:
            scored.append((-ratio, candidate))
    return [candidate for _, candidate in sorted(scored)[:most]]


def listed(names: Iterable[object], most: int | None = None) -> str:
    """Names between backticks, separated by commas, each once; of many the first few."""
    known = list(dict.fromkeys(names))
    return ", ".join(f"`{name}`" for name in known[:most]) + (", …" if len(known) > (most or len(known)) else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a help line for an unknown word: the nearest known one, or the short list of all, or nothing."""
    known = sorted(set(known))
    if near := closest(word, known):
        return f"did you mean `{near[0]}`?"
    if known and len(known) <= 12:
        return f"known here: {listed(known)}"
    return ""
