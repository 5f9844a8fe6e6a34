"""From grammar rules to tree nodes: one method per rule of `mia.lark`, called while the parser reduces."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from inspect import cleandoc
from typing import Any, TypeVar

from mialang.source import Source, Span
from mialang.syntax import tree
from mialang.syntax.automaton import Children
from mialang.syntax.grammar import automaton
from mialang.syntax.tokens import Token

ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
DEEPEST = 100

Grown = TypeVar("Grown", bound=tree.Node)


class TooDeep(Exception):  # noqa: N818 - a problem in the spec, not an error of the program
    """An expression is nested more than `DEEPEST` levels; carries the span."""

    def __init__(self, span: Span) -> None:
        super().__init__("nested too deeply")
        self.span = span


class Builder:
    """Makes the nodes of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._depth: dict[int, int] = {}

    def __call__(self, rule: int, pieces: Children) -> Any:
        """The node that a rule makes of its children."""
        return _methods()[rule](self, pieces)

    # -- small pieces ---------------------------------------------------------------------------------------------

    def _span(self, pieces: Sequence[Any]) -> Span:
        """The span from the first to the last of some tokens and nodes."""
        first, last = pieces[0], pieces[-1]
        start = first.start_pos if isinstance(first, Token) else first.span.start
        return Span(self._source, start, last.end_pos if isinstance(last, Token) else last.span.end)

    def _grow(self, node: Grown) -> Grown:
        """Track how deep an expression nests, so that nothing downstream can overflow the stack."""
        depth = 1 + max((self._depth.pop(id(child), 0) for child in tree.children(node)), default=0)
        if depth > DEEPEST:
            raise TooDeep(node.span)
        self._depth[id(node)] = depth
        return node

    @staticmethod
    def _nodes(pieces: Children) -> list[Any]:
        return [piece for piece in pieces if isinstance(piece, tree.Node)]

    def _name(self, token: Token) -> tree.Name:
        return tree.Name(self._span([token]), str(token))

    def _string(self, token: Token) -> tree.String:
        text = re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[0]), str(token)[1:-1])
        return tree.String(self._span([token]), text)

    def _doc(self, token: Token) -> tree.Doc:
        return tree.Doc(self._span([token]), cleandoc(str(token)[3:-3]).strip())

    def _quantity(self, token: Token) -> tree.Quantity:
        found = re.fullmatch(r"([\d_.eE+-]+?) ?(%|[A-Za-z]+)", str(token))
        assert found is not None, token
        return tree.Quantity(self._span([token]), float(found[1].replace("_", "")), found[2])

    # -- expressions ----------------------------------------------------------------------------------------------

    def integer(self, pieces: Children) -> tree.Integer:
        return tree.Integer(self._span(pieces), int(pieces[0].replace("_", "")))

    def number(self, pieces: Children) -> tree.Number:
        return tree.Number(self._span(pieces), float(pieces[0].replace("_", "")))

    def quantity(self, pieces: Children) -> tree.Quantity:
        return self._quantity(pieces[0])

    def string(self, pieces: Children) -> tree.String:
        return self._string(pieces[0])

    def true(self, pieces: Children) -> tree.Boolean:
        return tree.Boolean(self._span(pieces), True)

    def false(self, pieces: Children) -> tree.Boolean:
        return tree.Boolean(self._span(pieces), False)

    def name(self, pieces: Children) -> tree.Name:
        return self._name(pieces[0])

    def list(self, pieces: Children) -> tree.ListOf:
        return self._grow(tree.ListOf(self._span(pieces), tuple(self._nodes(pieces))))

    def table(self, pieces: Children) -> tree.Table:
        return self._grow(tree.Table(self._span(pieces), tuple(self._nodes(pieces))))

    def group(self, pieces: Children) -> tree.Expression:
        inner: tree.Expression = pieces[1]
        return inner

    def negate(self, pieces: Children) -> tree.Negate:
        return self._grow(tree.Negate(self._span(pieces), pieces[1]))

    def not_(self, pieces: Children) -> tree.Not:
        return self._grow(tree.Not(self._span(pieces), pieces[1]))

    def binary(self, pieces: Children) -> tree.Binary:
        return self._grow(tree.Binary(self._span(pieces), str(pieces[1]), pieces[0], pieces[2]))

    def compare(self, pieces: Children) -> tree.Compare:
        return self._grow(tree.Compare(self._span(pieces), str(pieces[1]), pieces[0], pieces[2]))

    def within(self, pieces: Children) -> tree.Within:
        return self._grow(tree.Within(self._span(pieces), pieces[0], pieces[-1]))

    def and_(self, pieces: Children) -> tree.Logic:
        return self._grow(tree.Logic(self._span(pieces), "and", pieces[0], pieces[-1]))

    def or_(self, pieces: Children) -> tree.Logic:
        return self._grow(tree.Logic(self._span(pieces), "or", pieces[0], pieces[-1]))

    def interval(self, pieces: Children) -> tree.Interval:
        return self._grow(tree.Interval(self._span(pieces), pieces[0], pieces[-1]))

    def member(self, pieces: Children) -> tree.Member:
        return self._grow(tree.Member(self._span(pieces), pieces[0], self._name(pieces[-1])))

    def index(self, pieces: Children) -> tree.Index:
        return self._grow(tree.Index(self._span(pieces), pieces[0], pieces[2]))

    def named(self, pieces: Children) -> tree.Argument:
        name = self._name(pieces[0])
        return self._grow(tree.Argument(self._span([name, pieces[-1]]), name, pieces[-1]))

    def call(self, pieces: Children) -> tree.Call:
        arguments = tuple(
            piece if isinstance(piece, tree.Argument) else tree.Argument(piece.span, None, piece)
            for piece in self._nodes(pieces[1:])
        )
        return self._grow(tree.Call(self._span(pieces), pieces[0], arguments))

    # -- types ----------------------------------------------------------------------------------------------------

    def path(self, pieces: Children) -> tree.Path:
        return tree.Path(self._span(pieces), tuple(self._name(piece) for piece in pieces))

    def type_args(self, pieces: Children) -> tuple[Token, tuple[tree.TypeName, ...], Token]:
        return pieces[0], tuple(self._nodes(pieces)), pieces[-1]

    def refinement(self, pieces: Children) -> tuple[Token, Any, Any, Token]:
        middle = next(i for i, piece in enumerate(pieces) if isinstance(piece, Token) and piece.type == "UPTO")
        low = pieces[1] if middle == 2 else None
        high = pieces[middle + 1] if len(pieces) > middle + 2 else None
        return pieces[0], low, high, pieces[-1]

    def type(self, pieces: Children) -> tree.TypeName:
        path, *rest = pieces
        arguments: tuple[tree.TypeName, ...] = ()
        low = high = None
        refined = False
        last: Any = path
        for piece in rest:
            if len(piece) == 3:
                arguments, last = piece[1], piece[2]
            else:
                _, low, high, last = piece
                refined = True
        return self._grow(tree.TypeName(self._span([path, last]), path, arguments, refined, low, high))

    # -- items ----------------------------------------------------------------------------------------------------

    def attr(self, pieces: Children) -> tree.Attribute:
        name = self._name(pieces[0])
        return self._grow(tree.Attribute(self._span([name, pieces[-1]]), name, pieces[-1]))

    def renamed(self, pieces: Children) -> tree.Renamed:
        names = [self._name(piece) for piece in pieces]
        return tree.Renamed(self._span(pieces), names[0], names[1] if len(names) > 1 else None)

    def _module(self, piece: Any) -> tree.Path | tree.String:
        return self._string(piece) if isinstance(piece, Token) else piece

    def import_module(self, pieces: Children) -> tree.ImportModule:
        alias = self._name(pieces[2]) if len(pieces) > 2 else None
        return tree.ImportModule(self._span(pieces), self._module(pieces[1]), alias)

    def import_names(self, pieces: Children) -> tree.ImportNames:
        names = tuple(piece for piece in pieces if isinstance(piece, tree.Renamed))
        return tree.ImportNames(self._span(pieces), self._module(pieces[1]), names)

    def facts(self, pieces: Children) -> tuple[tuple[tree.Attribute, ...], Token]:
        return tuple(self._nodes(pieces)), pieces[-1]

    def param(self, pieces: Children) -> tree.Param:
        keyword, name, type_name, *rest = pieces
        default: Any = next((piece for piece in rest if isinstance(piece, tree.Node)), None)
        facts, brace = next((piece for piece in rest if isinstance(piece, tuple)), ((), None))
        end = brace or default or type_name
        return tree.Param(self._span([keyword, end]), self._name(name), type_name, default, facts)

    def let(self, pieces: Children) -> tree.Let:
        return tree.Let(self._span([pieces[0], pieces[-1]]), self._name(pieces[1]), pieces[-1])

    def label(self, pieces: Children) -> tuple[str, tree.Name | tree.String]:
        token = pieces[0]
        return "label", self._name(token) if token.type == "NAME" else self._string(token)

    def of_type(self, pieces: Children) -> tuple[str, tree.Path]:
        return "type", pieces[-1]

    def body(self, pieces: Children) -> tuple[str, Children]:
        return "body", pieces

    def block(self, pieces: Children) -> tree.Block:
        parts = dict(pieces[1:])
        inside = parts["body"]
        doc = next((self._doc(piece) for piece in inside if isinstance(piece, Token) and piece.type == "DOC"), None)
        return self._grow(
            tree.Block(
                self._span([pieces[0], inside[-1]]),
                self._name(pieces[0]),
                parts.get("label"),
                parts.get("type"),
                doc,
                tuple(self._nodes(inside)),
            )
        )

    def confidence(self, pieces: Children) -> tree.Confidence:
        level = next(piece for piece in pieces if piece.type == "QUANTITY")
        return tree.Confidence(self._span(pieces), self._quantity(level))

    def where(self, pieces: Children) -> tree.Where:
        return tree.Where(self._span(pieces[-1:]), pieces[-1])

    def because(self, pieces: Children) -> tree.Because:
        return tree.Because(self._span(pieces), self._string(pieces[-1]))

    def rule(self, pieces: Children) -> tree.Rule:
        return tree.Rule(self._span(pieces), str(pieces[0]), pieces[1], tuple(pieces[2:]))

    def edition(self, pieces: Children) -> tuple[str, int]:
        return "edition", int(pieces[-1].replace("_", ""))

    def start(self, pieces: Children) -> tree.File:
        edition = next((piece[1] for piece in pieces if isinstance(piece, tuple)), None)
        doc = next((self._doc(piece) for piece in pieces if isinstance(piece, Token)), None)
        whole = Span(self._source, 0, len(self._source.text))
        return tree.File(whole, edition, doc, tuple(self._nodes(pieces)))


@cache
def _methods() -> list[Callable[[Builder, Children], Any]]:
    """What makes the node of each rule, by its number."""
    return [getattr(Builder, rule.method, _none) for rule in automaton().rules]


def _none(_: Builder, pieces: Children) -> Any:
    """A rule without a method makes no node: it hands its children over, or its only child stands for it."""
    raise AssertionError(f"nothing makes a node of {pieces}")
