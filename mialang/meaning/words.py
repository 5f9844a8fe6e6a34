"""How things are called in messages: kinds with their article, types as a person would say them, lists of names."""

from __future__ import annotations

from collections.abc import Iterable

from mialang.diagnostics import listed
from mialang.meaning.types import Type

EXAMPLES = {"share": "5 %", "seconds": "20 min", "queries": "5_000 queries", "tokens": "32 tokens", "usd": "20 usd",
            "bytes": "500 MB"}  # fmt: skip
ONE = {
    "int": "a whole number",
    "float": "a number",
    "share": "a share",
    "seconds": "a time",
    "queries": "a number of queries",
    "tokens": "a number of tokens",
    "usd": "a sum of money",
    "bytes": "a size",
    "bool": "`true` or `false`",
    "string": "a text in quotes",
    "path": "a path in quotes",
    "variable": "the name of an environment variable in quotes",
    "url": "an address in quotes",
    "template": "a request as JSON in quotes",
    "answer_path": "a path into an answer in quotes",
    "table": "a table such as `{ name = value }`",
    "range": "a range such as `0..4`",
    "observable": "an observable such as `scores`",
    "knowledge": "a fact about the model such as `classes`",
    "access": "a grant of access such as `white_box()`",
    "extent": "an extent such as `prototype(per = class)`",
    "any": "any value",
}
MANY = {
    "int": "whole numbers",
    "float": "numbers",
    "share": "shares",
    "seconds": "times",
    "string": "texts in quotes",
    "path": "paths in quotes",
    "observable": "observables",
    "knowledge": "facts about the model",
}
DIMENSIONS = {"share": "a share", "time": "a time", "size": "a size", "usd": "a sum of money"}


def article(word: str) -> str:
    """`an` before a vowel, else `a`."""
    return "an" if word[:1] in "aeiou" else "a"


def with_article(kind: str) -> str:
    """A kind as one of its sort: `an architecture`; kinds that are many go without: `images`."""
    word = kind.replace("_", " ")
    many = word.endswith("s") and not word.endswith(("ss", "access"))
    return word if many or word == "evidence" else f"{article(word)} {word}"


def belonging(words: str) -> str:
    """What a type takes, with its verb: `images belong`, `a list of defenses belongs`."""
    noun, _, _ = words.partition(" such as ")
    first, last = noun.split(maxsplit=1)[0], noun.rsplit(maxsplit=1)[-1]
    many = first not in ("a", "an", "the", "one", "any") and last.endswith("s") and not last.endswith("ss")
    return f"{words} {'belong' if many else 'belongs'}"


def type_words(type_: Type) -> str:
    """What a type takes: `a whole number of at least 1`, `a list of defenses`."""
    name = type_.name
    if type_.optional:
        return type_words(type_.item)
    if name == "one_of":
        return "one of " + listed(type_.options)
    least = f", at least {number_words(type_.low)} of them" if type_.low else ""
    if name == "set":
        return many_words(type_.item) + (" such as `0..4` or `[0, 3]`" if type_.item.name == "int" else "") + least
    if name == "list":
        return f"a list of {many_words(type_.item)}{least}"
    words = ONE.get(name) or with_article(name)
    if name in EXAMPLES:
        words += f" such as `{EXAMPLES[name]}`"
    return words + _range(type_)


def many_words(type_: Type) -> str:
    """What a list of a type holds: `whole numbers of at least 1`."""
    if type_.name == "one_of":
        return "words out of " + listed(type_.options)
    many = MANY.get(type_.name) or type_.name.replace("_", " ")
    return (many if many.endswith("s") else f"{many}s") + _range(type_)


def _range(type_: Type) -> str:
    low, high = type_.low, type_.high
    if low is None:
        return "" if high is None else f" of at most {number_words(high)}"
    return f" of at least {number_words(low)}" if high is None else f" from {number_words(low)} to {number_words(high)}"
    return ""


def number_words(number: float) -> str:
    """A number as a spec would write it: `10_000`, `0.5`."""
    return f"{int(number):_}" if float(number).is_integer() and abs(number) < 1e15 else f"{number:g}"


def measure_words(dimension: str) -> str:
    """What a quantity of a dimension is: `a time`, `a number of queries`."""
    return DIMENSIONS.get(dimension, f"a number of {dimension}")


def enumerated(names: Iterable[object]) -> str:
    """Names between backticks as a person lists them: `a`, `b` and `c`."""
    shown = [f"`{name}`" for name in names]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
