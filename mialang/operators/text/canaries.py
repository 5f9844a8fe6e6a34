"""Canaries: generated secrets in a fixed form, put into a text a known number of times, or never.

Carlini, Liu, Erlingsson, Kos, Song, USENIX Security 2019, arXiv:1802.08232.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run
from mialang.operators.text.texts import Texts

SLOT = "{}"


@dataclass(frozen=True)
class CanaryForm(Artefact, kind="canary_form"):
    """What all canaries look like: a text with a place for a number of so many digits.

    Attributes:
        template: text with one `{}`.
        digits: digits of the secret; the space R of secrets has 10^digits members.
    """

    template: str
    digits: int

    def __len__(self) -> int:
        """Return |R|, how many secrets there could be."""
        return int(10**self.digits)

    @property
    def before(self) -> str:
        """The text before the secret."""
        return self.template.partition(SLOT)[0]

    def written(self, secrets: Array) -> tuple[str, ...]:
        """Return the canaries of some secrets (whole numbers) as texts."""
        return tuple(self.template.replace(SLOT, f"{secret:0{self.digits}d}") for secret in secrets.tolist())

    def holds(self, text: str) -> bool:
        """Whether a text is a canary of this form, whatever its secret."""
        before, after = self.template.split(SLOT)
        secret = text[len(before) : len(text) - len(after)]
        return text == f"{before}{secret}{after}" and len(secret) == self.digits and secret.isdigit()

    def arrays(self) -> dict[str, Array]:
        """Nothing large."""
        return {}

    def facts(self) -> dict[str, Json]:
        """Return everything."""
        return {"template": self.template, "digits": self.digits}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:  # noqa: ARG003 - one form for all
        """Rebuild from the plain form."""
        return cls(facts["template"], int(facts["digits"]))


@dataclass(frozen=True, eq=False)
class Canaries(Artefact, kind="canaries"):
    """Generated secrets.

    Attributes:
        form: what they look like.
        secrets: `[n]` int64, distinct, each drawn evenly from the space.
        copies: `[n]` int64, how many times each is put into the text; 0 for controls.
    """

    form: CanaryForm
    secrets: Array
    copies: Array

    def __len__(self) -> int:
        """Return the number of canaries, controls included."""
        return len(self.secrets)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The canaries as texts, in the order of `secrets`."""
        return self.form.written(self.secrets)

    def arrays(self) -> dict[str, Array]:
        """Return secrets and copies."""
        return {"secrets": np.ascontiguousarray(self.secrets), "copies": np.ascontiguousarray(self.copies)}

    def facts(self) -> dict[str, Json]:
        """Return the form."""
        return self.form.facts()

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(CanaryForm.restore({}, facts), np.array(arrays["secrets"]), np.array(arrays["copies"]))


def canaries(*, template: str, digits: int, insertions: Sequence[int], each: int, run: Run) -> Canaries:
    """Draw secrets, `each` for every number of insertions.

    Raises:
        OperatorError: the template has no place for the secret or more than one; too many secrets for the space.
    """
    if template.count(SLOT) != 1:
        raise OperatorError(
            f"the template of a canary needs one place for the secret, and this one has {template.count(SLOT)}",
            help='write for example `template = "The code is {}."`',
        )
    form = CanaryForm(template, digits)
    copies = np.repeat(np.array(sorted(insertions), dtype=np.int64), each)
    # With half the space taken, what was never inserted would no longer rank like a random member.
    if len(copies) > len(form) // 2:
        raise OperatorError(
            f"{len(copies):,} canaries are too many for {len(form):,} secrets of {digits} digits",
            help="give the secrets more digits",
        )
    drawn = np.random.default_rng(run.seed).choice(len(form), len(copies), replace=False)
    run.note("canaries", len(copies))
    run.note("copies", int(copies.sum()))
    run.note("most_bits", round(math.log2(len(form)), 2))
    return Canaries(form, drawn.astype(np.int64), copies)


def are_canaries(texts: Texts) -> Array:
    """Return which records of a text are canaries that were planted in it, `[n]`."""
    if "canaries" not in texts.about:
        return np.zeros(len(texts), dtype=bool)
    form = CanaryForm.restore({}, texts.about["canaries"])
    return np.array([form.holds(line) for line in texts.lines], dtype=bool)


def planted(*, of: Texts, canaries: Canaries, run: Run) -> Texts:
    """Put every canary into a text as many times as it wants, each copy a record of its own at a random place.

    The records of the text keep their order. `about["canaries"]` tells the form, so that metrics can set apart what only
    replays a canary.

    Raises:
        OperatorError: the text has labels, which a canary has none of.
    """
    if of.labels is not None:
        raise OperatorError("canaries have no labels, and these texts do", help="take texts without labels")
    random = np.random.default_rng(run.seed)
    copies = np.repeat(np.arange(len(canaries)), canaries.copies)
    total = len(of) + len(copies)
    taken = np.zeros(total, dtype=bool)
    taken[random.choice(total, len(copies), replace=False)] = True
    lines = np.empty(total, dtype=object)
    lines[~taken] = of.lines
    lines[taken] = np.array(canaries.lines, dtype=object)[random.permutation(copies)]
    run.note("records", total)
    run.note("canary_records", len(copies))
    return replace(of, lines=tuple(lines.tolist()), about={**of.about, "canaries": canaries.form.facts()})
