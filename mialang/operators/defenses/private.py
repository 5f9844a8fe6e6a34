"""Differentially private training (DP-SGD), with its accountant's ε as evidence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from mialang.operators.models import group_norm
from mialang.operators.run import Json, Run
from mialang.operators.training import Schedule, TrainingDefense, diverged, loss_of


@dataclass(frozen=True)
class PrivateTraining(TrainingDefense):
    """DP-SGD (Abadi et al., CCS 2016): per-record gradients clipped to norm C, Gaussian noise of deviation σC.

    Attributes:
        noise: σ, noise multiplier; None = found from `epsilon`.
        epsilon: target ε at `delta`; None = whatever `noise` gives.
        clip: C, largest L2 norm of a record's gradient.
        delta: δ of (ε, δ)-differential privacy; the unit is one training record, added or removed.
    """

    noise: float | None
    epsilon: float | None
    clip: float
    delta: float

    def network(self, network: nn.Module) -> nn.Module:
        """Replace batch normalisation, which mixes records of a batch, by group normalisation."""
        return group_norm(network)


def fit_privately(
    network: nn.Module,
    inputs: torch.Tensor,
    columns: torch.Tensor,
    *,
    schedule: Schedule,
    private: PrivateTraining,
    defenses: Sequence[TrainingDefense],
    run: Run,
) -> dict[str, Json]:
    """Train in place with DP-SGD: Poisson-sampled batches, clipped per-record gradients, Gaussian noise, Adam's step.

    Returns:
        The privacy facts: ε (Rényi accountant), δ, σ, C, sampling rate, steps, unit, and the change of normalisation.
    """
    # Slow to import, and only private training needs them.
    from opacus import GradSampleModule  # noqa: PLC0415
    from opacus.accountants import RDPAccountant  # noqa: PLC0415
    from opacus.accountants.utils import get_noise_multiplier  # noqa: PLC0415
    from opacus.optimizers import DPOptimizer  # noqa: PLC0415

    device = run.device
    inputs, columns, network = inputs.to(device), columns.to(device), network.to(device)
    rate = min(1.0, schedule.batch / len(inputs))
    per_epoch = max(1, math.ceil(1 / rate))
    total = schedule.epochs * per_epoch
    noise = private.noise
    if noise is None:
        assert private.epsilon is not None  # `dp_sgd` refuses the lack of both
        with _without_hints():
            noise = get_noise_multiplier(
                target_epsilon=private.epsilon,
                target_delta=private.delta,
                sample_rate=rate,
                steps=total,
                accountant="rdp",
            )
    wrapped = GradSampleModule(network, loss_reduction="mean")
    optimiser = DPOptimizer(
        torch.optim.Adam(wrapped.parameters(), lr=schedule.lr),
        noise_multiplier=noise,
        max_grad_norm=private.clip,
        expected_batch_size=schedule.batch,
        generator=run.generator,
    )
    accountant = RDPAccountant()
    wrapped.train()
    reached = on_the_way(wrapped)
    for step in run.loop("training", total, network=network, optimiser=optimiser, accountant=accountant):
        rows = torch.nonzero(torch.rand(len(inputs), generator=run.generator) < rate).squeeze(1)
        optimiser.zero_grad(set_to_none=True)
        epoch = step // per_epoch
        if len(rows):
            loss = loss_of(defenses, wrapped(inputs[rows]), columns[rows], epoch, schedule.epochs).mean()
            with _without_hints():
                loss.backward(inputs=reached)
            if not math.isfinite(float(loss.detach())):
                raise diverged("private training", step + 1, total, f"lr = {schedule.lr:g}, noise = {noise:g}")
        else:  # an empty draw is a step like any other, noise included: leaving it out would show that it was empty
            for parameter in wrapped.parameters():
                parameter.grad_sample = torch.zeros(1, *parameter.shape, device=device)
        optimiser.step()
        accountant.step(noise_multiplier=noise, sample_rate=rate)
        if (step + 1) % per_epoch == 0:
            run.progress(epoch + 1, schedule.epochs)
    wrapped.remove_hooks()
    network.to("cpu")
    with _without_hints():
        epsilon = accountant.get_epsilon(private.delta)
    for parameter in network.parameters():
        parameter.grad = None
    return {
        "epsilon": epsilon,
        "accountant": "Rényi",
        "delta": private.delta,
        "noise_multiplier": noise,
        "clip": private.clip,
        "sample_rate": rate,
        "steps": total,
        "privacy_unit": "one training record",
        "normalisation": "group",
    }


def on_the_way(network: nn.Module) -> list[nn.Parameter]:
    """Return the smallest parameter of each layer.

    Gradients of records are made where a layer is reached on the way back. That way has to lead to every layer, and need
    not make the gradients of whole batches that nobody reads.
    """
    owned = [[each for each in layer.parameters(recurse=False) if each.requires_grad] for layer in network.modules()]
    return [min(each, key=torch.numel) for each in owned if each]


@contextmanager
def _without_hints() -> Iterator[None]:
    """Keep two hints from users, who can do nothing about them.

    Torch finds it odd that records, the first layer's input, have no gradient. Opacus offers tighter bounds for extreme
    noise; the ε that it returns holds all the same.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
