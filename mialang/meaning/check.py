"""Checking a spec: read it, judge it, return every finding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mialang.diagnostics import Diagnostic, error
from mialang.meaning.audit import Audit
from mialang.meaning.judgement import judge
from mialang.meaning.read import read_spec
from mialang.source import Source, Span
from mialang.syntax import parse, tree

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
    unique = {
        (finding.code, finding.title, finding.primary.span if finding.primary else None): finding for finding in found
    }
    return audit, gathered(sorted(unique.values(), key=Diagnostic.order))


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


def _overrides(settings: Mapping[str, str]) -> tuple[dict[str, tree.Expression], list[Diagnostic]]:
    """Parse `--set` values; a word that is no expression is taken as a text."""
    overrides: dict[str, tree.Expression] = {}
    found: list[Diagnostic] = []
    for name, text in settings.items():
        source = Source(f"--set {name}", f"let {name} = {text}")
        file, _ = parse(source)
        item = file.items[0] if file is not None and len(file.items) == 1 else None
        if isinstance(item, tree.Let):
            overrides[name] = item.value
        else:
            shown = Source(source.name, f"{name} = {text}")
            found.append(
                error("E0210", f"`{text}` is no value for `{name}`", Span(shown, len(name) + 3, len(shown.text))).help(
                    f"write a number, a name, or a text in quotes: `--set '{name}=\"text\"'`"
                )
            )
    return overrides, found
