"""A handle over any language model, as the engine gives one out."""

from __future__ import annotations

import torch

from mialang.engine.handles import Handle, Meter
from mialang.meaning.modules import Modules
from mialang.operators.answers import ModelAnswers
from mialang.plan.words import observables

TABLE = observables(Modules().registry)
SIZED = {name: each["size"] for name, each in TABLE.items() if each["size"]}


def handle(model, *, k=None, decoy=False, meter=None, seed=0):
    """Everything that a completion API gives; `k` limits the tokens shown."""
    answers = ModelAnswers(model, TABLE, decoy=decoy, generator=torch.Generator().manual_seed(seed))
    sees = {"next_token_logprobs": k, "sampled_text": None}
    return Handle("target", answers, sees, SIZED, meter or Meter(), ["vocabulary"])
