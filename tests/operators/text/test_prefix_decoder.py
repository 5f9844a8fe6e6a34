"""Decoders from embeddings to texts: padding has no part in the loss, a beam adds logarithms, strangers are refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.asking import Pairs
from mialang.operators.errors import OperatorError
from mialang.operators.leaks import Embeddings
from mialang.operators.run import Run
from mialang.operators.text.beam import Beam, beam_search
from mialang.operators.text.causal_lm import gpt2_config
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.language_model import built
from mialang.operators.text.prefix_decoder import PrefixDecoder, Prefixed, _sampled, decode, fit_prefix_decoder

LINES = tuple(
    f"{who} {does} the {what}"
    for who in ("ada", "bela", "cosmo")
    for does in ("sees", "hears")
    for what in ("cat", "sea", "tree")
)
SHAPE = {"prefix": 2, "width": 32, "layers": 1, "heads": 2, "vocabulary": 270, "tokens": 16, "batch": 6}


def vectors(width, n=18):
    made = torch.randn(n, width, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(made, dim=1)


def fitted(width=48, epochs=60, run=None, **changed):
    pairs = Pairs(LINES, vectors(width), "embedding", (), "me")
    return fit_prefix_decoder(on=pairs, epochs=epochs, lr=1e-2, run=run or Run(seed=0), **(SHAPE | changed))


@pytest.fixture(scope="module")
def decoder():
    return fitted()


@pytest.mark.parametrize("rule", [Decoding(top_k=1), Beam(3)])
def test_what_was_learned_by_heart_is_written(decoder, rule):
    made = decode(by=decoder, of=Embeddings(vectors(48), "me"), rule=rule, tokens=None, each=1, run=Run(seed=0))
    assert sum(one == other for one, other in zip(made.values, LINES, strict=True)) >= len(LINES) - 1
    assert made.attempted == tuple(range(len(LINES)))


@pytest.mark.parametrize("width", [48, 384, 768])
def test_every_width_will_do(width):
    made = fitted(width, epochs=1)
    found = decode(by=made, of=Embeddings(vectors(width, 2), "me"), rule=Beam(2), tokens=4, each=1, run=Run(seed=0))
    assert len(found) == 2


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 6), st.integers(0, 255))
def test_the_loss_does_not_see_padding(more, filler):
    """The released code trains on padding: its mask is all ones, and padding is the token that ends texts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Prefixed(config(), 8, 2).eval()
    given_vectors = vectors(8, 3)
    tokens = torch.tensor([[5, 6, 7, 256], [8, 256, 256, 256], [9, 4, 256, 256]])
    lengths = torch.tensor([3, 1, 2])
    longer = torch.cat([tokens, torch.full((3, more), filler)], dim=1)
    torch.testing.assert_close(
        network.loss(given_vectors, longer, lengths), network.loss(given_vectors, tokens, lengths)
    )
    # The end of a text does count: without it nothing would ever stop.
    assert network.loss(given_vectors, tokens, lengths - 1) != network.loss(given_vectors, tokens, lengths)


def config(vocabulary=257):
    return gpt2_config(width=16, layers=1, heads=2, context=16, vocabulary=vocabulary, end=vocabulary - 1)


