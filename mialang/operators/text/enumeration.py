"""Every secret that a canary could hold, ranked by how likely the model finds it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import torch

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Json, Run
from mialang.operators.text.canaries import CanaryForm
from mialang.operators.text.token_scores import in_parts, share_of_rest
from mialang.operators.text.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class RankedSecrets(Artefact, kind="ranked_secrets"):
    """All members of a space of secrets with their scores.

    Attributes:
        form: what the secrets stand in.
        scores: `[10^digits]` log-probability of each secret after the text before it; row = the secret as a number.
    """

    form: CanaryForm
    scores: torch.Tensor

    def __len__(self) -> int:
        """Return how many secrets there could be."""
        return len(self.scores)

    def without(self, units: Collection[int]) -> RankedSecrets:
        """Return the same: secrets are no passages or records, and nothing granted reveals one."""
        del units
        return self

    def arrays(self) -> dict[str, Array]:
        """Return the scores."""
        return {"scores": array(self.scores)}

    def facts(self) -> dict[str, Json]:
        """Return the form."""
        return self.form.facts()

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(CanaryForm.restore({}, facts), tensor(arrays["scores"]))


@torch.inference_mode()
def ranked_secrets(*, of: Handle, form: CanaryForm, at_most: int, run: Run) -> RankedSecrets:
    """Score every secret of a space: −Σ −log p over its digits, after the text before it.

    All secrets share their beginning, so that one question per secret without its last digit is enough: its answers hold
    the probabilities of all digits on the way and of all ten last ones. The digits must be tokens of their own.

    Raises:
        OperatorError: the space takes more than `at_most` questions, a digit is no token of its own, or a canary is longer
            than what the model reads.
    """
    if len(form) // 10 > at_most:
        raise OperatorError(
            f"a space of {len(form):,} secrets takes {len(form) // 10:,} questions, and {at_most:,} are allowed",
            help="plant secrets with fewer digits, or raise `at_most`",
        )
    tokenizer: Tokenizer = of.know("vocabulary")
    before, digits = _spelled(tokenizer, form)
    asked = _all_but_last(form.digits)  # [10^(digits − 1), digits − 1]
    start = torch.tensor([tokenizer.end, *before])
    scores = torch.empty(len(asked), 10)
    row = len(start) + form.digits - 1
    if row > of.shape[0]:
        raise OperatorError(f"a canary of {row:,} tokens is longer than the {of.shape[0]:,} that this model reads")
    names = torch.tensor(digits)
    for at, part in in_parts(torch.empty(len(asked), row), len(of.classes)):
        own = asked[at : at + len(part)]
        answer = of.ask("next_token_logprobs", torch.cat([start.expand(len(own), -1), names[own]], 1))
        # Digits that the model does not show get an even share of what it leaves to all that it does not show.
        steps = answer[:, len(start) - 1 :, names]
        steps = torch.where(steps.isinf(), share_of_rest(answer[:, len(start) - 1 :])[..., None], steps)
        scores[at : at + len(own)] = _on_the_way(steps[:, :-1], own)[:, None] + steps[:, -1]
        run.progress(at + len(own), len(asked))
    run.note("secrets", len(form))
    run.note("most_bits", round(math.log2(len(form)), 2))
    return RankedSecrets(form, scores.reshape(-1).clone())


def _on_the_way(steps: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Return Σ log p of the digits asked, `[n]`, for answers `[n, t, 10]` and digits `[n, t]`."""
    return steps.gather(-1, own[..., None]).squeeze(-1).sum(1)


def _spelled(tokenizer: Tokenizer, form: CanaryForm) -> tuple[list[int], list[int]]:
    """Return the tokens before the secret, and the token of each digit.

    Raises:
        OperatorError: a digit is written with other tokens at another place.
    """
    samples = [form.before + f"{digit}" * form.digits for digit in range(10)]
    rows = tokenizer.encode(samples)
    length = len(rows[0]) - form.digits
    before = rows[0][: max(0, length)]
    digits = [row[length] if len(row) > max(0, length) else -1 for row in rows]
    alike = all(row == [*before, *[digit] * form.digits] for row, digit in zip(rows, digits, strict=True))
    if length < 0 or not alike or len(set(digits)) < 10:
        raise OperatorError(
            "this model's tokenizer does not cut numbers into digits, so a space of secrets cannot be gone through digit by digit",
            note=f"it writes `{samples[0]}` with {len(rows[0])} tokens, and every digit should be one of its own",
            help="rank sampled texts instead, or train the model here: its tokenizer cuts numbers into digits",
        )
    return before, digits


def _all_but_last(digits: int) -> torch.Tensor:
    """Return all secrets without their last digit, as digits `[10^(digits − 1), digits − 1]`, in order."""
    numbers = torch.arange(10 ** (digits - 1))
    powers = 10 ** torch.arange(digits - 2, -1, -1)
    return numbers[:, None] // powers % 10
