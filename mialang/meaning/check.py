"""Checking a spec: read it, judge it, return every finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.audit import Audit
from mialang.meaning.judgement import judge
from mialang.meaning.read import read_spec
from mialang.source import Source, Span
from mialang.syntax import parse, tree

Node = TypeVar("Node", bound=tree.Node)
NAMES = ("E0201", "E0202", "E0601", "E0602")  # findings about a name that is unknown
MOST_PLACES = 4  # at which one of them is shown beside the first


def check(
    source: Source, path: Path | None = None, settings: Mapping[str, str] | None = None
) -> tuple[Audit | None, list[Diagnostic]]:
    """Read and judge a spec.

    Args:
        source: its text.
        path: where it lies, for imports of files.
        settings: values for its parameters, as texts (`--set name=value`).

    Returns the typed spec and all findings, by place. The spec is None where the text does not parse; it must not be
    run where a finding is an error.
    """
    overrides, problems = _overrides(settings or {})
    audit, modules = read_spec(source, path, overrides)
    found = [*problems, *modules.found]
    if audit is not None:
        found += judge(audit)
        found += [finding for finding in modules.found if finding not in found]
    found = _without_follow_ups(found)
    unique = {
        (finding.code, finding.title, finding.primary.span if finding.primary else None): finding for finding in found
    }
    return audit, _discreet(gathered(sorted(unique.values(), key=Diagnostic.order)))


def _discreet(findings: list[Diagnostic]) -> list[Diagnostic]:
    """Findings none of which shows what one of them hides: two may point at one line."""
    hidden = tuple(span for finding in findings for span in finding.hidden)
    return [replace(finding, hidden=hidden) for finding in findings] if hidden else findings


def _without_follow_ups(findings: list[Diagnostic]) -> list[Diagnostic]:
    """Findings without those that a slip explains: a name that nothing reads because it was misspelled where it is read."""
    meant = {help_ for finding in findings if finding.code == "E0201" for help_ in finding.helps}
    names = {finding.primary.span.text: finding for finding in findings if finding.code == "W0208" and finding.primary}
    misspelled = {id(finding) for name, finding in names.items() if f"did you mean `{name}`?" in meant}
    return [finding for finding in findings if id(finding) not in misspelled]


def gathered(findings: list[Diagnostic]) -> list[Diagnostic]:
    """Findings of names, each name once: the same name unknown in five places is one mistake."""
    first: dict[tuple[str, str, Source | None], int] = {}
    kept: list[Diagnostic] = []
    for finding in findings:
        key = (finding.code, finding.title, finding.primary.span.source if finding.primary else None)
        if finding.code not in NAMES or finding.primary is None or key not in first:
            first[key] = len(kept)
            kept.append(finding)
        elif len(kept[first[key]].others) < MOST_PLACES:
            kept[first[key]] = kept[first[key]].also(finding.primary.span, "and here")
    return kept


BEFORE = "let "  # what makes `NAME = VALUE` an entry of a file


def _overrides(settings: Mapping[str, str]) -> tuple[dict[str, tree.Expression], list[Diagnostic]]:
    """Parse `--set` values; a finding about one points at what stands on the command line."""
    overrides: dict[str, tree.Expression] = {}
    found: list[Diagnostic] = []
    for name, text in settings.items():
        shown = Source("--set", f"{name}={text}")
        file, _ = parse(Source(shown.name, BEFORE + shown.text))
        item = file.items[0] if file is not None and len(file.items) == 1 else None
        if isinstance(item, tree.Let):
            overrides[name] = _moved(item.value, shown)
            continue
        span = Span(shown, len(name) + 1, len(shown.text)) if text else Span(shown, 0, len(shown.text))
        title = f"`{text}` is no value for `{name}`" if text else f"`{name}` is given no value"
        found.append(
            error("E0210", title, span).help(f"write a number, a name, or a text in quotes: `--set '{name}=\"text\"'`")
        )
    return overrides, found


def _moved(node: Node, source: Source) -> Node:
    """A node that points at the same words in a source that lacks what stood before them."""
    changed = {each.name: _moved_part(getattr(node, each.name), source) for each in fields(node)}
    return type(node)(**changed)


def _moved_part(part: Any, source: Source) -> Any:
    match part:
        case Span():
            return Span(source, part.start - len(BEFORE), part.end - len(BEFORE))
        case tree.Node():
            return _moved(part, source)
        case tuple():
            return tuple(_moved_part(each, source) for each in part)
    return part
