"""Which packages a working directory trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mialang.cli.running import trusted_here


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ('[tool.mialang]\ntrusted = ["one", "other"]\n', ("one", "other")),
        ('[tool.mialang]\ntrusted = "acme"\n', ()),
        ("[tool.mialang]\ntrusted = 3\n", ()),
        ("tool = 3\n", ()),
        ("tool = [\n", ()),
        ("", ()),
    ],
)
def test_only_a_list_of_names_is_trusted(
    text: str, trusted: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert trusted_here() == trusted
