"""Language models are trained, tuned, loaded and trained privately; per-record gradients are exact."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.nn import functional

from mialang.operators.defenses.training import dp_sgd
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text.causal_lm import NextToken, _know_projections, causal_lm, fit_language_model, gpt2_config
from mialang.operators.text.language_model import built
from mialang.operators.text.stream import BETWEEN, stream_of
from mialang.operators.text.texts import Texts

from .small_language_model import TEXT, tokenizer

SMALL = {"width": 16, "layers": 1, "heads": 2, "context": 16, "vocabulary": 290}
SECRET = Texts(TEXT * 4)


def trained(**changed):
    run = changed.pop("run", None) or Run(0)
    given = {
        "trained": SECRET,
        "weights": None,
        "base": None,
        **SMALL,
        "epochs": 3,
        "lr": 3e-3,
        "batch": 8,
        "training": (),
    }
    return causal_lm(**{**given, **changed}, run=run)


def test_training_lowers_the_loss_and_is_repeated_by_its_seed():
    once, again, other = trained(), trained(), trained(run=Run(1))
    assert once.identity == again.identity != other.identity
    assert once.about["train_perplexity"] < trained(epochs=1).about["train_perplexity"] < 290
    assert once.classes == tuple(range(len(once.tokenizer)))
    assert once.shape == (16,)


def test_the_stream_holds_every_record_once_in_order():
    stream = stream_of(TEXT, tokenizer(), 16)
    assert tokenizer().decode([stream.tokens.tolist()])[0] == BETWEEN.join(TEXT)
    windows = stream.windows()
    assert (windows[:, 0] == tokenizer().end).all()
    body = windows[:, 1:].reshape(-1)
    assert body.equal(stream.tokens[: len(body)])
    assert len(stream.tokens) - len(body) < 15


def test_a_text_that_fills_no_window_is_refused():
    with pytest.raises(OperatorError, match="one window of the model has 15"):
        trained(trained=Texts(("ab",)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trained": None}, "either texts to train on or weights"),
        ({"weights": "x"}, "either texts to train on or weights"),
        ({"trained": None, "weights": "x", "base": "y"}, "is not tuned"),
        ({"heads": 3}, "3 heads cannot share a width of 16"),
        ({"trained": None, "weights": "no such model"}, "cannot be read as a causal language model"),
        ({"lr": 1e30}, "diverged"),
    ],
)
def test_what_cannot_be_made_says_why(changed, message):
    with pytest.raises(OperatorError, match=message):
        trained(**changed)


def test_a_folder_gives_the_model_that_was_saved_and_tuning_goes_on_from_it(tmp_path):
    from transformers import PreTrainedTokenizerFast

    first = trained()
    first.network.save_pretrained(tmp_path / "model")
    (tmp_path / "tokenizer.json").write_text(first.tokenizer.source)
    end = "<|endoftext|>"
    cutter = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), bos_token=end, eos_token=end)
    cutter.save_pretrained(tmp_path / "model")
    loaded = causal_lm(
        trained=None, weights="model", base=None, **SMALL, epochs=1, lr=1e-3, batch=4, training=(), run=(run := Run(0, data=tmp_path))
    )  # fmt: skip
    rows, _ = first.tokenizer.batch(TEXT, longest=16)
    torch.testing.assert_close(
        loaded.answer("next_token_logprobs", rows), first.answer("next_token_logprobs", rows), atol=1e-5, rtol=1e-5
    )
    assert loaded.tokenizer.encode(TEXT) == first.tokenizer.encode(TEXT)
    assert any(path.name == "model" for path in run.files.values())
    tuned = trained(base="model", epochs=4, run=Run(0, data=tmp_path))
    assert tuned.about["train_perplexity"] < first.about["train_perplexity"]
    assert tuned.tokenizer == loaded.tokenizer


def test_an_attackers_own_model_is_trained_the_same_way():
    own = fit_language_model(on=SECRET, **SMALL, epochs=3, lr=3e-3, batch=8, run=Run(0))
    assert own.identity == trained().identity


# -- private training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("count", [1, 2, 19, 52])
def test_gradients_per_record_are_exact_with_tied_and_untied_embeddings(tied, count):
    """Left to itself, GPT-2 gives its position embeddings the gradient of one record (meta-pytorch/opacus#841)."""
    from opacus import GradSampleModule

    _know_projections()
    config = gpt2_config(width=8, layers=1, heads=2, context=12, vocabulary=30, end=0) | {"tie_word_embeddings": tied}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(count)
        network = NextToken(built(config)).train()
        windows = torch.randint(30, (count, 12))
    wrapped = GradSampleModule(network, loss_reduction="mean")
    with warnings.catch_warnings(action="ignore"):  # torch finds it odd that tokens have no gradient
        functional.cross_entropy(wrapped(windows), windows[:, 1:], reduction="none").mean().backward()
    samples = {name: parameter.grad_sample.clone() for name, parameter in network.named_parameters()}
    wrapped.remove_hooks()
    for row in {0, count // 2, count - 1}:
        network.zero_grad(set_to_none=True)
        functional.cross_entropy(network(windows[row : row + 1]), windows[row : row + 1, 1:]).backward()
        for name, parameter in network.named_parameters():
            assert samples[name].shape[0] == count
            torch.testing.assert_close(samples[name][row], parameter.grad, atol=1e-6, rtol=1e-4)


def test_private_training_ends_with_the_privacy_it_was_asked_for():
    private = trained(training=(dp_sgd(noise_multiplier=None, epsilon=8.0, max_grad_norm=1.0, delta=1e-5),), batch=8)
    about = private.about
    assert 0 < about["epsilon"] <= 8.0
    assert about["steps"] == math.ceil(1 / about["sample_rate"]) * 3
    assert "window of 15 tokens" in about["privacy_unit"]
    assert "tokenizer" in about["not_covered"]
    assert "normalisation" not in about
    assert private.identity != trained().identity
