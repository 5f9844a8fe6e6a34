"""Slips worth a sentence of their own: what people write who come from another language, or who are in a hurry.

A slip is a function from a situation to a finding, or to None where it does not apply; the first that applies is told.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from mialang.diagnostics import Diagnostic, error
from mialang.source import Span
from mialang.syntax.situation import Situation
from mialang.syntax.tokens import Token

VALUES = {"INT", "NUMBER", "QUANTITY", "TRUE", "FALSE", "LSQB", "STRING", "MINUS"}
PLAIN_NUMBERS = {"INT", "NUMBER"}
SHORT = 40  # characters of a value that are worth repeating in a help
UNITS = {
    "%": ("percent", "per_cent", "pct"), "ms": ("msec", "millisecond", "milliseconds"), "s": ("sec", "secs", "second", "seconds"),
    "min": ("m", "mins", "minute", "minutes"), "h": ("hr", "hrs", "hour", "hours"), "d": ("day", "days"),
    "kB": ("kb", "kilobytes"), "MB": ("mb", "megabytes"), "GB": ("gb", "gigabytes"), "KiB": ("kib",), "MiB": ("mib",),
    "GiB": ("gib",), "bits": ("bit",),
    "queries": ("query", "question", "questions"), "tokens": ("token",), "steps": ("step",), "epochs": ("epoch",),
    "usd": ("dollar", "dollars"),
}  # fmt: skip
SLIPS_OF_UNITS = {slip: unit for unit, slips in UNITS.items() for slip in slips}
KEYWORDS = {"IMPORT", "PARAM", "LET", "VERB", "NOT", "TRUE", "FALSE", "AS", "WHERE", "BECAUSE", "AND", "OR", "IN"}
PARTNER = {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}
CLOSING = {"RBRACE": "LBRACE", "RPAR": "LPAR", "RSQB": "LSQB"}


def _unclosed(situation: Situation) -> Diagnostic | None:
    if situation.token.type == "UNCLOSED":
        return error("E0102", "this text is never closed", situation.span, "the quote opens here").help(
            'add a closing `"` on the same line; longer texts stand between `"""`'
        )
    if situation.token.type == "UNCLOSED_DOC":
        start = situation.span.start
        span = Span(situation.source, start, start + 3)
        return error("E0102", "this doc string is never closed", span, "it opens here").help('add a closing `"""`')
    return None


def named(character: str) -> str:
    """A character that may be invisible, by its number and name."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _unknown(situation: Situation) -> Diagnostic | None:
    if situation.token.type != "UNKNOWN" or (character := str(situation.token)[0]).isdigit():
        return None
    if character.isalpha():
        return _not_a_name(situation, situation.span.start)
    if not character.isprintable() or character.isspace():
        return error("E0101", f"the invisible character {named(character)} stands here", situation.span).help(
            "remove it, or put a plain space in its place"
        )
    hints = {
        "'": 'text stands between double quotes: `"…"`',
        ";": "items of a list are separated by commas, entries of a block by the end of the line",
        "&": "write `and`",
        "|": "write `or`",
        "!": "write `not`, or `!=`",
        "$": "names are written as they are, without `$`",
        "^": "powers are not part of the language",
        **dict.fromkeys("“”„‟«»\N{LEFT SINGLE QUOTATION MARK}’`", 'text stands between straight double quotes: `"…"`'),
        **dict.fromkeys("−–—", "write `-`"),
        **{
            sign: f"write `{plain}`"
            for sign, plain in (("≤", "<="), ("≥", ">="), ("≠", "!="), ("×", "*"), ("÷", "/"), ("…", ".."))
        },
    }
    plain = unicodedata.normalize("NFKC", character)
    if plain.isascii() and plain != character:
        hints.setdefault(character, f"write `{plain}`")
    finding = error("E0101", f"{situation.found} means nothing in a spec", situation.span)
    return finding.help(hints.get(character, "remove it; comments start with `#`"))


def _comment(situation: Situation) -> Diagnostic | None:
    """`//` and `/*`, which begin comments elsewhere."""
    if situation.token.type != "TIMES":
        return None
    previous, end = situation.previous, situation.span.end
    start = situation.span.start
    if previous is not None and previous == "/" and situation.adjacent(previous, situation.token):
        start, end = start - 1, end - 1
    if (sign := situation.source.text[start : start + 2]) not in ("//", "/*"):
        return None
    return error("E0101", f"`{sign}` begins no comment here", Span(situation.source, start, start + 2)).help(
        "comments start with `#`"
    )


