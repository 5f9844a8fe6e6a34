"""Checking is total: whatever is done to a good spec, the answer is findings that help, or a plan; never an exception."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.diagnostics.render import as_json, as_text
from mialang.meaning.check import check
from mialang.plan import lower
from mialang.plan.flow import prove_flow
from mialang.source import Source
from mialang.syntax.grammar import lex

GOOD = Path(__file__).parents[1] / "good"
FILES = sorted(GOOD.rglob("*.mia"))
TOKENS = {path: [str(token) for token in lex(path.read_text(), everything=True)] for path in FILES}
WORDS = sorted(
    {token for tokens in TOKENS.values() for token in tokens if token.strip() and not token.startswith(("#", '"""'))}
)
FEW = 20  # repeats: more make a plan larger and no other


def _sort(token: str) -> str:
    return "number" if token[0].isdigit() else "word" if token[0].isalpha() else token[0]


@st.composite
def changed(draw: st.DrawFn) -> tuple[Path, str]:
    """A good spec in which one to three tokens are dropped, doubled, exchanged or replaced by one of their sort."""
    path = draw(st.sampled_from(FILES))
    tokens = list(TOKENS[path])
    places = [place for place, token in enumerate(tokens) if token.strip() and not token.startswith("#")]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places))
        token = tokens[place]
        if not token:
            continue
        match draw(st.sampled_from(["drop", "double", "any", "like", "like", "exchange", "exchange"])):
            case "drop":
                tokens[place] = ""
            case "double":
                tokens[place] = f"{token} {token}"
            case "any":
                tokens[place] = draw(st.sampled_from(WORDS))
            case "like":
                tokens[place] = draw(
                    st.sampled_from([word for word in WORDS if _sort(word) == _sort(token)] or [token])
                )
            case "exchange":
                other = draw(
                    st.sampled_from([each for each in places if tokens[each] and _sort(tokens[each]) == _sort(token)])
                )
                tokens[place], tokens[other] = tokens[other], token
    return path, "".join(tokens)


@settings(max_examples=80)
@given(changed())
def test_a_changed_spec_is_answered(case: tuple[Path, str]) -> None:
    path, text = case
    audit, found = check(Source(path.name, text), path)
    for finding in found:
        assert finding.helps, finding.title
        assert finding.title in as_text(finding) or len(finding.title) > 100
        assert as_json(finding)["title"] == finding.title
    if audit is None:
        assert found
    elif not any(finding.is_error for finding in found) and not audit.is_library and audit.matrix.repeat <= FEW:
        prove_flow(lower(audit), audit.places)
