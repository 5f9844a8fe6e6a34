"""Hypothesis strategies for `.mia` programs: random trees, printed with arbitrary spacing."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ("a", "gate", "target", "x1", "at", "confidence", "mia", "leak", "defense", "scores", "b_2")

names = st.sampled_from(WORDS)
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
strings = st.text(st.sampled_from('ab {}#=\\"\n'), max_size=6).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
)
docs = st.text(st.sampled_from("ab {}#=\n "), max_size=12).map(lambda text: f'"""{text}"""')
numbers = st.sampled_from(
    ["0", "7", "1_000", "0.5", "1e-5", "2.5e3", "95 %", "95%", "2 h", "10 queries", "true", "false"]
)


def _spread(items: list[str]) -> str:
    return ", ".join(items)


def _wrap(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(st.one_of(inner, st.tuples(names, inner).map(" = ".join)), max_size=3).map(_spread)
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{_spread(items)}]"),
        st.lists(st.tuples(names, inner).map(" = ".join), max_size=2).map(lambda items: "{ " + _spread(items) + " }"),
        st.tuples(paths, arguments).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda triple: f"({' '.join(triple)})"),
        inner.map(lambda text: f"(-({text}))"),
        st.tuples(paths, inner).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
        st.tuples(st.sampled_from("0123"), st.sampled_from("456")).map("..".join).map(lambda text: f"({text})"),
    )


expressions = st.recursive(st.one_of(names, paths, strings, numbers), _wrap, max_leaves=6)
comparisons = st.tuples(expressions, st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "in"]), expressions).map(
    " ".join
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not {text}"), st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join)
    ),
    max_leaves=3,
)
types = st.recursive(
    paths.flatmap(lambda path: st.sampled_from([path, f"{path}(1..)", f"{path}(..5 %)", f"{path}(0..1)"])),
    lambda inner: st.tuples(names, st.lists(inner, min_size=1, max_size=2)).map(
        lambda pair: f"{pair[0]}[{_spread(pair[1])}]"
    ),
    max_leaves=3,
)
attributes = st.tuples(names, expressions).map(" = ".join)
clauses = st.one_of(st.just("at 95 % confidence"), conditions.map("where {}".format), strings.map("because {}".format))
rules = st.tuples(
    st.sampled_from(["assert", "require", "warn", "control"]), conditions, st.lists(clauses, max_size=2).map("\n".join)
).map(" ".join)
params = st.tuples(
    names,
    types,
    st.one_of(st.just(""), expressions.map(" = {}".format)),
    st.one_of(st.just(""), attributes.map(" {{ {} }}".format)),
).map(lambda parts: f"param {parts[0]} : {parts[1]}{parts[2]}{parts[3]}")
lets = attributes.map("let {}".format)
comments = st.sampled_from(["", "", "# a comment", '  # another, with { and "\n'])


def _block(entry: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(st.tuples(entry, comments).map("".join), max_size=4)
    return st.tuples(
        names,
        st.one_of(st.just(""), names, strings),
        st.one_of(st.just(""), paths.map(": {}".format)),
        st.one_of(st.just(""), docs),
        body,
        st.sampled_from(["\n", "\n\n\n"]),
    ).map(lambda part: f"{part[0]} {part[1]} {part[2]} {{ {part[3]}\n{part[5].join(part[4])}\n}}")


entries = st.recursive(st.one_of(attributes, rules, params, lets), _block, max_leaves=5)
imports = st.one_of(
    paths.map("import {}".format),
    st.tuples(strings, names).map(lambda pair: f"import {pair[0]} as {pair[1]}"),
    st.tuples(paths, st.lists(names, min_size=1, max_size=3)).map(
        lambda pair: f"import {pair[0]} {{ {_spread(pair[1])} }}"
    ),
)
items = st.one_of(imports, rules, params, lets, _block(entries))
programs = st.tuples(
    st.sampled_from(["", "mia 1\n"]),
    st.one_of(st.just(""), docs),
    st.lists(items, min_size=1, max_size=5).map("\n".join),
).map("\n".join)

soup = st.lists(
    st.sampled_from(
        ["import", "param", "let", "x", "y", "1", "2 h", '"s"', '"""d"""', "{", "}", "(", ")", "[", "]", "=", ":", "require",
         "at", "95 %", "confidence", "where", "because", ",", ".", "..", "\n", "<=", "not", "mia", '"', '"""', "?", "\\", "é"]
    ),
    max_size=40,
).map(" ".join)  # fmt: skip
