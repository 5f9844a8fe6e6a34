"""Small encoders for tests: LSA on a few sentences, and a random network in the layout of sentence-transformers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch

from mialang.engine.handles import Handle, Meter
from mialang.meaning.modules import Modules
from mialang.operators.answers import ModelAnswers
from mialang.operators.run import Run
from mialang.operators.text.embedder import Embedder
from mialang.operators.text.lsa import lsa
from mialang.operators.text.personal import personal
from mialang.operators.text.texts import Texts
from mialang.plan.words import observables

TABLE = observables(Modules().registry)
WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "fish",
    "sees",
    "hears",
    "big",
    "small",
    "red",
    "blue",
    "house",
    "tree",
    "and",
    "of",
    "in",
]


@cache
def sentences(split: str = "train", records: int = 300) -> Texts:
    return personal(split=split, records=records, seed=1, run=Run(seed=0))


@cache
def small_lsa(width: int = 48) -> Embedder:
    return lsa(width=width, on=sentences()).make(None, Run(seed=0))


def open_handle(model, transforms=(), seed=0):
    """A handle that answers everything."""
    answers = ModelAnswers(model, TABLE, transforms, generator=torch.Generator().manual_seed(seed))
    return Handle("target", answers, None, {}, Meter())


def write_network(folder: Path, *, pooling="mean", normalised=True, dense=0, length=16, seed=0) -> Path:
    """A random two-layer BERT of width 24, with a word tokenizer, as sentence-transformers lays it out."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    known = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    engine = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    engine.normalizer = normalizers.Lowercase()
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", known["[CLS]"]), ("[SEP]", known["[SEP]"])]
    )
    engine.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(known), hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=32, pad_token_id=0, initializer_range=0.5,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
        head = torch.randn(dense, 24) if dense else None
    engine.save(str(folder / "tokenizer.json"))
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    write(
        folder / "1_Pooling" / "config.json",
        {f"pooling_mode_{'cls_token' if pooling == 'cls' else f'{pooling}_tokens'}": True},
    )
    write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    if head is not None:
        modules.append(("2_Dense", "Dense"))
        write(folder / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.activation.Tanh"})
        save_file({"linear.weight": head, "linear.bias": torch.zeros(dense)}, folder / "2_Dense" / "model.safetensors")
    if normalised:
        modules.append(("3_Normalize", "Normalize"))
    write(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in modules],
    )
    return folder


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
