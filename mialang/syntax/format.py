"""The one layout: only white space changes, so meaning cannot; applying it twice changes nothing more."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from mialang.syntax.grammar import BEFORE_NUMBER, lex
from mialang.syntax.tokens import Token

OPENING = {"LBRACE", "LPAR", "LSQB"}
CLOSING = {"RBRACE", "RPAR", "RSQB"}
TIGHT_BEFORE = {"COMMA", "RPAR", "RSQB", "DOT", "UPTO"}
TIGHT_AFTER = {"LPAR", "LSQB", "DOT", "UPTO"}
WORDS = {"NAME", "AT", "CONFIDENCE", "MIA"}
VALUE_ENDS = WORDS | {"INT", "NUMBER", "QUANTITY", "STRING", "TRUE", "FALSE", "RPAR", "RSQB", "RBRACE"}
ENTRY_STARTS = WORDS | {"VERB", "PARAM", "LET"}
CONTINUES = {"WHERE", "BECAUSE", "AND", "OR", "IN", "PLUS", "TIMES", "COMPARE"}
INDENT = "  "
HANG = 2


@dataclass
class Line:
    """The tokens of one line and how far it is indented, in steps of two spaces; no tokens is a blank line."""

    tokens: list[Token] = field(default_factory=list)
    indent: int = 0


def format_text(text: str) -> str:
    """Lay out a text that parses."""
    lines = _without_idle_blanks(_lines(text))
    written: list[str] = []
    position = 0
    while position < len(lines):
        run = _aligned_run(lines, position)
        if len(run) > 1:
            written.extend(_align(run))
            position += len(run)
        else:
            line = lines[position]
            written.append(INDENT * line.indent + _join(line.tokens) if line.tokens else "")
            position += 1
    return "\n".join(written) + "\n"


def _lines(text: str) -> list[Line]:
    """Cut the tokens into lines and find each line's indentation from the brackets open before it."""
    lines: list[Line] = []
    current = Line()
    levels: list[int] = []  # per open bracket: the indentation of what stands inside it
    owners: list[int] = []  # per open bracket: the indentation of the line that opened it

    def finish() -> None:
        nonlocal current
        if current.tokens:
            lines.append(current)
        current = Line()

    for token in lex(text, everything=True):
        if token.type == "WHITESPACE":
            if "\n" in token:
                finish()
                if token.count("\n") > 1 and lines and lines[-1].tokens:
                    lines.append(Line())
            continue
        first = not current.tokens
        if token.type in CLOSING and levels:
            levels.pop()
            owner = owners.pop()
            if first:
                current.indent = owner
        elif first:
            current.indent = levels[-1] if levels else 0
            if token.type in CONTINUES or (token.type == "AT" and BEFORE_NUMBER.match(text, token.end_pos)):
                current.indent += HANG
        current.tokens.append(token)
        if token.type in OPENING:
            levels.append(current.indent + 1)
            owners.append(current.indent)
    finish()
    return lines


def _without_idle_blanks(lines: list[Line]) -> list[Line]:
    """Drop blank lines at the ends, after an opening and before a closing bracket."""
    kept: list[Line] = []
    for line in lines:
        before = kept[-1].tokens if kept else []
        if not line.tokens and (not before or before[-1].type in OPENING):
            continue
        if line.tokens and line.tokens[0].type in CLOSING and kept and not before:
            kept.pop()
        kept.append(line)
    while kept and not kept[-1].tokens:
        kept.pop()
    return kept


def _shape(line: Line) -> str:
    """The table that a line can be a row of: `attr`, `let`, `param`, or none."""
    kinds = [token.type for token in line.tokens[:3]]
    if len(line.tokens) > 2 and kinds[0] in WORDS and kinds[1] == "EQUAL":
        return "attr"
    if kinds[:1] == ["LET"] and kinds[2:3] == ["EQUAL"]:
        return "let"
    if kinds[:1] == ["PARAM"] and kinds[2:3] == ["COLON"]:
        return "param"
    return ""


def _aligned_run(lines: list[Line], start: int) -> list[Line]:
    """The lines from `start` on that form one table; a line that leaves a bracket open can only be the last."""
    shape = _shape(lines[start])
    if not shape:
        return []
    run: list[Line] = []
    for line in lines[start:]:
        if _shape(line) != shape or line.indent != lines[start].indent:
            break
        run.append(line)
        if _open(line.tokens):
            break
    return run


def _open(tokens: list[Token]) -> int:
    return sum((token.type in OPENING) - (token.type in CLOSING) for token in tokens)


def _align(run: list[Line]) -> list[str]:
    rows = [_cells(line.tokens) for line in run]
    widths = [max(len(row[column]) for row in rows if len(row) > column + 1) if any(len(row) > column + 1 for row in rows)
              else 0 for column in range(max(map(len, rows)))]  # fmt: skip
    return [
        INDENT * line.indent
        + " ".join(cell if column == len(row) - 1 else cell.ljust(widths[column]) for column, cell in enumerate(row))
        for line, row in zip(run, rows, strict=True)
    ]


def _cells(tokens: list[Token]) -> list[str]:
    """Cut a line before the signs that line up: `:` (of a parameter) and `=`, at bracket depth 0."""
    cuts = [0]
    depth = 0
    wanted = ["COLON", "EQUAL"] if tokens[0].type == "PARAM" else ["EQUAL"]
    for place, token in enumerate(tokens):
        depth += (token.type in OPENING) - (token.type in CLOSING)
        if depth == 0 and wanted and token.type in wanted:
            cuts.append(place)
            del wanted[: wanted.index(token.type) + 1]
    cuts.append(len(tokens))
    return [_join(tokens[start:end]) for start, end in pairwise(cuts)]


def _join(tokens: list[Token]) -> str:
    text = ""
    for place, token in enumerate(tokens):
        if place:
            text += " " * _gap(tokens, place)
        text += str(token)
    return text


def _gap(tokens: list[Token], place: int) -> int:
    """How many spaces stand before a token inside a line."""
    token, previous = tokens[place], tokens[place - 1]
    if token.type == "COMMENT":
        return 2
    if previous.type == "LBRACE" and token.type == "RBRACE":
        return 0
    if token.type in TIGHT_BEFORE or previous.type in TIGHT_AFTER:
        return 0
    if token.type in {"LPAR", "LSQB"}:
        return 0 if previous.type in WORDS | {"RPAR", "RSQB", "STRING"} else 1
    if previous.type == "MINUS" and (place == 1 or tokens[place - 2].type not in VALUE_ENDS):
        return 0
    if token.type in ENTRY_STARTS and previous.type in VALUE_ENDS and _starts_entry(tokens, place):
        return 2
    return 1


def _starts_entry(tokens: list[Token], place: int) -> bool:
    """Whether a word after a value begins a new entry on the same line."""
    token = tokens[place]
    if token.type in {"PARAM", "LET", "VERB"}:
        return True
    follows = tokens[place + 1].type if place + 1 < len(tokens) else ""
    return follows in {"EQUAL", "LBRACE"} and not (follows == "LBRACE" and _is_head(tokens, place))


def _is_head(tokens: list[Token], place: int) -> bool:
    """Whether the words before a `{` are the head of one block: `kind name {`, `kind name : type.path {`."""
    before = tokens[place - 1]
    return before.type in WORDS and (place < 2 or tokens[place - 2].type != "EQUAL")
