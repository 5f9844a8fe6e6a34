"""Words: how a text is cut into what is counted as recovered."""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"[^\W_]+(?:['’\-.@][^\W_]+)*", re.UNICODE)


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower-cased: letters and digits, joined by `'`, `-`, `.` or `@` inside.

    Punctuation is no word, so that nobody is credited for full stops; `anna.muster@example.org` and `555-0143` are one each.
    """
    return WORD.findall(text.lower())


def word_counts(texts: Sequence[str]) -> dict[str, int]:
    """Return in how many texts each word stands, most frequent first, then in alphabetical order."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in dict.fromkeys(words_of(text)):
            counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