def _number(situation: Situation) -> Diagnostic | None:
    """Numbers as they are written elsewhere: `5k`, `0x10`, `.5`, `5.`; and words that are no units: `20 minutes`."""
    token, previous = situation.token, situation.previous
    text = str(token)
    if token.type == "UNKNOWN" and text[0].isdigit():
        return _odd_number(situation, text)
    following = situation.source.text[situation.span.end : situation.span.end + 1]
    if token.type == "DOT" and following.isdigit() and "DOT" not in situation.accepts():
        digits = re.match(r"\d*", situation.source.text[situation.span.end :])
        assert digits is not None
        span = Span(situation.source, situation.span.start, situation.span.end + digits.end())
        return error("E0114", f"`{span.text}` is no number", span).help(f"write `0{span.text}`")
    if (
        (pair := situation.last(2))
        and pair[0].type in PLAIN_NUMBERS
        and pair[1].type == "DOT"
        and situation.adjacent(*pair)
    ):
        span = Span(situation.source, pair[0].start_pos, pair[1].end_pos)
        return error("E0114", f"`{span.text}` is no number", span).help(f"write `{pair[0]}` or `{pair[0]}.0`")
    accepted = situation.accepts()
    if token.type == "NAME" and previous is not None and previous.type in PLAIN_NUMBERS:
        return _odd_unit(situation, previous, token)
    if "LBRACE" in accepted and accepted & {"EQUAL", "COLON"}:
        for number, word in pairwise(situation.before[-3:]):
            if number.type in PLAIN_NUMBERS and word.type == "NAME":
                return _odd_unit(situation, number, word)
    return None


def _odd_number(situation: Situation, text: str) -> Diagnostic:
    if "NAME" in situation.accepts() and not situation.accepts() & PLAIN_NUMBERS:
        return _not_a_name(situation, situation.span.start)
    finding = error("E0114", f"`{text}` is no number", situation.span)
    parts = re.fullmatch(r"([\d_.]*\d)_?([^\W\d_]+)", text)
    if parts is None:
        return finding.help("numbers are decimal, with `_` between digits: `1_500`, `0.02`, `2e-4`")
    if unit := SLIPS_OF_UNITS.get(parts[2].casefold()):
        return finding.help(f"write `{parts[1]} {unit}`")
    if (power := {"k": "000", "m": "000_000"}.get(parts[2].casefold())) and parts[1].isdigit():
        return finding.help(f"write `{parts[1]}_{power}`")
    return finding.help(f"units are {_units()}")


def _odd_unit(situation: Situation, number: Token, word: Token) -> Diagnostic | None:
    if not situation.on_one_line(number, word):
        return None
    span = situation.span_of(word)
    finding = error("E0114", f"`{word}` is no unit", span, f"after the number {number}")
    if unit := SLIPS_OF_UNITS.get(word.casefold()):
        return finding.help(f"write `{number} {unit}`")
    return finding.help(f"units are {_units()}")


def _units() -> str:
    return ", ".join(f"`{unit}`" for unit in UNITS)


def _not_a_name(situation: Situation, start: int) -> Diagnostic:
    """A word where a name belongs that cannot be one."""
    word = re.match(r"[\w-]*\w", situation.source.text[start:])
    assert word is not None
    span = Span(situation.source, start, start + word.end())
    finding = error("E0107", f"`{word[0]}` cannot be a name", span)
    plain = word[0].replace("-", "_")
    if "-" in word[0] and re.fullmatch(r"[A-Za-z_]\w*", plain):
        return finding.help(f"write `{plain}`: in a name, words are joined by `_`")
    return finding.help("names begin with a letter from a to z or with `_`, and go on with letters, digits and `_`")


def _dashed(situation: Situation) -> Diagnostic | None:
    """`my-data`, where only a name can stand."""
    previous = situation.previous
    if situation.token.type != "MINUS" or previous is None or previous.type != "NAME" or "MINUS" in situation.accepts():
        return None
    following = situation.source.text[situation.span.end : situation.span.end + 1]
    if not situation.adjacent(previous, situation.token) or not (following.isalnum() or following == "_"):
        return None
    return _not_a_name(situation, previous.start_pos)


