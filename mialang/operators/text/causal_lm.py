"""Causal language models: trained here on texts, tuned from a pretrained one, or taken as they are by path or hub id."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from mialang.operators.defenses.private import PrivateTraining, fit_privately
from mialang.operators.errors import OperatorError
from mialang.operators.models import state_of
from mialang.operators.run import Json, Run
from mialang.operators.text.language_model import LanguageModel, built
from mialang.operators.text.stream import BETWEEN, Stream, fit_stream, next_token_loss, stream_of
from mialang.operators.text.texts import Texts
from mialang.operators.text.tokenizer import Tokenizer, trained_tokenizer
from mialang.operators.training import Schedule, TrainingDefense

SHOWN = 256  # windows over which the perplexity on training text is noted


def causal_lm(
    *,
    trained: Texts | None,
    weights: str | None,
    base: str | None,
    width: int,
    layers: int,
    heads: int,
    context: int,
    vocabulary: int,
    epochs: int,
    lr: float,
    batch: int,
    training: Sequence[TrainingDefense],
    run: Run,
) -> LanguageModel:
    """Train a small GPT-2 with a tokenizer of its own, tune a pretrained model, or take one as it is.

    Notes as evidence: `train_perplexity`, `tokens`, and under private training ε and what it covers.

    Raises:
        OperatorError: neither or both of `trained` and `weights`; `base` with `weights`; a width that the heads do not
            share evenly; a model that cannot be read; a text that fills no window; divergence.
    """
    if (trained is None) == (weights is None):
        raise OperatorError(
            "a language model needs either texts to train on or weights",
            help="give `trained = DATA`, or `weights = PATH` (a folder, or a hub id)",
        )
    if weights is not None:
        if base is not None:
            raise OperatorError("a model with given weights is not tuned", help="give `base` together with `trained`")
        return pretrained(weights, run)
    assert trained is not None  # exactly one is given, as checked above
    schedule = Schedule(epochs, lr, batch)
    if base is not None:
        return _tuned(pretrained(base, run), trained, context, schedule, training, run)
    if width % heads:
        raise OperatorError(f"{heads} heads cannot share a width of {width}", help="make the width a multiple of them")
    # The tokenizer sees the stream as the model does, blank lines between records included.
    tokenizer = trained_tokenizer([BETWEEN.join(trained.lines)], size=vocabulary)
    config = gpt2_config(
        width=width, layers=layers, heads=heads, context=context, vocabulary=len(tokenizer), end=tokenizer.end
    )
    stream = stream_of(trained.lines, tokenizer, context)
    with run.seeded():
        return _fitted(built(config), config, tokenizer, stream, schedule, training, run)


def fit_language_model(
    *,
    on: Texts,
    width: int,
    layers: int,
    heads: int,
    context: int,
    vocabulary: int,
    epochs: int,
    lr: float,
    batch: int,
    run: Run,
) -> LanguageModel:
    """Train a language model of the attacker's own on texts that it was granted, as `causal_lm` trains the target."""
    return causal_lm(
        trained=on, weights=None, base=None, width=width, layers=layers, heads=heads, context=context,
        vocabulary=vocabulary, epochs=epochs, lr=lr, batch=batch, training=(), run=run,
    )  # fmt: skip


def gpt2_config(*, width: int, layers: int, heads: int, context: int, vocabulary: int, end: int) -> dict[str, Json]:
    """Return the configuration of a small GPT-2 without dropout; its GELU is the fused form of the same formula."""
    return {
        "model_type": "gpt2",
        "vocab_size": vocabulary,
        "n_positions": context,
        "n_embd": width,
        "n_layer": layers,
        "n_head": heads,
        "activation_function": "gelu_pytorch_tanh",
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": end,
        "eos_token_id": end,
    }


