"""Generator and critic networks for images: described by terms, built in pairs."""

from __future__ import annotations

import torch
from torch import nn

from mialang.operators.errors import OperatorError
from mialang.operators.models import Architecture, builder

SLOPE = 0.2


def convolutional(*, width: int) -> Architecture:
    """Describe a generator of two up-convolutions and a critic of two strided convolutions (a small DCGAN)."""
    return Architecture("convolutional_gan", {"width": width})


def dense(*, hidden: int) -> Architecture:
    """Describe a generator and a critic with two hidden layers each; the quick choice for tiny pictures."""
    return Architecture("dense_gan", {"hidden": hidden})


class Pair(nn.Module):
    """A generator `[n, latent]` → `[n, *shape]` in [0, 1], and a critic `[n, *shape]` → `[n]`."""

    def __init__(self, generator: nn.Module, critic: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.critic = critic

    def generate(self, code: torch.Tensor) -> torch.Tensor:
        """Return pictures."""
        pictures: torch.Tensor = self.generator(code)
        return pictures

    def judge(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the critic's score per picture; large is real."""
        score: torch.Tensor = self.critic(pictures)
        return score.squeeze(1)


@builder("convolutional_gan")
def build_convolutional(shape: tuple[int, ...], outputs: int, *, width: int) -> Pair:
    """Build `convolutional`; `outputs` is the latent dimension.

    The critic has no batch normalisation: the gradient penalty is defined per picture (Gulrajani et al., 2017).
    """
    channels, height, wide = shape
    generator = upsampler(shape, outputs, width=width)
    critic = nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        nn.Flatten(),
        nn.Linear(2 * width * (height // 4) * (wide // 4), 1),
    )
    return Pair(generator, critic)


@builder("upsampler")
def upsampler(shape: tuple[int, ...], inputs: int, *, width: int) -> nn.Module:
    """Build a linear layer and two up-convolutions: `[n, inputs]` → `[n, *shape]` in [0, 1]."""
    channels, height, wide = shape
    if height % 4 or wide % 4:
        raise OperatorError(
            f"a convolutional generator needs sides that 4 divides, and the images have {wide}×{height}",
            help="resize the images (`size = 32`), or use `dense`",
        )
    low = (2 * width, height // 4, wide // 4)
    return nn.Sequential(
        nn.Linear(inputs, int(torch.Size(low).numel())),
        nn.Unflatten(1, low),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, 2, 1),
        nn.Sigmoid(),
    )


@builder("dense_gan")
def build_dense(shape: tuple[int, ...], outputs: int, *, hidden: int) -> Pair:
    """Build `dense`; `outputs` is the latent dimension."""
    size = int(torch.Size(shape).numel())
    generator = nn.Sequential(
        nn.Linear(outputs, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, size),
        nn.Sigmoid(),
        nn.Unflatten(1, shape),
    )
    critic = nn.Sequential(
        nn.Flatten(),
        nn.Linear(size, hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, 1),
    )
    return Pair(generator, critic)
