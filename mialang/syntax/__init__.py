"""The text side: grammar, parser with recovery, syntax tree, formatter. It knows no domain word."""

from mialang.syntax.parser import parse

__all__ = ["parse"]
