"""Arithmetic and comparison on plain values and quantities."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from mialang.meaning.units import Quantity

ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
COMPARISON: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


LARGEST = 10**18  # of whole numbers


class ArithmeticProblem(Exception):  # noqa: N818 - a problem in the spec, not an error of the program
    """Two values that cannot be joined; the text says why in the reader's words, `help` what to do."""

    def __init__(self, text: str, help: str = "join values of one kind") -> None:  # noqa: A002 - what findings call it
        super().__init__(text)
        self.help = help


def is_number(value: Any) -> bool:
    """Whether a value is a plain number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def calculate(sign: str, left: Any, right: Any) -> Any:
    """Join two numbers or quantities.

    Raises:
        ArithmeticProblem: the dimensions do not fit, or the result is not a number.
    """
    if is_number(left) and is_number(right):
        return _number(sign, left, right)
    match left, right:
        case Quantity(), Quantity() if left.dimension == right.dimension:
            value = _number(sign, left.value, right.value)
            return value if sign == "/" else _quantity(sign, value, left.dimension)
        case Quantity(), Quantity(dimension="share") if sign in "*/":
            return Quantity(_number(sign, left.value, right.value), left.dimension)
        case Quantity(dimension="share"), Quantity() if sign == "*":
            return Quantity(_number(sign, left.value, right.value), right.dimension)
        case Quantity(dimension="share"), _ if is_number(right) and sign in "+-":
            return _number(sign, left.value, right)
        case _, Quantity(dimension="share") if is_number(left):
            return _number(sign, left, right.value)
        case Quantity(), _ if is_number(right) and sign in "*/":
            return Quantity(_number(sign, left.value, right), left.dimension)
        case _, Quantity() if is_number(left) and sign == "*":
            return Quantity(_number(sign, left, right.value), right.dimension)
    raise ArithmeticProblem(f"{_shown(left)} and {_shown(right)} cannot be joined with `{sign}`")


def compare(sign: str, left: Any, right: Any) -> bool:
    """Compare two plain values.

    Raises:
        ArithmeticProblem: the two have no order.
    """
    if sign in ("==", "!="):
        same = _base(left) == _base(right)
        return same if sign == "==" else not same
    one, other = _base(left), _base(right)
    if not (is_number(one) and is_number(other)):
        raise ArithmeticProblem(
            f"{_shown(left)} and {_shown(right)} have no order", "compare numbers, or test with `==`"
        )
    if isinstance(left, Quantity) and isinstance(right, Quantity) and left.dimension != right.dimension:
        raise ArithmeticProblem(f"`{left}` and `{right}` measure different things", "compare values of one unit")
    return COMPARISON[sign](one, other)


def _base(value: Any) -> Any:
    return value.value if isinstance(value, Quantity) else value


def _number(sign: str, left: float, right: float) -> float:
    try:
        result = ARITHMETIC[sign](left, right)
    except ZeroDivisionError:
        raise by_zero() from None
    except OverflowError:
        raise _too_large() from None
    if isinstance(result, int) and abs(result) > LARGEST:
        raise _too_large()
    if not math.isfinite(result) and math.isfinite(left) and math.isfinite(right):
        raise _too_large()
    return result


def by_zero() -> ArithmeticProblem:
    """The problem of a division by zero."""
    return ArithmeticProblem("this divides by zero", "nothing can be divided by zero: change the divisor")


def _too_large() -> ArithmeticProblem:
    return ArithmeticProblem(
        "this number is too large", "whole numbers have at most 18 digits; other numbers stay below 1e300"
    )


def _quantity(sign: str, value: float, dimension: str) -> Quantity:
    if sign == "*":
        raise ArithmeticProblem(f"two quantities of {dimension} have no product here")
    return Quantity(value, dimension)


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case str():
            return f'the text "{value}"'
        case int() | float() | Quantity():
            return f"`{value}`"
        case None:
            return "nothing"
        case tuple():
            return "a list"
    name = getattr(value, "name", "")
    return f"`{name}`" if name else "this"