def _edition(situation: Situation) -> Diagnostic | None:
    """`mia 1` that is not the first line, or without its number."""
    word = next((each for each in situation.last(2) + situation.last(1) if str(each) == "mia"), None)
    if word is None or situation.opened() is not None:
        return None
    span = situation.span_of(word)
    if not situation.source.text[: span.start].strip():
        return error("E0109", "`mia` is followed by the edition of the language", span).help(
            "write `mia 1` as the first line"
        )
    if situation.token.type in PLAIN_NUMBERS and word is situation.previous:
        span = Span(situation.source, span.start, situation.span.end)
        return error("E0109", "the edition stands in the first line of a file", span).help(
            "move `mia 1` to the top, before everything else"
        )
    return None


def _end_inside(situation: Situation) -> Diagnostic | None:
    opened = situation.opened()
    if situation.token.type != "$END" or opened is None:
        return None
    start, end = situation.span_of(opened), situation.span
    finding = error("E0103", f"the file ends while `{opened}` is still open", end, "the file ends here")
    missing = f"add the missing `{PARTNER[opened.type]}`"
    if (line := _line_outside(start)) is not None:
        missing += f", perhaps before line {line}"
    return (finding.also(start, "opened here") if start != end else finding).help(missing)


def _line_outside(opened: Span) -> int | None:
    """The first line after a bracket that stands no further to the right than the line that opens it."""
    number, _ = opened.source.position(opened.start)
    margin = _indentation(opened.source.line(number))
    for later in range(number + 1, len(opened.source.line_starts) + 1):
        line = opened.source.line(later)
        if line.strip() and line.lstrip()[0] not in ")]}#" and _indentation(line) <= margin:
            return later
    return None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _stray_bracket(situation: Situation) -> Diagnostic | None:
    if situation.token.type not in CLOSING:
        return None
    opened = situation.opened()
    if opened is not None and opened.type == CLOSING[situation.token.type]:
        return None
    if opened is None:
        return error("E0103", f"{situation.found} closes nothing", situation.span, "no bracket is open here").help(
            "remove it, or open the bracket that it should close"
        )
    partner = PARTNER[opened.type]
    return (
        error(
            "E0103",
            f"{situation.found} comes while `{opened}` is still open",
            situation.span,
            f"`{partner}` belongs before it",
        )
        .also(situation.span_of(opened), "opened here")
        .help(f"close `{opened}` with `{partner}`")
    )


def _keyword_as_name(situation: Situation) -> Diagnostic | None:
    accepted, previous = situation.accepts(), situation.previous
    if previous is not None and not situation.on_one_line(previous, situation.token):
        return None  # what is missing at the end of the line before is told by the message of the waiting state
    if situation.token.type in KEYWORDS and "NAME" in accepted and not accepted & {"INT", "VERB"}:
        return error(
            "E0107", f"{situation.found} is a word of the language", situation.span, "a name is needed here"
        ).help("choose another name")
    return None


def _missing_equals(situation: Situation) -> Diagnostic | None:
    token, previous, accepted = situation.token, situation.previous, situation.accepts()
    if token.type in VALUES and previous is not None and previous.type == "NAME" and {"EQUAL", "LBRACE"} <= accepted:
        return _valued(situation, previous, situation.span, _value_at(situation))
    if "LBRACE" not in accepted or not (pair := situation.last(2)) or not situation.on_one_line(*pair):
        return None
    name, value = pair
    span = situation.span_of(value)
    if name.type != "NAME" or "COLON" not in accepted:
        return None
    if value.type == "NAME" and token.type in {"DOT", "LPAR", "LSQB"}:
        return _valued(situation, name, Span(situation.source, span.start, situation.span.end), f"{value}{token}…")
    if value.type in ("NAME", "STRING") and situation.opened() is not None and token.type not in ("MINUS", "UNKNOWN"):
        return _valued(situation, name, span, str(value))
    return None


def _value_at(situation: Situation) -> str:
    """The value that begins at the offending token, as far as it stands without a space."""
    token = situation.token
    if token.type == "LSQB":
        return "[ …"
    if token.type in ("STRING", "QUANTITY"):
        return str(token)
    found = re.match(r"[^\s,{}()\[\]#]+", situation.source.text[situation.span.start :])
    return found[0] if found else str(token)


def _valued(situation: Situation, name: Token, span: Span, value: str) -> Diagnostic:
    if situation.opened() is None:
        return _needs_let(name, span, value)
    return error("E0110", f"`{name}` has a value but no `=`", span, "the value starts here").help(
        f"write `{name} = {value}`"
    )


