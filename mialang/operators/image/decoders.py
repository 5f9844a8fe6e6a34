"""Inverse decoders: networks that turn a model's scores back into its input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import nn

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.asking import Pairs
from mialang.operators.candidates import Candidates
from mialang.operators.models import Architecture, State, load, state_of
from mialang.operators.run import Json, Run
from mialang.operators.training import diverged

SHIFT = 50.0  # c of the released code: log-probabilities below −c count as absent
BETAS = (0.5, 0.999)


@dataclass(frozen=True, eq=False)
class Decoder(Artefact, kind="decoder"):
    """A decoder from score vectors to images.

    Attributes:
        network: how it is built.
        classes: class ids by column of the score vectors.
        shape: shape of one image.
        truncate: m, how many of the largest scores it reads.
        state: weights.
    """

    architecture: Architecture
    classes: tuple[int, ...]
    shape: tuple[int, ...]
    truncate: int
    state: State

    @cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode with frozen weights."""
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network = self.architecture.build(self.shape, len(self.classes))
            load(network, self.state)
            return network.eval().requires_grad_(False)

    def decode(self, scores: torch.Tensor) -> torch.Tensor:
        """Return images `[n, *shape]` for score vectors `[n, classes]`."""
        images: torch.Tensor = self.network(truncated(scores, self.truncate))
        return images

    def arrays(self) -> dict[str, Array]:
        """Return the weights."""
        return {name: array(value) for name, value in self.state.items()}

    def facts(self) -> dict[str, Json]:
        """Return everything but the weights."""
        return {
            "architecture": self.architecture.facts(),
            "classes": list(self.classes),
            "shape": list(self.shape),
            "truncate": self.truncate,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(
            architecture=Architecture.restore(facts["architecture"]),
            classes=tuple(facts["classes"]),
            shape=tuple(facts["shape"]),
            truncate=int(facts["truncate"]),
            state={name: tensor(value) for name, value in arrays.items()},
        )


def truncated(scores: torch.Tensor, m: int) -> torch.Tensor:
    """Return `max(0, log p + 50)` for the m largest scores of each row and 0 for the others, `[n, classes]`."""
    logs = (scores.clamp_min(math.exp(-2 * SHIFT)).log() + SHIFT).clamp_min(0)
    kept = scores.argsort(dim=1, descending=True, stable=True)[:, :m]
    return torch.zeros_like(logs).scatter(1, kept, logs.gather(1, kept))


def fit_inverse_decoder(
    *, on: Pairs, truncate: int | None, width: int, epochs: int, lr: float, batch: int, run: Run
) -> Decoder:
    """Fit a decoder from scores to inputs by mean squared error, Adam(lr, .5, .999) with AMSGrad.

    Notes `error`: the last epoch's mean squared error per pixel.

    Raises:
        OperatorError: the loss is no longer a number.
    """
    classes, shape = on.classes, tuple(on.inputs.shape[1:])
    m = len(classes) if truncate is None else min(truncate, len(classes))
    codes = truncated(on.answers, m)
    architecture = Architecture("upsampler", {"width": width}, "mialang.operators.image.gan_networks")
    with run.seeded():
        network = architecture.build(shape, len(classes)).to(run.device).train()
    by = torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS, amsgrad=True)
    batch = min(batch, len(codes))
    per_epoch = len(codes) // batch
    loop = run.loop("decoder", epochs * per_epoch, network=network, optimiser=by)
    kept = loop.kept
    kept.update(error=math.nan)
    for step in loop:
        epoch, at = divmod(step, per_epoch)
        if at == 0:
            kept.update(order=torch.randperm(len(codes), generator=run.generator), total=0.0)
        rows = kept["order"][at * batch : (at + 1) * batch]
        loss = nn.functional.mse_loss(network(codes[rows].to(run.device)), on.inputs[rows].to(run.device))
        by.zero_grad(set_to_none=True)
        loss.backward()
        by.step()
        kept["total"] += float(loss.detach())
        if at < per_epoch - 1:
            continue
        kept["error"] = kept["total"] / per_epoch
        if not math.isfinite(kept["error"]):
            raise diverged("the decoder", step + 1, epochs * per_epoch, f"lr = {lr:g}")
        run.progress(epoch + 1, epochs, error=kept["error"])
    run.note("error", kept["error"])
    return Decoder(architecture, classes, shape, m, state_of(network))


@torch.inference_mode()
def decode_classes(*, by: Decoder, certainty: float, run: Run) -> Candidates:
    """Decode, for each class, the score vector of a model that is `certain` of it; one output per class.

    The rest of the probability is spread evenly over the other classes. No question is asked.
    """
    n = len(by.classes)
    scores = torch.full((n, n), (1 - certainty) / max(1, n - 1))
    scores.fill_diagonal_(certainty)
    labels = torch.tensor(by.classes)
    run.progress(1, 1)
    return Candidates(
        values=by.decode(scores).clone(),
        labels=labels,
        scores=torch.full((n,), certainty),
        group=labels,
        attempted=by.classes,
    )
