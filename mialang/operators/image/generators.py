"""Generators as priors: trained on public images, searched through their latent space, with a critic of realism."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch

from mialang.operators.algebra import Objective, Point
from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.image.gan_networks import Pair
from mialang.operators.image.images import Images
from mialang.operators.models import Architecture, State, load, placed, state_of
from mialang.operators.run import Json, Run
from mialang.operators.spaces import Space
from mialang.operators.training import diverged

PENALTY = 10.0  # λ of the gradient penalty, in the paper and in every release
BETAS = (0.5, 0.999)
REPORT_EVERY = 20


@dataclass(frozen=True, eq=False)
class Generator(Artefact, kind="generator"):
    """A trained generator and its critic.

    Attributes:
        networks: how the pair is built.
        latent_size: dimension of the code z.
        shape: shape of one picture.
        state: weights of both.
    """

    networks: Architecture
    latent_size: int
    shape: tuple[int, ...]
    state: State

    @cached_property
    def pair(self) -> Pair:
        """Both networks in evaluation mode with frozen weights."""
        # Outside inference mode, whoever asks first: tensors made inside it cannot take part in a later gradient.
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            pair = _pair(self.networks, self.shape, self.latent_size)
            load(pair, self.state)
            pair.eval().requires_grad_(False)
            return pair

    @property
    def latent(self) -> Space:
        """The latent space, standard normal, unbounded."""
        return Latent(self)

    def arrays(self) -> dict[str, Array]:
        """Return the weights."""
        return {name: array(value) for name, value in self.state.items()}

    def facts(self) -> dict[str, Json]:
        """Return everything but the weights."""
        return {"networks": self.networks.facts(), "latent": self.latent_size, "shape": list(self.shape)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        state = {name: tensor(value) for name, value in arrays.items()}
        return cls(Architecture.restore(facts["networks"]), int(facts["latent"]), tuple(facts["shape"]), state)


@dataclass(frozen=True)
class Latent(Space):
    """The latent space of a generator: starts are standard normal, decoding is generation."""

    of: Generator

    def start(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return `[n, latent]` draws of N(0, 1)."""
        return torch.randn(n, self.of.latent_size, generator=generator)

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return `[n, *shape]` pictures."""
        return placed(self.of.pair, code.device).generate(code)

    def project(self, code: torch.Tensor) -> torch.Tensor:
        """Return the codes: the space is unbounded."""
        return code


@dataclass(frozen=True)
class Realism(Objective):
    """The score of a generator's critic; large is real."""

    of: Generator

    def __call__(self, point: Point) -> torch.Tensor:
        """Return `[n]`."""
        return placed(self.of.pair, point.value.device).judge(point.value)

    def formula(self) -> str:
        """Return the call."""
        return "realism(generator)"


def realism(*, of: Generator) -> Objective:
    """Describe D(x), the critic's score of a candidate."""
    return Realism(of)


def wgan_gp(
    *, on: Images, latent: int, networks: Architecture, steps: int, critic_steps: int, lr: float, batch: int, run: Run
) -> Generator:
    """Train a Wasserstein GAN with gradient penalty on images, without their labels.

    Per step one batch for the critic, `L_D = E D(G(z)) − E D(x) + 10 (‖∇D(x̂)‖ − 1)²`, x̂ between x and G(z); after every
    `critic_steps` steps one for the generator, `L_G = −E D(G(z))`; Adam(lr, .5, .999).

    Raises:
        OperatorError: a loss is no longer a number.
    """
    pictures = on.inputs
    draw = run.generator
    batch = min(batch, len(pictures))
    with run.seeded():
        pair = _pair(networks, on.shape, latent)
    pair.to(run.device).train()
    critic_by = torch.optim.Adam(pair.critic.parameters(), lr=lr, betas=BETAS)
    generator_by = torch.optim.Adam(pair.generator.parameters(), lr=lr, betas=BETAS)
    loop = run.loop("adversaries", steps, pair=pair, critic_by=critic_by, generator_by=generator_by)
    kept = loop.kept
    kept.update(order=torch.randperm(len(pictures), generator=draw), at=0, figures={})
    for step in (number + 1 for number in loop):
        if kept["at"] + batch > len(kept["order"]):
            kept.update(order=torch.randperm(len(pictures), generator=draw), at=0)
        real = pictures[kept["order"][kept["at"] : kept["at"] + batch]].to(run.device)
        kept["at"] += batch
        with torch.no_grad():
            fake = pair.generate(torch.randn(batch, latent, generator=draw).to(run.device))
        mixed = torch.rand(batch, *[1] * len(on.shape), generator=draw).to(run.device)
        # One pass for both halves: the critic has no layer that mixes pictures, and small batches waste the cores.
        both = pair.judge(torch.cat([real, fake]))
        distance = both[:batch].mean() - both[batch:].mean()
        loss = PENALTY * _gradient_penalty(pair, torch.lerp(fake, real, mixed)) - distance
        critic_by.zero_grad(set_to_none=True)
        loss.backward()
        critic_by.step()
        figures = kept["figures"]
        figures["distance"] = float(distance.detach())
        if step % critic_steps == 0:
            pair.critic.requires_grad_(False)
            score = pair.judge(pair.generate(torch.randn(batch, latent, generator=draw).to(run.device))).mean()
            generator_by.zero_grad(set_to_none=True)
            (-score).backward()
            generator_by.step()
            pair.critic.requires_grad_(True)
            figures["realism"] = float(score.detach())
        if not all(math.isfinite(figure) for figure in figures.values()):
            raise diverged("the GAN", step, steps, f"lr = {lr:g}")
        if step % REPORT_EVERY == 0 or step == steps:
            run.progress(step, steps, **figures)
    run.note("distance", kept["figures"]["distance"])
    return Generator(networks, latent, on.shape, state_of(pair))


def _gradient_penalty(pair: Pair, between: torch.Tensor) -> torch.Tensor:
    between = between.requires_grad_()
    (slope,) = torch.autograd.grad(pair.judge(between).sum(), between, create_graph=True)
    penalty: torch.Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def _pair(networks: Architecture, shape: tuple[int, ...], latent: int) -> Pair:
    pair = networks.build(shape, latent)
    if not isinstance(pair, Pair):
        raise TypeError(f"{networks} describes a classifier, not a generator with its critic")
    return pair
