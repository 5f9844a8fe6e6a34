"""Encoders: pooling that sees no padding, an identity that changes with whatever decides an answer, texts that are cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.embedder import Embedder, embedder, own_encoder
from mialang.operators.text.lsa import lsa
from mialang.operators.text.texts import Texts
from mialang.operators.text.transformer_encoder import pooled, pretrained, read

from .small_encoder import WORDS, open_handle, sentences, small_lsa, write, write_network

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def network(folder):
    return read(folder, layers=None, pooling=None, prompt="")


@settings(deadline=None, max_examples=25)
@given(st.lists(texts, min_size=1, max_size=5))
def test_a_text_has_its_vector_whatever_stands_beside_it(network, batch):
    together = network.answer("embedding", tuple(batch))
    alone = torch.cat([network.encoder.embed([text]) for text in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(batch)))


@given(st.integers(1, 5), st.integers(0, 4), st.sampled_from(["mean", "cls", "max", "lasttoken"]))
def test_pooling_does_not_see_padding(length, padding, mode):
    hidden = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(length))
    filled = torch.cat([hidden, torch.full((2, padding, 3), 1e3)], dim=1)
    mask = torch.cat([torch.ones(2, length), torch.zeros(2, padding)], dim=1).long()
    torch.testing.assert_close(pooled(filled, mask, mode), pooled(hidden, torch.ones(2, length).long(), mode))


def test_pooling_is_what_it_says():
    hidden = torch.tensor([[[1.0, 5.0], [3.0, 1.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    found = {mode: pooled(hidden, mask, mode)[0].tolist() for mode in ("mean", "cls", "max", "lasttoken")}
    assert found == {"mean": [2, 3], "cls": [1, 5], "max": [3, 5], "lasttoken": [3, 1]}


def test_vectors_of_tokens_embed_as_the_text_does(network):
    text = "the big cat sees a dog"
    soft = network.encoder.table()[network.encoder.tokens([text])[0]].unsqueeze(0).clone().requires_grad_()
    made = network.answer("embedding", soft)
    torch.testing.assert_close(made.detach(), network.answer("embedding", (text,)), atol=1e-6, rtol=1e-5)
    made[0, 0].backward()
    assert soft.grad.abs().sum() > 0


def test_lsa_embeds_mixtures_as_it_does_texts():
    model = small_lsa()
    text = sentences().lines[0]
    soft = model.encoder.table()[model.encoder.tokens([text])[0]].unsqueeze(0)
    torch.testing.assert_close(model.answer("embedding", soft), model.answer("embedding", (text,)))


def test_lsa_is_what_scikit_learn_makes_of_the_same_words():
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from mialang.operators.text.words import words_of

    lines = sentences().lines
    weighted = TfidfVectorizer(analyzer=words_of).fit_transform(lines)
    expected = TruncatedSVD(48, random_state=0).fit(weighted).transform(weighted)
    made = small_lsa().answer("embedding", lines)
    unit = functional.normalize(torch.from_numpy(expected).float(), dim=1)
    torch.testing.assert_close(made @ made.T, unit @ unit.T, atol=1e-3, rtol=1e-3)


def test_identity_changes_with_whatever_decides_an_answer(tmp_path):
    """Inverters were released for encoders whose pooling or normalisation differed, and inverted nothing."""
    made = {
        name: read(write_network(tmp_path / name, **changed), layers=None, pooling=None, prompt="").identity
        for name, changed in {
            "same": {},
            "cls": {"pooling": "cls"},
            "raw": {"normalised": False},
            "short": {"length": 8},
            "dense": {"dense": 10},
            "other": {"seed": 1},
        }.items()
    }
    again = read(tmp_path / "same", layers=None, pooling=None, prompt="").identity
    fewer = read(tmp_path / "same", layers=1, pooling=None, prompt="").identity
    asked = read(tmp_path / "same", layers=None, pooling=None, prompt="query: ").identity
    assert again == made["same"]
    assert len({*made.values(), fewer, asked}) == len(made) + 2


def test_an_embedder_comes_back_from_plain_arrays(network):
    for model in (network, small_lsa()):
        back = Embedder.restore(model.arrays(), model.facts())
        assert back.identity == model.identity
        assert torch.equal(back.encoder.embed(["the cat"]), model.encoder.embed(["the cat"]))


def test_a_dense_layer_has_the_last_word(tmp_path):
    made = read(write_network(tmp_path, dense=10), layers=None, pooling=None, prompt="")
    assert made.encoder.width == 10
    assert made.answer("embedding", ("the cat",)).shape == (1, 10)


def test_texts_that_are_too_long_are_cut_and_counted(folder):
    run = Run(seed=0)
    long = " ".join(["cat"] * 40)
    stored = Texts(("the cat", long, long + " dog"))
    made = embedder(encoder=pretrained(model=str(folder), layers=None, pooling=None, prompt=""), stores=stored, run=run)
    assert run.notes["texts_cut"] == 2
    one, other = made.answer("embedding", (long, long + " dog"))
    assert torch.equal(one, other)


def test_tokens_that_mark_starts_and_ends_belong_to_no_text(network):
    marks = network.encoder.special()
    assert not marks & {token for row in network.encoder.tokens(["the cat", ""]) for token in row}
    assert network.encoder.written([[*marks, *network.encoder.tokens(["the cat"])[0]]]) == ("the cat",)


def test_an_answer_is_the_askers_own(network):
    asked = ("the cat", "a dog")
    first = network.answer("embedding", asked)
    kept = first.clone()
    first += 1
    assert torch.equal(network.answer("embedding", asked), kept)


def test_what_an_encoder_is_fitted_to(folder):
    with pytest.raises(OperatorError, match="has to be fitted"):
        embedder(encoder=lsa(width=8, on=None), stores=None, run=Run(seed=0))
    with pytest.raises(OperatorError, match="more than 8 texts"):
        lsa(width=8, on=Texts(("a b", "c d"))).make(None, Run(seed=0))
    made = own_encoder(encoder=lsa(width=8, on=None), on=sentences(), run=Run(seed=0))
    assert made.encoder.width == 8
    named = own_encoder(encoder=lsa(width=8, on=sentences()), on=sentences("test", 60), run=Run(seed=0))
    assert named.identity == made.identity
    loaded = own_encoder(
        encoder=pretrained(model=str(folder), layers=None, pooling=None, prompt=""), on=sentences(), run=Run(seed=0)
    )
    assert loaded.encoder.width == 24


def test_layouts_that_are_not_known_are_refused(tmp_path, folder):
    given = {"layers": None, "pooling": None, "prompt": ""}
    with pytest.raises(OperatorError, match=r"no tokenizer\.json"):
        read(tmp_path, **given)
    odd = write_network(tmp_path / "odd")
    write(odd / "1_Pooling" / "config.json", {"pooling_mode_mean_sqrt_len_tokens": True})
    with pytest.raises(OperatorError, match="pools by"):
        read(odd, **given)
    assert read(odd, **(given | {"pooling": "mean"})).settings["pooling"] == "mean"
    write(odd / "modules.json", [{"path": "", "type": "sentence_transformers.models.WordWeights"}])
    with pytest.raises(OperatorError, match="WordWeights"):
        read(odd, **given)
    with pytest.raises(OperatorError, match="no 9 layers"):
        read(folder, **(given | {"layers": 9}))


def test_a_handle_tells_the_identity_and_answers_strings():
    handle = open_handle(small_lsa())
    assert handle.identity == small_lsa().identity
    assert handle.ask("embedding", ("customer number", "the email")).shape == (2, 48)
    assert handle.classes == ()
