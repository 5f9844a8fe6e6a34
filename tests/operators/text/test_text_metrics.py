"""Metrics of texts: definitions, golden values, and that failures count."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.operators.candidates import Candidates
from mialang.operators.run import Run
from mialang.operators.text import metrics
from mialang.operators.text.texts import Texts

from .small_encoder import open_handle, sentences, small_lsa

texts = st.lists(st.sampled_from(["the", "cat", "dog", "sees", "a", "fish", ".", "!"]), max_size=8).map(" ".join)


def outputs(written, units=None, attempted=None):
    group = torch.arange(len(written)) if units is None else torch.tensor(units, dtype=torch.long)
    every = tuple(range(len(written))) if attempted is None else attempted
    return Candidates(tuple(written), group, torch.zeros(len(written)), group, every)


def mean(measured, name=""):
    values, _ = measured.fields[name]
    return sum(values) / len(values)


def f1(written, truth, **places):
    return metrics.token_f1(of=outputs(written, **places), secret=Texts(tuple(truth)), run=Run(seed=0))


def test_precision_and_recall_are_not_exchanged():
    """A released evaluation has them the other way round."""
    made = f1(["a b c d"], ["a b"])
    assert mean(made, "precision") == 0.5
    assert mean(made, "recall") == 1.0
    assert mean(made, "f1") == pytest.approx(2 / 3)


def test_sets_and_multisets():
    made = f1(["a a a b"], ["a b b"])
    assert mean(made, "f1") == 1.0
    assert mean(made, "multiset") == pytest.approx(2 * 2 / 7)


def test_punctuation_and_case_do_not_count():
    assert mean(f1(["HELLO , there ."], ["hello there!"]), "f1") == 1.0
    assert mean(f1([". . ."], ["hello ."]), "f1") == 0.0


@given(st.lists(st.tuples(texts, texts.filter(lambda text: any(c.isalpha() for c in text))), min_size=1, max_size=6))
def test_the_micro_f1_is_what_it_is_called(pairs):
    written, truth = zip(*pairs, strict=True)
    made = f1(list(written), list(truth))
    sets = [
        ({w for w in one.split() if w.isalpha()}, {w for w in other.split() if w.isalpha()}) for one, other in pairs
    ]
    both = sum(len(one & other) for one, other in sets)
    total = sum(len(one) + len(other) for one, other in sets)
    assert mean(made, "micro") == pytest.approx(2 * both / total)
    for name in metrics.SETS:
        assert len(made.fields[name][0]) == len(pairs)


def test_records_without_output_are_failures():
    made = f1(["a b"], ["a b", "c d"], units=[0], attempted=(0, 1))
    assert made.fields["f1"] == ([1.0, 0.0], ["record 0", "record 1"])
    exact = metrics.exact_match(of=outputs(["a b"], [0], (0, 1)), secret=Texts(("a b", "c")), run=Run(seed=0))
    assert exact.fields[""][0] == [1.0, 0.0]


def test_every_output_is_scored_never_the_lucky_one():
    made = f1(["a b", "x y"], ["a b"], units=[0, 0], attempted=(0,))
    assert made.fields["f1"] == ([1.0, 0.0], ["record 0", "record 0"])


def test_records_without_words_are_left_out_and_noted():
    run = Run(seed=0)
    made = metrics.token_f1(of=outputs(["a", "b"]), secret=Texts(("a", "...")), run=run)
    assert made.fields["f1"] == ([1.0], ["record 0"])
    assert run.notes["records_without_words"] == 1
    none = metrics.token_f1(of=outputs(["a"]), secret=Texts(("...",)), run=Run(seed=0))
    assert "no record holds a word" in none.reasons["f1"]


def test_exact_match_is_identity_of_records():
    made = metrics.exact_match(
        of=outputs(["Hello  THERE", "hello there."]), secret=Texts(("hello there", "hello there")), run=Run(seed=0)
    )
    assert made.fields[""][0] == [1.0, 0.0]


def bleu(written, truth):
    run = Run(seed=0)
    return metrics.bleu(of=outputs(written), secret=Texts(tuple(truth)), run=run), run


def test_bleu_is_sacrebleus_with_smoothing():
    """Without smoothing a pair that shares no four words in a row scores 0; torchmetrics scores it so even with."""
    import sacrebleu

    written = ["the cat sat on a mat", "i have two dogs", "nothing alike here at all", "hello"]
    truth = ["the cat lay on the mat", "i have two dogs", "some other words are there", "hello"]
    made, run = bleu(written, truth)
    sentence, corpus = made.fields["sentence"][0], made.fields["corpus"][0]
    each = [sacrebleu.corpus_bleu([one], [[other]]).score for one, other in zip(written, truth, strict=True)]
    assert sentence == pytest.approx(each)
    assert corpus == pytest.approx([sacrebleu.corpus_bleu(written, [truth]).score])
    assert 10 < sentence[0] < 30
    assert sentence[1] == pytest.approx(100)
    assert run.notes["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_effective_order_is_off():
    import sacrebleu

    made, _ = bleu(["hello"], ["hello"])
    assert made.fields["sentence"][0][0] < 100
    assert sacrebleu.sentence_bleu("hello", ["hello"]).score == pytest.approx(100)


def test_golden_bleu():
    made, _ = bleu(["a b c x y z"], ["a b c d e f"])
    # Precisions 3/6, 2/5, 1/4, and no shared four words of three: half of 1/3, smoothed.
    expected = 100 * (3 / 6 * 2 / 5 * 1 / 4 * (1 / 2) / 3) ** 0.25
    assert made.fields["sentence"][0][0] == pytest.approx(expected)


def test_cosine_of_nothing_is_no_success():
    secret = Texts(sentences("test", 60).lines[:3])
    made = metrics.text_similarity(
        of=outputs([secret.lines[0], secret.lines[2]], [0, 1], (0, 1, 2)),
        secret=secret,
        judge=open_handle(small_lsa()),
        run=Run(seed=0),
    )
    same, other, missing = made.fields[""][0]
    assert same == pytest.approx(1, abs=1e-5)
    assert other < 0.9
    assert missing == 0.0


def test_a_store_finds_its_records():
    made = metrics.retrieval(of=open_handle(small_lsa()), on=sentences("test", 60), run=Run(seed=0))
    assert mean(made) > 0.5
