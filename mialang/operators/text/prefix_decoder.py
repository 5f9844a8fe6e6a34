"""Prefix decoders: a small language model that reads an embedding as if it were its first tokens, and writes the text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional

from mialang.operators.artefacts import Array, Artefact, array, tensor
from mialang.operators.asking import Pairs
from mialang.operators.candidates import Candidates
from mialang.operators.leaks import Embeddings, same_encoder, same_width
from mialang.operators.models import State, load, placed, state_of
from mialang.operators.run import Json, Run
from mialang.operators.text.beam import Beam, beam_search
from mialang.operators.text.causal_lm import gpt2_config
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.language_model import built
from mialang.operators.text.tokenizer import Tokenizer, trained_tokenizer
from mialang.operators.training import diverged

ROWS = 1_024  # texts that are written at once
CLIP = 1.0


@dataclass(frozen=True, eq=False)
class PrefixDecoder(Artefact, kind="prefix_decoder"):
    """A language model over `[projection(embedding), w_1 … w_T]`.

    Attributes:
        config: of the language model, as JSON.
        prefix: how many pseudo tokens an embedding becomes.
        width: length of the embeddings that it reads.
        tokens: longest text that it was fitted to.
        tokenizer: cuts texts into tokens.
        identity: of the encoder that it was fitted to.
        state: weights of the language model (`network.`) and of the projection (`projection.`).
    """

    config: Mapping[str, Json]
    prefix: int
    width: int
    tokens: int
    tokenizer: Tokenizer
    identity: str
    state: State

    @cached_property
    def network(self) -> Prefixed:
        """The network in evaluation mode with frozen weights."""
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            network = Prefixed(self.config, self.width, self.prefix)
            load(network, self.state)
            return network.eval().requires_grad_(requires_grad=False)

    def arrays(self) -> dict[str, Array]:
        """Return the weights."""
        return {name: array(value) for name, value in self.state.items()}

    def facts(self) -> dict[str, Json]:
        """Return everything but the weights."""
        return {
            "config": dict(self.config),
            "prefix": self.prefix,
            "width": self.width,
            "tokens": self.tokens,
            "tokenizer": {"source": self.tokenizer.source, "end": self.tokenizer.end},
            "identity": self.identity,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        return cls(
            config=dict(facts["config"]),
            prefix=facts["prefix"],
            width=facts["width"],
            tokens=facts["tokens"],
            tokenizer=Tokenizer(**facts["tokenizer"]),
            identity=facts["identity"],
            state={name: tensor(value) for name, value in arrays.items()},
        )


class Prefixed(nn.Module):
    """A language model behind a projection from embeddings to its first inputs."""

    def __init__(self, config: Mapping[str, Json], width: int, prefix: int) -> None:
        super().__init__()
        self.network: Any = built(config)
        self.prefix = prefix
        inner = int(config["n_embd"])
        self.projection = nn.Linear(width, prefix * inner)
        self.scale = math.sqrt(width)  # numbers of a unit vector are small: this makes their spread about 1

    def start(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the pseudo tokens of embeddings `[n, width]`, `[n, prefix, d]`."""
        made: torch.Tensor = self.projection(vectors * self.scale).unflatten(1, (self.prefix, -1))
        return made

    def loss(self, vectors: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of each text's tokens and of the token that ends it, a mean over tokens.

        What stands behind the end is padding; it is neither read (attention looks back only) nor counted.

        Args:
            vectors: `[n, width]`.
            tokens: `[n, T]`, filled up with anything.
            lengths: `[n]`, how many tokens of each row belong to the text; at most T - 1, so that the end fits.
        """
        given = self.network.get_input_embeddings()(tokens[:, :-1])
        whole = torch.cat([self.start(vectors), given], dim=1)
        read = self.network.base_model(inputs_embeds=whole, use_cache=False).last_hidden_state[:, self.prefix - 1 :]
        counted = torch.arange(tokens.shape[1], device=tokens.device) <= lengths.unsqueeze(1)
        # The last layer is as large as the vocabulary, so that only what counts goes through it.
        return functional.cross_entropy(self.network.get_output_embeddings()(read[counted]).float(), tokens[counted])


def fit_prefix_decoder(
    *,
    on: Pairs,
    prefix: int,
    width: int,
    layers: int,
    heads: int,
    vocabulary: int,
    tokens: int,
    epochs: int,
    lr: float,
    batch: int,
    run: Run,
) -> PrefixDecoder:
    """Fit a decoder from embeddings to texts by cross-entropy over tokens, padding left out; AdamW with cosine decay.

    Notes `loss` of the last epoch per token, and `texts_cut`: how many texts are longer than `tokens`.

    Args:
        on: texts with their embeddings.
        prefix: how many pseudo tokens an embedding becomes.
        width: hidden size of the language model.
        layers: how many layers it has.
        heads: how many heads a layer has.
        vocabulary: tokens of its byte-level BPE, which is trained on the texts.
        tokens: longest text; what is longer is cut.
        epochs: passes over the pairs.
        lr: peak learning rate.
        batch: pairs per step.
        run: gives seeds and takes notes.

    Raises:
        OperatorError: the loss is no longer a number.
    """
    tokenizer = trained_tokenizer(on.inputs, size=vocabulary)
    ids, lengths = _tokens(on.inputs, tokenizer, tokens)
    run.note("texts_cut", sum(len(row) > tokens for row in tokenizer.encode(on.inputs)))
    config = gpt2_config(
        width=width,
        layers=layers,
        heads=heads,
        context=prefix + tokens + 1,
        vocabulary=len(tokenizer),
        end=tokenizer.end,
    )
    vectors = on.answers
    with run.seeded():
        network = Prefixed(config, vectors.shape[1], prefix)
    network.to(run.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01, fused=True)
    batch = min(batch, len(ids))
    per_epoch = len(ids) // batch
    total = epochs * per_epoch
    warm = max(1, total // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / total))
    )
    loop = run.loop("prefix decoder", total, network=network, optimiser=optimiser, schedule=schedule)
    kept = loop.kept
    kept.update(mean=math.nan)
    for step in loop:
        epoch, at = divmod(step, per_epoch)
        if at == 0:
            order = torch.randperm(len(ids), generator=run.generator)
            kept.update(batches=_batches(order, lengths, batch, run.generator), summed=0.0)
        rows = kept["batches"][at]
        longest = int(lengths[rows].max()) + 1
        part = [each.to(run.device) for each in (vectors[rows], ids[rows, :longest], lengths[rows])]
        loss = network.loss(*part)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        schedule.step()
        kept["summed"] += float(loss.detach())
        if at < per_epoch - 1:
            continue
        kept["mean"] = kept["summed"] / per_epoch
        if not math.isfinite(kept["mean"]):
            raise diverged("the prefix decoder", step + 1, total, f"lr = {lr:g}")
        run.progress(epoch + 1, epochs, loss=kept["mean"])
    run.note("loss", kept["mean"])
    return PrefixDecoder(config, prefix, vectors.shape[1], tokens, tokenizer, on.identity, state_of(network.to("cpu")))


def _tokens(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens `[n, T + 1]` of texts cut at `longest`, each ended and filled up by the token that ends texts."""
    rows, lengths = tokenizer.batch(texts, longest=longest + 1)
    ended = torch.cat([rows[:, 1:], torch.full((len(rows), 1), tokenizer.end)], dim=1)
    return ended, lengths


def _batches(order: torch.Tensor, lengths: torch.Tensor, batch: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Return rows in batches of texts of like length, in random order: less is padded. The last, smaller batch is left out."""
    many = 16 * batch
    sorted_within = [part[lengths[part].argsort(stable=True)] for part in order.split(many)]
    cut = torch.cat(sorted_within)[: len(order) // batch * batch].split(batch)
    return [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]


@torch.inference_mode()
def decode(
    *, by: PrefixDecoder, of: Embeddings, rule: Decoding | Beam, tokens: int | None, each: int, run: Run
) -> Candidates:
    """Write `each` texts for every embedding.

    Args:
        by: the decoder.
        of: embeddings of records.
        rule: how the next token is chosen, or a beam.
        tokens: longest text; None = as long as the decoder was fitted to.
        each: how many texts per record; more than one only makes sense where chance has a say.
        run: gives seeds.

    Returns:
        Texts, record by record; `scores` is the sum of their tokens' log-probabilities under the decoder.

    Raises:
        OperatorError: the embeddings come from another encoder, or have another width.
    """
    same_width(by.width, of.vectors.shape[1], "the decoder")
    same_encoder(by.identity, of.identity, "the decoder")
    units = torch.arange(len(of)).repeat_interleave(each)
    longest = by.tokens if tokens is None else min(tokens, by.tokens)
    rows: list[list[int]] = []
    scores: list[torch.Tensor] = []
    size = max(1, ROWS // (rule.width if isinstance(rule, Beam) else 1))
    for part in units.split(size):
        start = placed(by.network, run.device).start(of.vectors[part].to(run.device))
        if isinstance(rule, Beam):
            made, score = beam_search(by.network.network, start, by.tokenizer.end, longest, rule.width)
        else:
            made, score = _sampled(by.network.network, start, by.tokenizer.end, longest, rule, run.generator)
        rows += made
        scores.append(score.cpu())
        run.progress(len(rows), len(units))
    return Candidates(by.tokenizer.decode(rows), units, torch.cat(scores), units, of.units)


def _sampled(
    network: Any, start: torch.Tensor, end: int, longest: int, rule: Decoding, generator: torch.Generator
) -> tuple[list[list[int]], torch.Tensor]:
    """Write token by token; returns tokens without the end, and their summed log-probabilities.

    Texts that have ended are no longer computed; chances are drawn for them as well, so that what a text becomes does not
    depend on when others end.
    """
    score = torch.zeros(len(start), device=start.device)
    written = torch.full((len(start), longest), end)
    rows, step_in, cache = torch.arange(len(start)), start, None  # rows: texts that go on
    for step in range(longest):
        answer = network(inputs_embeds=step_in, past_key_values=cache, use_cache=True)
        cache, logs = answer.past_key_values, answer.logits[:, -1].float().log_softmax(-1)
        token = rule.choose(logs.cpu(), step, rule.chances(len(start), generator)[rows])
        score[rows.to(score.device)] += logs.gather(1, token.to(logs.device).unsqueeze(1)).squeeze(1)
        written[rows, step] = token
        going = torch.nonzero(token != end).squeeze(1)
        if not len(going):
            break
        if len(going) < len(rows):
            rows, token = rows[going], token[going]
            cache.batch_select_indices(going.to(start.device))
        step_in = network.get_input_embeddings()(token.to(start.device)).unsqueeze(1)
    made = written.tolist()
    return [row[: row.index(end)] if end in row else row for row in made], score
