"""Types of parameters: plain types with ranges, kinds of artefacts and descriptions, lists and choices of them."""

from __future__ import annotations

from dataclasses import dataclass

NUMBERS = {"int", "float", "share", "seconds", "queries", "tokens", "usd", "bytes"}
TEXTS = {"string", "variable", "url", "answer_path"}
PLAIN = NUMBERS | TEXTS | {"bool", "path", "table", "observable", "knowledge", "extent", "access", "range", "any"}
WORDED = {"one_of", "template"}  # types whose arguments are words
GENERIC = {"list": 1, "set": 1, "optional": 1, "one_of": None, "template": None}
BLOCKS = {"threat", "attack", "prior", "recipe", "defense", "metric"}


@dataclass(frozen=True)
class Type:
    """A type: its name, its arguments, and the range its values keep to (both ends included; None is open).

    The range of a list or set is that of how many values it holds.
    """

    name: str
    arguments: tuple[Type, ...] = ()
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        text = self.name
        if self.arguments:
            text += f"[{', '.join(map(str, self.arguments))}]"
        if self.low is not None or self.high is not None:
            low = "" if self.low is None else f"{self.low:g}"
            high = "" if self.high is None else f"{self.high:g}"
            text += f"({low}..{high})"
        return text

    @property
    def options(self) -> tuple[str, ...]:
        """The words of a `one_of`."""
        return tuple(argument.name for argument in self.arguments) if self.name == "one_of" else ()

    @property
    def item(self) -> Type:
        """What a list, set or optional is made of."""
        return self.arguments[0]

    @property
    def optional(self) -> bool:
        """Whether the value may be absent."""
        return self.name == "optional"

    def unlimited(self) -> Type:
        """The same type without its ranges."""
        return Type(self.name, tuple(argument.unlimited() for argument in self.arguments))

    def bare(self) -> Type:
        """The type without `optional`, lists and sets around it."""
        return self.item.bare() if self.name in ("optional", "list", "set") else self


ANY = Type("any")
