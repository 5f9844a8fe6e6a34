"""A handle answers exactly what is granted; what it refuses costs nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mialang.engine.handles import Handle, Meter, RefusedError
from mialang.meaning.modules import Modules
from mialang.operators.answers import ModelAnswers
from mialang.operators.errors import OperatorError
from mialang.plan.words import observables

TABLE = observables(Modules().registry)
ASKABLE = ("logits", "features", "scores", "top_k", "label")
SIZED = {name: each["size"] for name, each in TABLE.items() if each["size"]}


class Linear:
    """A model with three classes on two inputs."""

    natives = ("logits", "features")
    classes = (4, 7, 9)
    shape = (2,)

    def answer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weights = torch.tensor([[1.0, -1.0, 0.5], [0.3, 0.8, -0.2]])
        return x @ weights if name == "logits" else x


def answers(*, decoy: bool = False, transforms: Any = ()) -> ModelAnswers:
    return ModelAnswers(Linear(), TABLE, transforms, decoy=decoy, generator=torch.Generator().manual_seed(0))


@given(
    st.dictionaries(st.sampled_from(ASKABLE), st.one_of(st.none(), st.integers(1, 3).map(float)), max_size=4),
    st.sampled_from(ASKABLE),
    st.integers(0, 6),
    st.one_of(st.none(), st.integers(0, 8)),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_a_handle_answers_iff_the_grant_contains_the_question(
    sees: dict[str, float | None], name: str, rows: int, cap: int | None, size: int | None
) -> None:
    meter = Meter(cap)
    handle = Handle("victim", answers(), sees, SIZED, meter)
    x = torch.zeros(rows, 2)
    given_size = {"k": size} if name == "top_k" and size is not None else {}
    limit = sees.get(name, 0)
    granted = name in sees and (not given_size or limit is None or (size or 0) <= limit)
    if granted and (cap is None or rows <= cap):
        assert len(handle.ask(name, x, **given_size)) == rows
        assert meter.asked == rows
    else:
        with pytest.raises(RefusedError):
            handle.ask(name, x, **given_size)
        assert meter.asked == 0
        assert meter.refused > 0 or rows == 0


def test_gradients_are_an_observable_of_their_own() -> None:
    x = torch.zeros(2, 2, requires_grad=True)
    with pytest.raises(RefusedError, match="input gradients"):
        Handle("victim", answers(), {"scores": None}).ask("scores", x)
    answer = Handle("victim", answers(), {"scores": None, "input_gradients": None}).ask("scores", x)
    answer[:, 0].sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0


def test_weights_are_handed_over_only_where_they_are_granted() -> None:
    with pytest.raises(RefusedError):
        Handle("victim", answers(), {"scores": None}).model()
    assert isinstance(Handle("victim", answers(), {"weights": None}).model(), Linear)
    assert isinstance(Handle("victim", answers()).model(), Linear)


def test_weak_answers_follow_from_strong_ones() -> None:
    handle = Handle("victim", answers())
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    scores = handle.ask("scores", x)
    assert torch.allclose(scores, handle.ask("logits", x).softmax(1))
    assert [handle.classes[column] for column in scores.argmax(1).tolist()] == handle.ask("label", x).tolist()
    kept = handle.ask("top_k", x, k=2)
    assert ((kept > 0).sum(1) == 2).all()
    assert handle.column(torch.tensor([9, 4])).tolist() == [2, 0]


def test_defenses_change_everything_that_follows_from_what_they_change() -> None:
    from mialang.operators.defenses.outputs import labels_only, round_scores

    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    rounded = Handle("victim", answers(transforms=[(["scores"], round_scores(digits=1))]))
    assert torch.allclose(rounded.ask("scores", x), rounded.ask("scores", x).round(decimals=1))
    only = Handle("victim", answers(transforms=[(["scores"], labels_only())]))
    assert set(only.ask("scores", x).flatten().tolist()) == {0.0, 1.0}
    assert only.ask("label", x).tolist() == Handle("victim", answers()).ask("label", x).tolist()


def test_a_decoy_answers_with_others_answers_and_no_gradient() -> None:
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    true = Handle("victim", answers()).ask("scores", x.detach())
    fake = Handle("decoy", answers(decoy=True)).ask("scores", x)
    assert sorted(true.sum(1).tolist()) == pytest.approx(sorted(fake.detach().sum(1).tolist()))
    assert not any(torch.equal(one, other) for one, other in zip(true, fake.detach(), strict=True))
    fake[:, 0].sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) == 0


def test_a_handle_keeps_its_parts_out_of_reach_of_mistakes() -> None:
    handle = Handle("victim", answers(), {"label": None}, SIZED, Meter(3))
    assert not hasattr(handle, "__dict__")
    public = {name for name in dir(handle) if not name.startswith("_")}
    assert public == {"name", "classes", "shape", "identity", "remaining", "ask", "know", "column", "model"}
    assert handle.remaining == 3


class Knowing(Linear):
    """A model that tells its vocabulary, and answers the size that it was asked for."""

    natives = ("logits", "features", "top_k")

    def answer(self, name: str, x: torch.Tensor, **size: Any) -> torch.Tensor:
        return torch.full((len(x),), float(size.get("k", -1))) if name == "top_k" else super().answer(name, x)

    def knowledge(self, name: str) -> Any:
        return f"the {name}"


def knowing() -> ModelAnswers:
    return ModelAnswers(Knowing(), TABLE, generator=torch.Generator().manual_seed(0))


@given(st.integers(1, 50), st.one_of(st.none(), st.integers(1, 50)))
def test_without_a_size_as_much_is_answered_as_is_granted_and_never_more(limit: int, asked: int | None) -> None:
    handle = Handle("victim", knowing(), {"top_k": float(limit)}, SIZED)
    if asked is not None and asked > limit:
        with pytest.raises(RefusedError):
            handle.ask("top_k", torch.zeros(2, 2), k=asked)
    else:
        given_size = {} if asked is None else {"k": asked}
        assert handle.ask("top_k", torch.zeros(2, 2), **given_size).tolist() == [asked or limit] * 2


def test_facts_about_a_model_are_told_to_whom_they_are_granted() -> None:
    open_to_all = Handle("victim", knowing())
    granted = Handle("victim", knowing(), {"logits": None}, SIZED, None, ["vocabulary"])
    closed = Handle("victim", knowing(), {"logits": None}, SIZED, None, [])
    assert open_to_all.know("vocabulary") == granted.know("vocabulary") == "the vocabulary"
    for name, handle in (("architecture", granted), ("vocabulary", closed)):
        with pytest.raises(RefusedError, match=f"may not know the {name}"):
            handle.know(name)
    with pytest.raises(OperatorError, match="no vocabulary that could be told"):
        Handle("victim", answers()).know("vocabulary")
