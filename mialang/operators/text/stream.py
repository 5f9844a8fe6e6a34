"""Text as a stream of tokens, cut into windows to train on and to measure perplexity with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.tokenizer import Tokenizer
from mialang.operators.training import Schedule, TrainingDefense, diverged, loss_of

BETWEEN = "\n\n"  # stands between records in the stream, and where a sample goes on with another record
WARM = 0.05  # share of the steps in which the rate rises
DECAY = 0.01  # weight decay of AdamW
LONGEST = 1.0  # norm that a gradient may have


@dataclass(frozen=True)
class Stream:
    """All records of some texts in a row, as tokens.

    Attributes:
        tokens: `[N]` int64.
        end: token that stands before every window, so that a text's first token has something to follow.
        width: tokens of a window, `end` included.
    """

    tokens: torch.Tensor
    end: int
    width: int

    def windows(self) -> torch.Tensor:
        """Return windows `[n, width]` that begin with `end`; the last tokens, which fill none, are left out.

        Raises:
            OperatorError: the texts do not fill one window.
        """
        body = self.width - 1
        count = len(self.tokens) // body
        if count < 1:
            raise OperatorError(
                f"these texts hold {len(self.tokens):,} tokens, and one window of the model has {body:,}",
                help="take longer texts, or a model with a shorter context",
            )
        cut = self.tokens[: count * body].reshape(count, body)
        return torch.cat([torch.full((count, 1), self.end), cut], 1)


def stream_of(texts: Sequence[str], tokenizer: Tokenizer, width: int) -> Stream:
    """Return texts as one stream, blank lines between them."""
    joined = tokenizer.encode([BETWEEN.join(texts)])[0]
    return Stream(torch.tensor(joined, dtype=torch.long), tokenizer.end, width)


def next_token_loss(logits: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """Return −log p of every token but the first, `[n, T − 1]`, for logits `[n, T, tokens]` and windows `[n, T]`."""
    ahead = logits[:, :-1].reshape(-1, logits.shape[-1])
    found: torch.Tensor = functional.cross_entropy(ahead, windows[:, 1:].reshape(-1), reduction="none")
    return found.reshape(len(windows), -1)


def fit_stream(
    network: nn.Module, stream: Stream, *, schedule: Schedule, defenses: Sequence[TrainingDefense], run: Run
) -> None:
    """Train a language model in place: AdamW, rate up for a twentieth of the steps, then down to 0 by a cosine.

    The stream is cut into windows once, as corpora are packed for large models; each epoch shuffles them.

    Raises:
        OperatorError: the texts do not fill a window, or the loss is no longer a number.
    """
    network.to(run.device).train()
    windows = stream.windows().to(run.device)
    # The fused update is one kernel for all weights; the plain one takes a twentieth of a step.
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.lr, weight_decay=DECAY, fused=True)
    batch = min(schedule.batch, len(windows))
    per_epoch = math.ceil(len(windows) / batch)
    total = schedule.epochs * per_epoch
    pace = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, total))
    vocabulary = int(network.config.vocab_size)  # type: ignore[union-attr, arg-type] # a module's attribute
    loop = run.loop("training", total, network=network, optimiser=optimiser, pace=pace)
    for step in loop:
        epoch, at = divmod(step, per_epoch)
        if at == 0:
            loop.kept["order"] = torch.randperm(len(windows), generator=run.generator)
        part = windows[loop.kept["order"][at * batch : (at + 1) * batch]]
        logits = network(input_ids=part, use_cache=False).logits[:, :-1].reshape(-1, vocabulary)
        loss = loss_of(defenses, logits, part[:, 1:].reshape(-1), epoch, schedule.epochs).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LONGEST)
        optimiser.step()
        pace.step()
        figure = float(loss.detach())
        if not math.isfinite(figure):
            raise diverged("training", step + 1, total, f"lr = {schedule.lr:g}")
        if at == per_epoch - 1:
            run.progress(epoch + 1, schedule.epochs, loss=figure)
    network.to("cpu").eval()


def _rate(step: int, total: int) -> float:
    """Return the share of the peak rate at a step."""
    warm = max(1, round(WARM * total))
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, total - warm))))