def pretrained(name: str, run: Run) -> LanguageModel:
    """Read a causal language model and its tokenizer from a folder or the hub; only safetensors, and no code.

    Raises:
        OperatorError: it cannot be read, has no fast tokenizer, or no token that stands between texts.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - slow to import

    try:
        place = str(run.find(name))
    except OperatorError:
        place = name  # a hub id, perhaps in the local cache
    try:
        network = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, use_safetensors=True)
        cutter = AutoTokenizer.from_pretrained(place, use_fast=True)
    except (OSError, ValueError, KeyError, ImportError) as problem:
        raise OperatorError(
            f"`{name}` cannot be read as a causal language model",
            note=str(problem).splitlines()[0],
            help="name a folder that `save_pretrained` wrote, or a hub id that is cached or can be reached",
        ) from problem
    end = cutter.bos_token_id if cutter.bos_token_id is not None else cutter.eos_token_id
    if not cutter.is_fast or end is None:
        lacking = "a token that stands between texts" if cutter.is_fast else "a fast tokenizer"
        raise OperatorError(f"`{name}` has no {lacking.removeprefix('a ')}", note=f"{lacking} is needed")
    tokenizer = Tokenizer(cutter.backend_tokenizer.to_str(), int(end))
    config = {key: value for key, value in network.config.to_dict().items() if _is_plain(value)}
    if len(tokenizer) > int(config["vocab_size"]):
        raise OperatorError(
            f"`{name}` has a tokenizer of {len(tokenizer):,} tokens and a model of {config['vocab_size']:,}",
            help="take tokenizer and model from one place",
        )
    return LanguageModel(config, state_of(network), tokenizer, {"weights": name})


def _is_plain(value: Json) -> bool:
    """Whether a value of a configuration is JSON; what is not (a dtype) does not change the network in float32."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _tuned(
    start: LanguageModel,
    texts: Texts,
    context: int,
    schedule: Schedule,
    training: Sequence[TrainingDefense],
    run: Run,
) -> LanguageModel:
    """Go on training a pretrained model, in windows of at most `context` tokens."""
    stream = stream_of(texts.lines, start.tokenizer, min(context, start.context))
    with run.seeded():
        network = built(start.config)
        network.load_state_dict(dict(start.state))
        return _fitted(network, dict(start.config), start.tokenizer, stream, schedule, training, run)


def _fitted(
    network: nn.Module,
    config: dict[str, Json],
    tokenizer: Tokenizer,
    stream: Stream,
    schedule: Schedule,
    training: Sequence[TrainingDefense],
    run: Run,
) -> LanguageModel:
    about: dict[str, Json] = {"epochs": schedule.epochs, "tokens": len(stream.tokens)}
    private = [defense for defense in training if isinstance(defense, PrivateTraining)]
    if private:
        about |= _privately(network, stream, schedule, private[0], training, run)
    else:
        fit_stream(network, stream, schedule=schedule, defenses=training, run=run)
    about["train_perplexity"] = _perplexity(network.eval(), stream.windows()[:SHOWN])
    for name, value in about.items():
        run.note(name, value)
    return LanguageModel(config, state_of(network), tokenizer, about)


class NextToken(nn.Module):
    """A language model as private training wants one: windows `[n, T]` to logits `[n, tokens, T − 1]`.

    Positions are given, one row per window: left to itself, GPT-2 makes one row for all, and its position embeddings
    would have the gradient of one record (meta-pytorch/opacus#841).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits of each token but the first."""
        count, length = windows.shape
        places = torch.arange(length, device=windows.device).expand(count, length)
        logits: torch.Tensor = self.network(input_ids=windows, position_ids=places, use_cache=False).logits
        return logits[:, :-1].transpose(1, 2)


def _privately(
    network: nn.Module,
    stream: Stream,
    schedule: Schedule,
    private: PrivateTraining,
    training: Sequence[TrainingDefense],
    run: Run,
) -> dict[str, Json]:
    _know_projections()
    windows = stream.windows()
    found = fit_privately(
        NextToken(network), windows, windows[:, 1:], schedule=schedule, private=private, defenses=training, run=run
    )
    del found["normalisation"]  # layer normalisation treats records apart as it is
    return found | {
        "privacy_unit": f"one window of {stream.width - 1} tokens; a record may lie in several",
        "not_covered": "the tokenizer, which was trained on the same texts",
    }


def _know_projections() -> None:
    """Teach Opacus the gradients of GPT-2's projections (`Conv1D`, a linear layer with its weights transposed)."""
    from opacus.grad_sample.utils import register_grad_sampler  # noqa: PLC0415 - only private training needs it
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415

    def projection(
        layer: nn.Module, activations: list[torch.Tensor], backprops: torch.Tensor
    ) -> dict[nn.Parameter, torch.Tensor]:
        found: dict[nn.Parameter, torch.Tensor] = {}
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, nn.Parameter)
        assert isinstance(bias, nn.Parameter)
        if weight.requires_grad:
            found[weight] = torch.einsum("n...i,n...j->nij", activations[0], backprops)
        if bias.requires_grad:
            found[bias] = torch.einsum("n...j->nj", backprops)
        return found

    register_grad_sampler(Conv1D)(projection)


@torch.inference_mode()
def _perplexity(network: nn.Module, windows: torch.Tensor) -> float:
    losses = [next_token_loss(network(input_ids=part, use_cache=False).logits, part) for part in windows.split(64)]
    return math.exp(float(torch.cat(losses).mean()))
