"""Embedders and language models that somebody else runs, asked as the interfaces of OpenAI are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mialang.operators.batches import Batch
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json, Run
from mialang.operators.services import Connection, Service, form, found_at, matched, numbers
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.texts import Texts


def embedding_service(*, at: Connection, model: str, stores: Texts | None, run: Run) -> Service:
    """Reach an embedder: `POST {"model", "input": [texts]}`, vectors come back at `data[].embedding`."""
    return _service(Service(at, ("embedding",), "embeddings", model), stores, run)


def completion_service(*, at: Connection, model: str, trained: Texts | None, run: Run) -> Service:
    """Reach a language model: `POST {"model", "prompt": [texts], …}`, texts come back at `choices[].text`."""
    return _service(Service(at, ("sampled_text",), "completions", model), trained, run)


def _service(made: Service, secret: Texts | None, run: Run) -> Service:
    run.note("service", made.connection.place)
    run.note("identity", made.identity)
    if secret is not None:
        run.note("secret_texts", len(secret))
    return made


@form("embeddings")
def embeddings(service: Service, name: str, x: Batch, size: Mapping[str, Any]) -> Batch:
    """Ask for the vectors of texts, `[n, width]`, of length 1."""
    del size
    texts = _texts(x)
    if not texts:
        return torch.zeros(0, 0)
    body = {"model": service.model, "input": texts, "encoding_format": "float"}
    entries = _ordered(service.exchange(body, len(texts), name), "data[]", len(texts), service)
    rows = [found_at(each, "embedding", service.connection) for each in entries]
    made = torch.tensor(numbers(rows, None, service.connection))
    return made / made.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


@form("completions")
def completions(service: Service, name: str, x: Batch, size: Mapping[str, Any]) -> Batch:
    """Ask for texts that continue prompts, by a `decoding`, of `tokens` tokens, drawn from a `seed`."""
    prompts = _texts(x)
    if not prompts:
        return ()
    tokens = int(size["tokens"])
    body = {"model": service.model, "prompt": prompts, "max_tokens": tokens, "seed": int(size["seed"]), "n": 1,
            **_drawn(size["decoding"])}  # fmt: skip
    found = service.exchange(body, len(prompts), name, tokens * len(prompts))
    entries = _ordered(found, "choices[]", len(prompts), service)
    made = [found_at(each, "text", service.connection) for each in entries]
    if not all(isinstance(each, str) for each in made):
        raise OperatorError(
            f"{service.connection.place} writes what is no text", help="look at `url`: chats are not asked"
        )
    return tuple(made)


def _drawn(decoding: Decoding) -> dict[str, Json]:
    """A rule of decoding in the words of the interface.

    Raises:
        OperatorError: the interface has no words for it.
    """
    if decoding.over:
        raise OperatorError(
            "a service keeps one temperature for a whole text",
            note=f"the decoding lets it fall from {decoding.start:g} over {decoding.over} tokens",
            help="leave `start` and `over` out",
        )
    if decoding.is_greedy:
        return {"temperature": 0}
    told: dict[str, Json] = {"temperature": decoding.temperature, "top_p": decoding.top_p}
    # Not of the original interface, and understood by most servers that offer it; the others say that they do not know it.
    return told if decoding.top_k is None else {**told, "top_k": decoding.top_k}


def _texts(x: Batch) -> list[str]:
    return [str(each) for each in x]


def _ordered(found: Json, path: str, n: int, service: Service) -> Sequence[Json]:
    """The entries of an answer in the order of the inputs, whatever order they came in."""
    entries = matched(found_at(found, path, service.connection), n, service.connection)
    placed = {each.get("index"): each for each in entries if isinstance(each, dict)}
    return [placed[place] for place in range(n)] if placed.keys() == set(range(n)) else entries
