"""What is taken for a key of a service, and what is a name."""

from __future__ import annotations

import pytest

from mialang.diagnostics.secrets import looks_secret, veiled


@pytest.mark.parametrize("key", ["sk-abcdef0123456789", "sk_live_0123456789ab", "ghp_" + "a1" * 18, "hf_" + "aB3" * 11,
                                 "AKIA" + "0123456789ABCDEF", "0123456789abcdef" * 2])  # fmt: skip
def test_keys_are_recognised(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", ["sk-abcdef0123456789", "AKIA0123456789ABCDEF"])
def test_a_covered_key_keeps_its_place(key: str) -> None:
    text = f'key = "{key}"  rate = 3'
    assert key not in veiled(text)
    assert len(veiled(text)) == len(text)
    assert veiled(text).endswith('"  rate = 3')


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "hf_token", "SERVICE_KEY_2", "task-12345678", "sk-learn-digits", "https://example.org/v1"],
)
def test_names_are_names(name: str) -> None:
    assert not looks_secret(name)
    assert veiled(name) == name
