"""Models: an architecture by description, its weights, and the questions it answers by nature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from typing import ClassVar, Self, TypeVar

import torch
from torch import nn

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json

State = Mapping[str, torch.Tensor]
Builder = Callable[..., nn.Module]

BUILDERS: dict[str, Builder] = {}
B = TypeVar("B", bound=Builder)
N = TypeVar("N", bound=nn.Module)
VALUES = 2**17  # input values of a forward pass on the CPU: of more, what the layers make no longer fits a cache


def builder(name: str) -> Callable[[B], B]:
    """Register a function `(shape, outputs, **params) -> nn.Module` under the name that descriptions use."""

    def register(function: B) -> B:
        BUILDERS[name] = function
        return function

    return register


@dataclass(frozen=True)
class Architecture:
    """A network as data: the name of a registered builder and its parameters (a term of kind `architecture`).

    Attributes:
        module: the module that registers the builder, for descriptions that come out of a store.
    """

    name: str
    params: Mapping[str, Json] = field(default_factory=dict)
    module: str = ""

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network with fresh weights for inputs of `shape` and `outputs` classes.

        Raises:
            OperatorError: the inputs are too small for the architecture.
        """
        if self.name not in BUILDERS and self.module.startswith("mialang.operators."):
            import_module(self.module)
        try:
            return BUILDERS[self.name](shape, outputs, **self.params)
        except KeyError:
            raise OperatorError(f"no architecture `{self.name}`") from None

    def facts(self) -> dict[str, Json]:
        """Return the description as JSON."""
        module = BUILDERS[self.name].__module__ if self.name in BUILDERS else self.module
        return {"name": self.name, "params": dict(self.params), "module": module}

    @classmethod
    def restore(cls, facts: Mapping[str, Json]) -> Self:
        """Rebuild from JSON."""
        return cls(facts["name"], dict(facts["params"]), facts["module"])

    def __str__(self) -> str:
        """Return the call that makes it."""
        return f"{self.name}({', '.join(f'{key} = {value}' for key, value in self.params.items())})"


@dataclass(frozen=True, eq=False)
class Model(Artefact, kind="model"):
    """A trained classifier.

    Attributes:
        architecture: how the network is built.
        shape: shape of one input; inputs lie in [0, 1].
        classes: original class ids by column.
        state: weights and buffers by name.
        about: facts of its making (accuracy, epochs, privacy…), JSON.
    """

    natives: ClassVar[tuple[str, ...]] = ("logits", "features")

    architecture: Architecture
    shape: tuple[int, ...]
    classes: tuple[int, ...]
    state: State
    about: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode with frozen weights."""
        # Outside inference mode, whoever asks first: tensors made inside it cannot take part in a later gradient.
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network = self.architecture.build(self.shape, len(self.classes))
            if self.about.get("normalisation") == "group":
                network = group_norm(network)
            load(network, self.state)
            return channels_last(network).eval().requires_grad_(False)

    def answer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Answer a native observable, on the device of `x` and differentiable where `x` is.

        Args:
            name: `logits` `[n, classes]`, or `features`: what enters the last linear layer, `[n, width]`.
            x: `[n, *shape]`.

        Raises:
            OperatorError: the model does not have that observable by nature, or takes inputs of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise OperatorError(
                f"a model for inputs of shape {list(self.shape)} was asked about inputs of shape {list(x.shape[1:])}",
                note="it was trained on records of one shape, and answers nothing sensible about others",
                help="make both from records of one shape: whatever is asked is like what the model was trained on",
            )
        if name == "logits":
            return piecewise(placed(self.network, x.device), x)
        if name == "features":
            return piecewise(partial(penultimate, placed(self.network, x.device)), x)
        raise OperatorError(f"a classifier has no observable `{name}` of its own", help="ask for logits or features")

    def batch_norm_statistics(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return running mean and variance of every batch normalisation, by layer name."""
        found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, layer in self.network.named_modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_mean is not None:
                assert layer.running_var is not None  # both or neither, by torch's construction
                found[name] = (layer.running_mean, layer.running_var)
        return found

    def arrays(self) -> dict[str, Array]:
        """Return weights and buffers."""
        return {name: array(value) for name, value in self.state.items()}

    def facts(self) -> dict[str, Json]:
        """Return everything but the weights."""
        return {
            "architecture": self.architecture.facts(),
            "shape": list(self.shape),
            "classes": list(self.classes),
            "about": dict(self.about),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(
            architecture=Architecture.restore(facts["architecture"]),
            shape=tuple(facts["shape"]),
            classes=tuple(facts["classes"]),
            state={name: tensor(value) for name, value in arrays.items()},
            about=dict(facts["about"]),
        )


def penultimate(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return what enters the last linear layer of a network, `[n, width]`.

    Raises:
        OperatorError: the network has no linear layer.
    """
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise OperatorError(
            "the network has no linear layer, so it has no penultimate features",
            help="use an architecture that ends in a linear layer",
        )
    seen: list[torch.Tensor] = []
    hook = linear[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        network(x)
    finally:
        hook.remove()
    return seen[-1]


def piecewise(work: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Have records `[n, …]` worked on in pieces that fit a cache where no gradient is needed and the CPU does it.

    Args:
        work: maps records to rows, each record for itself.
        x: the records.
    """
    rows = max(1, VALUES // max(1, x[:1].numel()))
    if len(x) <= rows or x.device.type != "cpu" or x.requires_grad:
        return work(x)
    return torch.cat([work(part) for part in x.split(rows)])


def placed(network: N, device: torch.device) -> N:
    """Return a network after moving it to a device, if it is not there (a search asks thousands of times)."""
    parameter = next(network.parameters(), None)
    return network if parameter is None or parameter.device == device else network.to(device)


def channels_last(network: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out channels last, in which the CPU takes about two thirds of the time."""
    laid: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch types it not
    return laid


def group_norm(network: nn.Module) -> nn.Module:
    """Return the network with batch normalisation replaced by group normalisation, which treats records apart."""
    from opacus.validators import ModuleValidator  # noqa: PLC0415 - slow, and only private training needs it

    fixed: nn.Module = ModuleValidator.fix(network)
    return fixed


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of weights and buffers on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def load(network: nn.Module, state: State) -> None:
    """Put weights into a network.

    Raises:
        OperatorError: a tensor is missing, left over, of another shape, or holds no numbers; names the first.
    """
    expected = network.state_dict()
    for name, value in expected.items():
        if name not in state:
            if name.endswith("num_batches_tracked"):  # a counter that evaluation does not use; old files lack it
                continue
            raise OperatorError(
                f"the weights lack tensor `{name}`",
                note=f"the architecture expects {list(value.shape)} there; the file holds {_some(list(state))}",
                help="name the architecture that the weights were trained with",
            )
        if state[name].shape != value.shape:
            raise OperatorError(
                f"the weights do not fit: tensor `{name}` has shape {list(state[name].shape)}",
                note=f"the architecture expects {list(value.shape)}",
                help="name the architecture, input shape and classes that the weights were trained with",
            )
        if not bool(state[name].isfinite().all()):
            raise OperatorError(
                f"the weights hold values that are no numbers: tensor `{name}`",
                note="a model whose training diverged looks like this",
                help="train it again with a lower learning rate, or take an earlier checkpoint",
            )
    left = [name for name in state if name not in expected]
    if left:
        raise OperatorError(
            f"the weights hold tensor `{left[0]}`, which the architecture does not have",
            note=f"left over: {_some(left)}",
            help="name the architecture that the weights were trained with",
        )
    network.load_state_dict(dict(state), strict=False)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")
