"""The supervised training loop, and how a training defense changes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from mialang.operators.errors import OperatorError
from mialang.operators.models import channels_last, piecewise
from mialang.operators.run import Run


class TrainingDefense:
    """A change to how a model is trained (a term of kind `training_defense`). The base class changes nothing."""

    def loss(  # what a defense that keeps the usual loss says
        self,
        logits: torch.Tensor,  # noqa: ARG002
        columns: torch.Tensor,  # noqa: ARG002
        epoch: int,  # noqa: ARG002
        epochs: int,  # noqa: ARG002
    ) -> torch.Tensor | None:
        """Return the loss per record `[n]`, or None for cross-entropy.

        Args:
            logits: `[n, classes]`.
            columns: `[n]` true columns.
            epoch: number of the epoch, from 0.
            epochs: how many there are.
        """
        return None

    def network(self, network: nn.Module) -> nn.Module:
        """Return the network to train in place of the one given."""
        return network


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: epochs, peak learning rate of Adam (decayed to 0 by a cosine), batch size."""

    epochs: int
    lr: float
    batch: int


def loss_of(
    defenses: Sequence[TrainingDefense], logits: torch.Tensor, columns: torch.Tensor, epoch: int, epochs: int
) -> torch.Tensor:
    """Return the loss per record `[n]`; the first defense that has one decides it."""
    for defense in defenses:
        changed = defense.loss(logits, columns, epoch, epochs)
        if changed is not None:
            return changed
    return functional.cross_entropy(logits, columns, reduction="none")


def fit(
    network: nn.Module,
    inputs: torch.Tensor,
    columns: torch.Tensor,
    *,
    schedule: Schedule,
    defenses: Sequence[TrainingDefense],
    run: Run,
) -> None:
    """Train a classifier in place with Adam.

    Args:
        network: maps `[n, …]` to logits `[n, classes]`.
        inputs: `[N, …]`.
        columns: `[N]` int64 true columns, or `[N, classes]` probabilities to imitate.
        schedule: epochs, learning rate, batch size.
        defenses: changes to the loss.
        run: gives seeds and takes progress.

    Raises:
        OperatorError: the loss is no longer a number, or after the last step the answers are none.
    """
    channels_last(network).to(run.device).train()
    inputs, columns = inputs.to(run.device), columns.to(run.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.lr)
    batch = min(schedule.batch, len(inputs))
    per_epoch = max(1, len(inputs) // batch)
    total = schedule.epochs * per_epoch
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / total)))
    loop = run.loop("training", total, network=network, optimiser=optimiser, decay=decay)
    for step in loop:
        epoch, at = divmod(step, per_epoch)
        if at == 0:
            loop.kept["order"] = torch.randperm(len(inputs), generator=run.generator)
        # The last, smaller batch is left out (another one each epoch): batch norm cannot train on one record.
        rows = loop.kept["order"][at * batch : (at + 1) * batch]
        loss = loss_of(defenses, network(inputs[rows]), columns[rows], epoch, schedule.epochs).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        decay.step()
        figure = float(loss.detach())
        if not math.isfinite(figure):
            raise diverged("training", step + 1, total, f"lr = {schedule.lr:g}")
        if at == per_epoch - 1:
            run.progress(epoch + 1, schedule.epochs, loss=figure)
    network.to("cpu").eval()
    # A step is judged by the loss before it, so what the last one did shows in the answers only.
    if total and not answers_are_numbers(network, inputs[:batch].cpu()):
        raise diverged("training", total, total, f"lr = {schedule.lr:g}")


@torch.inference_mode()
def answers_are_numbers(network: nn.Module, inputs: torch.Tensor) -> bool:
    """Return whether a network answers some inputs `[n, …]` with finite numbers."""
    return bool(network(inputs).isfinite().all())


def diverged(what: str, step: int, total: int, cause: str) -> OperatorError:
    """Return the failure of a loss that became infinite or not a number."""
    return OperatorError(
        f"{what} diverged at step {step:,} of {total:,}: the loss is not a number",
        note=f"the usual cause is a step too large for these data; it ran with {cause}",
        help="lower the learning rate (a third is a good first try), or check the range of the data",
    )


def commonest(columns: torch.Tensor) -> float:
    """Return the share of the commonest class among true columns `[n]`: what always answering it would get right."""
    return int(torch.bincount(columns).max()) / len(columns)


@torch.inference_mode()
def share_correct(network: nn.Module, inputs: torch.Tensor, columns: torch.Tensor) -> float:
    """Return the share of records whose largest logit is the true column."""
    return int((piecewise(network, inputs).argmax(1) == columns).sum()) / len(inputs)