class Scripted:
    """A language model of five tokens, the last of which ends texts, with given probabilities for every beginning."""

    def __init__(self, seed=0, sharp=2.0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = built(gpt2_config(width=8, layers=1, heads=1, context=12, vocabulary=5, end=4)).eval()
            for parameter in self.network.parameters():
                parameter.data *= sharp
            self.start = torch.randn(3, 1, 8)

    @torch.inference_mode()
    def logprob(self, row, tokens):
        given = self.network.get_input_embeddings()(torch.tensor([tokens[:-1]], dtype=torch.long))
        whole = torch.cat([self.start[row : row + 1], given], dim=1)
        logs = self.network(inputs_embeds=whole).logits[0].log_softmax(-1)
        return float(logs.gather(1, torch.tensor(tokens).unsqueeze(1)).sum())


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_likeliest_text(seed):
    """A released beam adds probabilities where logarithms belong, so that it prefers long texts of unlikely tokens."""
    told = Scripted(seed)
    longest = 3
    every = [(*middle, 4) for length in range(longest) for middle in itertools.product(range(4), repeat=length)] + list(
        itertools.product(range(4), repeat=longest)
    )
    with torch.inference_mode():
        rows, scores = beam_search(told.network, told.start, 4, longest, 200)
    for row in range(3):
        best = max(every, key=lambda tokens, row=row: told.logprob(row, tokens))
        assert rows[row] == [token for token in best if token != 4]
        assert float(scores[row]) == pytest.approx(told.logprob(row, best), abs=1e-4)


def test_a_long_text_beats_a_short_one_by_its_logarithms():
    """Two tokens of probability .6 and .9 (product .54) beat one of .4, though .4 is a better start than none."""

    class Two:
        def __init__(self):
            self.table = torch.nn.Embedding(3, 1)

        def get_input_embeddings(self):
            return self.table

        def __call__(self, *, inputs_embeds, use_cache, past_key_values=None):
            step = 0 if past_key_values is None else past_key_values.step + 1
            shares = [[0.4, 0.6, 1e-9], [0.9, 0.1, 1e-9]][min(step, 1)] if step < 2 else [1e-9, 1e-9, 1.0]
            logits = torch.tensor(shares).log().expand(len(inputs_embeds), 1, 3)
            return type("Answer", (), {"logits": logits, "past_key_values": Cache(step)})()

    class Cache:
        def __init__(self, step):
            self.step = step

        def reorder_cache(self, order):
            pass

    rows, scores = beam_search(Two(), torch.zeros(1, 1, 1), 0, 2, 3)
    assert rows == [[1]]
    assert float(scores[0]) == pytest.approx(torch.tensor(0.54).log().item(), abs=1e-5)


def test_sampling_writes_several_and_draws_by_its_seed(decoder):
    def written(seed):
        return decode(
            by=decoder,
            of=Embeddings(vectors(48, 4), "me"),
            rule=Decoding(temperature=1.5),
            tokens=8,
            each=3,
            run=Run(seed=seed),
        )

    one, same, other = written(1), written(1), written(2)
    assert one.values == same.values != other.values
    assert one.group.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(one) == 12


@torch.inference_mode()
def test_texts_that_have_ended_change_nothing_for_the_others(decoder):
    """Against a plain loop that reads all of every text for each of its tokens."""
    network, end, many, longest = decoder.network.network, decoder.tokenizer.end, 12, 16
    start, rule = decoder.network.start(vectors(48, many)), Decoding(temperature=1.5)
    rows, scores = _sampled(network, start, end, longest, rule, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    written, steps = torch.empty(many, 0, dtype=torch.long), []
    for step in range(longest):
        whole = torch.cat([start, network.get_input_embeddings()(written)], dim=1)
        logs = network(inputs_embeds=whole).logits[:, -1].log_softmax(-1)
        token = rule.choose(logs, step, rule.chances(many, generator)).unsqueeze(1)
        written = torch.cat([written, token], dim=1)
        steps.append(logs.gather(1, token))
    plain = [row[: row.index(end)] if end in row else row for row in written.tolist()]
    assert rows == plain
    assert len(set(map(len, rows))) > 2, "they end at different times"
    counted = torch.cat(steps, dim=1)
    for row, score, each in zip(rows, scores.tolist(), counted, strict=True):
        assert score == pytest.approx(float(each[: len(row) + 1].sum()), abs=1e-4)


def test_texts_that_are_too_long_are_counted():
    run = Run(seed=0)
    fitted(epochs=1, run=run, tokens=4)
    assert run.notes["texts_cut"] == len(LINES)


def test_a_decoder_comes_back_from_plain_arrays(decoder):
    back = PrefixDecoder.restore(decoder.arrays(), decoder.facts())
    given = Embeddings(vectors(48, 3), "me")
    written = [
        decode(by=each, of=given, rule=Beam(2), tokens=8, each=1, run=Run(seed=0)).values for each in (decoder, back)
    ]
    assert written[0] == written[1]


def test_another_encoder_is_refused(decoder):
    given = {"rule": Beam(2), "tokens": 4, "each": 1, "run": Run(seed=0)}
    with pytest.raises(OperatorError, match="another encoder"):
        decode(by=decoder, of=Embeddings(vectors(48, 1), "other"), **given)
    with pytest.raises(OperatorError, match="takes vectors of 48"):
        decode(by=decoder, of=Embeddings(vectors(64, 1), "me"), **given)