def _needs_let(name: Token, span: Span, value: str) -> Diagnostic:
    return error("E0115", f"`{name}` is given a value outside a block", span).help(
        f"write `let {name} = {value}`; what `--set` may change is a `param`"
    )


def _outside_a_block(situation: Situation) -> Diagnostic | None:
    """`x = 3` at the top of a file."""
    if situation.token.type != "EQUAL" or situation.opened() is not None:
        return None
    if (name := situation.previous) is not None and name.type == "NAME" and "LBRACE" in situation.accepts():
        triple = situation.last(3)
        if triple and triple[1].type == "COLON" and triple[0].type == "NAME":
            return error("E0115", f"`{triple[0]}` is given a value outside a block", situation.span).help(
                f"write `param {triple[0]} : {name} = {_rest_of_line(situation)}`"
            )
        if not (pair := situation.last(2)) or pair[0].type != "NAME" or not situation.on_one_line(*pair):
            return _needs_let(name, situation.span, _rest_of_line(situation))
    return None


def _rest_of_line(situation: Situation) -> str:
    """What follows the offending token on its line, where that is short."""
    line = situation.source.text[situation.span.end :].partition("\n")[0].strip()
    return line if 0 < len(line) <= SHORT and "#" not in line else "…"


def _from_import(situation: Situation) -> Diagnostic | None:
    """`from std.attack import GMI`, as Python writes it."""
    words = [each for each in situation.before if str(each) == "from"]
    if not words or situation.opened() is not None:
        return None
    start = words[-1].start_pos
    found = re.match(r"from +([\w.]+) +import +([\w, ]*\w)", situation.source.text[start:])
    if found is None:
        return None
    span = Span(situation.source, start, start + found.end())
    return error("E0100", "an import begins with `import`", span).help(f"write `import {found[1]} {{ {found[2]} }}`")


def _colon(situation: Situation) -> Diagnostic | None:
    """`split: "train"`, as other languages write it."""
    token = situation.token
    if (pair := situation.last(2)) and pair[1].type == "COLON" and token.type in VALUES:
        name, colon, value = *pair, str(token) if token.type != "LSQB" else "…"
        earlier = situation.before[:-2]
    elif (triple := situation.last(3)) and triple[1].type == "COLON" and triple[2].type == "NAME":
        name, colon, value = triple
        earlier = situation.before[:-3]
    else:
        return None
    if name.type != "NAME":
        return None
    if earlier and earlier[-1].type in ("NAME", "PARAM") and situation.on_one_line(earlier[-1], name):
        return None
    span = situation.span_of(colon)
    if situation.opened() is None:
        return error("E0110", f"`{name}` is followed by `:` and not by a block", span).help(
            f"a block has a name and braces: `{name} NAME : TYPE {{ … }}`"
        )
    return error("E0110", f"`{name}` has a value but no `=`", span, "values are given with `=`").help(
        f"write `{name} = {value}`"
    )


def _single_equals(situation: Situation) -> Diagnostic | None:
    if situation.token.type == "EQUAL" and "COMPARE" in situation.accepts() and situation.in_rule():
        turned = situation.source.text[situation.token.end_pos :][:1]  # of `=<` and `=>`
        meant = f"{turned}=" if turned in ("<", ">") else "=="
        return error("E0111", "`=` gives a value; here two values are compared", situation.span).help(
            f"write `{meant}`"
        )
    return None


def _listed(situation: Situation) -> Diagnostic | None:
    opened = situation.opened()
    if situation.token.type != "COMMA" or opened is None or opened.type != "LPAR":
        return None
    before = situation.source.text[: opened.start_pos].rstrip()[-1:]
    if before.isalnum() or before in ("_", ")", "]"):
        return None
    return (
        error("E0113", "parentheses group one value", situation.span, "a second value would start here")
        .also(situation.span_of(opened), "opened here")
        .help("write a list in square brackets: `[a, b]`")
    )


def _chained(situation: Situation) -> Diagnostic | None:
    if situation.token.type != "COMPARE" or "COMPARE" not in situation.accepts():
        return None
    return error("E0112", "comparisons do not chain", situation.span, "the second comparison").help(
        "join two comparisons with `and`: `0 <= x and x <= 1`"
    )


SLIPS = (
    _unclosed,
    _unknown,
    _number,
    _comment,
    _edition,
    _dashed,
    _from_import,
    _outside_a_block,
    _colon,
    _end_inside,
    _stray_bracket,
    _keyword_as_name,
    _missing_equals,
    _single_equals,
    _listed,
    _chained,
)
