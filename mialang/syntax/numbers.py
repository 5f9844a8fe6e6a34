"""Numbers that the lexer takes and that are none, or would not be what they look like."""

from __future__ import annotations

import re

MOST_DIGITS = 18  # of a whole number: what fits into 64 bits
LARGEST = 1e300  # of other numbers: leaves room for units
SMALLEST = 1e-300  # of those that are not 0
LOOSE = re.compile(r"_(?!\d)|__")  # an underscore that stands between no two digits
PADDED = re.compile(r"0[\d_]*\d")


def misread(text: str) -> tuple[str, str] | None:
    """What is wrong with a number without its unit, and what to write; None where it is one."""
    digits = text.replace("_", "")
    if digits.isdigit() and len(digits) > MOST_DIGITS:
        return f"this number has {len(digits):,} digits", _limits()
    if float(digits) >= LARGEST:
        return "this number is too large", _limits()
    if float(digits) < SMALLEST and re.search("[1-9]", re.split("[eE]", digits)[0]):
        return "this number is too small to tell from 0", "write `0`, or a number of at least 1e-300"
    if LOOSE.search(text):
        return (
            f"`{text}` is no number",
            f"`_` stands between digits only: write `{re.sub('_(?![0-9])|_(?=_)', '', text)}`",
        )
    if PADDED.match(text):
        return f"`{text}` begins with a 0", f"write `{re.sub('^[0_]+(?=[0-9])', '', text)}`"
    return None


def _limits() -> str:
    return f"whole numbers have at most {MOST_DIGITS} digits; other numbers stay below 1e300"
