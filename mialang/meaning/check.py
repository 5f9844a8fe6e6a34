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
    unique = {(finding.code, finding.title, finding.primary.span if finding.primary else None): finding for finding in found}
    return audit, sorted(unique.values(), key=Diagnostic.order)


def _overrides(settings: Mapping[str, str]) -> tuple[dict[str, tree.Expression], list[Diagnostic]]:
    """Parse `--set` values; a word that is no expression is taken as a text."""
    overrides: dict[str, tree.Expression] = {}
    found: list[Diagnostic] = []
    for name, text in settings.items():
        source = Source(f"--set {name}", text)
        file, problems = parse(Source(source.name, f"let value = {text}"))
        item = file.items[0] if file is not None and len(file.items) == 1 else None
        if isinstance(item, tree.Let):
            overrides[name] = item.value
        else:
            del problems
            found.append(
                error("E0210", f"`{text}` is no value for `{name}`", Span(source, 0, len(text))).help(
                    f"write `--set {name}=VALUE`; texts need quotes: `--set '{name}=\"text\"'`"
                )
            )
    return overrides, found
