"""Classifier architectures for images: each a term that describes a network and a builder that makes it.

A builder takes the input shape `(channels, height, width)` and the number of classes; every network ends in a linear
layer, whose input is the model's penultimate features.
"""

from __future__ import annotations

import json
from itertools import pairwise

import torch
from torch import nn

from mialang.operators import trust
from mialang.operators.errors import OperatorError
from mialang.operators.models import Architecture, builder

CANVAS = 32  # the side for which the published MNIST networks are drawn


def cnn(*, width: int) -> Architecture:
    """Describe two 3×3 convolutions (`width`, 2·`width` channels), each normalised and pooled, and a hidden layer."""
    return Architecture("cnn", {"width": width})


def resnet(*, depth: int, width: int) -> Architecture:
    """Describe `depth` residual blocks, each after the first halving the side and doubling the channels."""
    return Architecture("resnet", {"depth": depth, "width": width})


def mlp(*, hidden: int, layers: int) -> Architecture:
    """Describe a perceptron with `layers` hidden layers of `hidden` units."""
    return Architecture("mlp", {"hidden": hidden, "layers": layers})


def mcnn() -> Architecture:
    """Describe the target network of GMI's MNIST experiment (released code)."""
    return Architecture("mcnn")


def scnn() -> Architecture:
    """Describe the evaluator of GMI's MNIST experiment (released code)."""
    return Architecture("scnn")


def lenet5() -> Architecture:
    """Describe LeNet-5 (LeCun et al., 1998) with ReLU and max pooling."""
    return Architecture("lenet5")


def module(*, path: str, arguments: list[str]) -> Architecture:
    """Describe a user's own `torch.nn.Module`, called with `arguments` as `name=value`, values written as JSON."""
    if (odd := next((argument for argument in arguments if "=" not in argument), None)) is not None:
        raise OperatorError(f"`{odd}` gives no argument a value", help='write `arguments = ["width=32"]`')
    given = dict(argument.split("=", 1) for argument in arguments)
    return Architecture("module", {"path": path, "arguments": {name.strip(): _plain(v) for name, v in given.items()}})


@builder("cnn")
def build_cnn(shape: tuple[int, ...], outputs: int, *, width: int) -> nn.Module:
    """Build `cnn`."""
    channels, height, wide = shape
    _at_least(4, shape, "cnn")
    return nn.Sequential(
        *_block(channels, width, kernel=3, padding=1),
        nn.MaxPool2d(2),
        *_block(width, 2 * width, kernel=3, padding=1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (height // 4) * (wide // 4), 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, outputs),
    )


@builder("mlp")
def build_mlp(shape: tuple[int, ...], outputs: int, *, hidden: int, layers: int) -> nn.Module:
    """Build `mlp`."""
    sizes = [int(torch.Size(shape).numel()), *[hidden] * layers]
    parts: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], outputs))


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[n, after, height / stride, width / stride]`."""
        result: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return result


@builder("resnet")
def build_resnet(shape: tuple[int, ...], outputs: int, *, depth: int, width: int) -> nn.Module:
    """Build `resnet`."""
    _at_least(2 ** (depth - 1), shape, f"resnet(depth = {depth})")
    # Large pictures are halved once in the stem: a full-size first block would cost most of the time.
    stem = 2 if min(shape[1:]) >= 28 else 1
    blocks: list[nn.Module] = [*_block(shape[0], width, kernel=3, padding=1, stride=stem)]
    for level in range(depth):
        before = width * 2 ** max(0, level - 1)
        blocks.append(Residual(before, width * 2**level, 1 if level == 0 else 2))
    last = width * 2 ** (depth - 1)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, outputs))


@builder("mcnn")
def build_mcnn(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Build `mcnn`: 7×7/64, 5×5/128, 5×5/256 convolutions, then one linear layer."""
    return nn.Sequential(
        _canvas(shape, "mcnn"),
        *_block(shape[0], 64, kernel=7, padding=1, slope=0.2),
        nn.MaxPool2d(2),
        *_block(64, 128, kernel=5, slope=0.2),
        nn.MaxPool2d(2),
        *_block(128, 256, kernel=5, slope=0.2),
        nn.Flatten(),
        nn.Linear(256, outputs),
    )


@builder("scnn")
def build_scnn(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Build `scnn`: five convolutions of 32 to 512 channels, then one linear layer."""
    return nn.Sequential(
        _canvas(shape, "scnn"),
        *_block(shape[0], 32, kernel=7, padding=1, slope=0.2),
        nn.MaxPool2d(2),
        *_block(32, 64, kernel=5, slope=0.2),
        nn.MaxPool2d(2),
        *_block(64, 128, kernel=5, slope=0.2),
        *_block(128, 256, kernel=3, padding=1, slope=0.2),
        *_block(256, 512, kernel=3, padding=1, slope=0.2),
        nn.Flatten(),
        nn.Linear(512, outputs),
    )


@builder("lenet5")
def build_lenet5(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Build `lenet5`: 6, 16 and 120 channels by 5×5 convolutions, then 84 units."""
    return nn.Sequential(
        _canvas(shape, "lenet5"),
        nn.Conv2d(shape[0], 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, outputs),
    )


@builder("module")
def build_module(_shape: tuple[int, ...], _outputs: int, *, path: str, arguments: dict[str, object]) -> nn.Module:
    """Import a user's class, if its package is trusted, and call it.

    Its input shape and classes are its own affair: `arguments` say them where it wants to know.

    Raises:
        OperatorError: its package is not trusted, the path names no module class, or the call fails.
    """
    try:
        found = trust.load(path)
    except (ImportError, AttributeError, ValueError) as problem:
        raise OperatorError(
            f"no class `{path}`", note=str(problem), help='write it as "package.module:Class" and install the package'
        ) from problem
    try:
        network = found(**arguments)
    except Exception as problem:
        raise OperatorError(
            f"`{path}` cannot be built", note=f"{type(problem).__name__}: {problem}", help="correct its `arguments`"
        ) from problem
    if not isinstance(network, nn.Module):
        raise OperatorError(f"`{path}` does not make a torch.nn.Module", help="name a class derived from nn.Module")
    return network


def _block(
    before: int, after: int, *, kernel: int, padding: int = 0, stride: int = 1, slope: float = 0.0
) -> list[nn.Module]:
    activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
    return [nn.Conv2d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm2d(after), activation]


def _canvas(shape: tuple[int, ...], name: str) -> nn.Module:
    """Pad smaller pictures with black to 32×32, the size for which the network was drawn."""
    height, width = shape[1:]
    if max(height, width) > CANVAS:
        raise OperatorError(
            f"`{name}` is drawn for {CANVAS}×{CANVAS} pixels, and the images have {width}×{height}",
            help="use `cnn` or `resnet`",
        )
    left, top = (CANVAS - width) // 2, (CANVAS - height) // 2
    return nn.ZeroPad2d((left, CANVAS - width - left, top, CANVAS - height - top))


def _at_least(side: int, shape: tuple[int, ...], name: str) -> None:
    if min(shape[1:]) < side:
        raise OperatorError(
            f"`{name}` needs images of at least {side}×{side} pixels, and these have {shape[2]}×{shape[1]}",
            help="use a shallower architecture, or `mlp`",
        )


def _plain(text: str) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
    return value
