"""Services are asked in batches, again where they are busy, never beyond what is paid, and their faults are said in words."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mialang.operators.errors import OperatorError
from mialang.operators.image.services import label_service, score_service
from mialang.operators.run import Run
from mialang.operators.services import Connection, Service, filled, found_at, http
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.services import completion_service, embedding_service
from tests.service import Desk, serving, vector

WHERE = Connection("http://example.org/x", None, 8, None, 1.0, 3, 0.01, 0.0, 0.0)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with serving() as made:
        yield made


@dataclass
class Paying:
    """An account that counts, with so much in it."""

    usd: float = 1e9
    paid: list[float] = field(default_factory=list)
    settled: list[float] = field(default_factory=list)
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    asked_before: list[int] = field(default_factory=list)
    desk: Desk | None = None

    def turn(self, service: str, every: float) -> None:
        """Always."""

    def charge(self, questions: int, usd: float) -> None:
        if sum(self.paid) + usd > self.usd:
            raise OperatorError("the budget is spent")
        self.paid.append(usd)
        self.asked_before.append(len(self.desk.requests) if self.desk else 0)

    def withdraw(self, questions: int) -> None:
        self.paid.pop()

    def settle(self, usd: float) -> None:
        self.settled.append(usd)

    def record(self, entry: Mapping[str, Any], sent: bytes, received: bytes) -> None:
        self.entries.append({**entry, "sent": sent, "received": received})


def connection(desk: Desk, path: str, **changed: Any) -> Connection:
    given = {
        "key": None,
        "batch": 4,
        "rate": None,
        "timeout": 2.0,
        "attempts": 3,
        "wait": 0.01,
        "price": 0.0,
        "token_price": 0.0,
    }
    return http(url=desk.url + path, **{**given, **changed})


def scores(desk: Desk, path: str = "/scores", **changed: Any) -> Service:
    given = {
        "request": '{"inputs": "$inputs"}',
        "answer": "scores",
        **{name: changed.pop(name) for name in ("request", "answer") if name in changed},
    }
    return score_service(
        at=connection(desk, path, **changed),
        trained=None,
        classes=[0, 1, 2],
        shape=[1, 2, 2],
        model="",
        run=Run(0),
        **given,
    )


def embedder(desk: Desk, **changed: Any) -> Service:
    return embedding_service(at=connection(desk, "/embeddings", **changed), model="m", stores=None, run=Run(0))


X = torch.rand(10, 1, 2, 2, generator=torch.Generator().manual_seed(0))


# -- questions and answers -----------------------------------------------------------------------------------------


def test_scores_come_in_batches_in_the_order_of_the_inputs(desk: Desk) -> None:
    whole, single = scores(desk).answer("scores", X), scores(desk, batch=1).answer("scores", X)
    assert torch.equal(whole, single)
    assert whole.shape == (10, 3)
    assert [len(each["inputs"]) for each in desk.requests[:3]] == [4, 4, 2]
    assert len(desk.requests) == 3 + 10


def test_labels_are_class_ids(desk: Desk) -> None:
    made = label_service(at=connection(desk, "/scores"), trained=None, classes=[0, 1, 2], shape=[1, 2, 2],
                         request='{"inputs": "$inputs"}', answer="labels", model="", run=Run(0))  # fmt: skip
    assert torch.equal(made.answer("label", X), scores(desk).answer("scores", X).argmax(1))
    assert made.natives == ("label",)


def test_pictures_go_out_as_png_one_at_a_time_where_the_template_says_so(desk: Desk) -> None:
    made = scores(
        desk,
        "/one",
        request='{"picture": "$picture", "model": "$model", "fixed": [1]}',
        answer="result.scores",
        batch=4,
    )
    assert made.answer("scores", X[:3]).shape == (3, 3)
    assert len(desk.requests) == 3
    picture = Image.open(io.BytesIO(base64.b64decode(desk.requests[0]["picture"])))
    assert picture.size == (2, 2)
    assert list(picture.get_flattened_data() if hasattr(picture, "get_flattened_data") else picture.getdata()) == [
        round(each) for each in (X[0] * 255).flatten().tolist()
    ]
    assert desk.requests[0]["fixed"] == [1]


def test_embeddings_are_sorted_by_their_index_and_made_one_long(desk: Desk) -> None:
    texts = ["a", "bb", "abc", "hello", "world", ""]
    made = embedder(desk).answer("embedding", texts)
    expected = torch.nn.functional.normalize(torch.tensor([vector(text) for text in texts]), dim=1)
    assert torch.allclose(made, expected)
    assert desk.requests[0] == {"model": "m", "input": texts[:4], "encoding_format": "float"}


def test_completions_pass_the_rule_of_decoding_on_or_say_that_they_cannot(desk: Desk) -> None:
    made = completion_service(at=connection(desk, "/completions"), model="m", trained=None, run=Run(0))
    ask = {"tokens": 7, "seed": 3}
    assert made.answer("sampled_text", ["x", "y"], decoding=Decoding(), **ask) == ("x and so on", "y and so on")
    assert made.answer("sampled_text", ["x"], decoding=Decoding(top_k=1), **ask) == ("x and so on",)
    assert {name: desk.requests[0][name] for name in ("max_tokens", "seed", "temperature", "top_p")} == {
        "max_tokens": 7, "seed": 3, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip
    assert "top_k" not in desk.requests[0]
    assert desk.requests[1]["temperature"] == 0
    with pytest.raises(OperatorError, match="one temperature for a whole text"):
        made.answer("sampled_text", ["x"], decoding=Decoding(start=9.0, over=3), **ask)


def test_nothing_is_asked_about_nothing(desk: Desk) -> None:
    assert len(embedder(desk).answer("embedding", [])) == 0
    assert desk.requests == []


def test_a_service_survives_packing_and_tells_its_identity_and_no_secret(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_KEY", "hidden-7")
    made = scores(desk, key="SERVICE_KEY")
    again = Service.restore(made.arrays(), made.facts())
    assert torch.equal(again.answer("scores", X), made.answer("scores", X))
    assert again.identity == made.identity != scores(desk, "/one").identity
    assert desk.keys[0] == "Bearer hidden-7"
    assert "hidden-7" not in repr(made.facts())


# -- troubles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [429, 500, 503, "close", (429, "0")])
def test_a_busy_or_broken_service_is_asked_again(desk: Desk, trouble: Any) -> None:
    desk.troubles = {1: trouble, 2: trouble}
    assert scores(desk).answer("scores", X[:2]).shape == (2, 3)
    assert len(desk.requests) == 3


def test_pauses_grow_and_a_service_that_asks_for_a_pause_gets_it(desk: Desk) -> None:
    desk.troubles = {1: 503, 2: 503}
    scores(desk, wait=0.1).answer("scores", X[:1])
    first, second = (later - earlier for earlier, later in zip(desk.times, desk.times[1:], strict=False))
    assert first >= 0.1
    assert second >= 0.2
    desk.times.clear()
    desk.requests.clear()
    desk.troubles = {1: (429, "1")}
    scores(desk).answer("scores", X[:1])
    assert desk.times[1] - desk.times[0] >= 1.0


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (429, "it says 429"),
        (500, 'it says 500 Internal Server Error: {"error":{"message":"it is broken"}}'),
        ("hang", "said nothing complete for 0.3 s"),
        ("drip", "said nothing complete for 0.3 s"),
        ("close", "the connection broke"),
    ],
)
def test_a_service_that_is_gone_is_said_with_the_reason(desk: Desk, trouble: Any, words: str) -> None:
    desk.troubles = {0: trouble}
    with pytest.raises(OperatorError) as caught:
        scores(desk, timeout=0.3, attempts=2).answer("scores", X[:1])
    assert "does not answer" in caught.value.title
    assert words in caught.value.title
    assert f"the service at {desk.url}/scores does not answer" in caught.value.title
    assert "2 times" in caught.value.note
    assert len(desk.requests) == 2


def test_what_may_be_secret_in_an_address_is_in_no_message() -> None:
    where = replace(WHERE, url="https://me:hidden@example.org:8443/v1/x?key=hidden#part")
    assert (where.place, where.address) == ("example.org:8443", "https://example.org:8443/v1/x")


def test_no_connection_is_said() -> None:
    with serving() as gone:
        pass
    account = Paying()
    with pytest.raises(OperatorError, match="no connection"):
        scores(gone, attempts=2).connect(account).answer("scores", X[:1])
    assert account.paid == []


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("garbage", "answers what is no JSON"),
        (401, "refuses: 401"),
        (404, "refuses: 404"),
        ("elsewhere", "sends elsewhere"),
        ({"other": []}, "has no `scores`"),
        ({"scores": [[0.2, 0.3, 0.5]]}, "1 answers to 2 inputs"),
        ({"scores": {"a": 1}}, "what is no list to 2 inputs"),
        ({"scores": [[0.5, 0.5], [0.5, 0.5]]}, "no row of 3 finite numbers"),
        ({"scores": [[0.2, 0.3, "x"], [0.2, 0.3, 0.5]]}, "no row of 3 finite numbers"),
        ({"scores": [[3.0, -1.0, 7.0], [0.2, 0.3, 0.5]]}, "no class probabilities"),
        ([], "has no `scores`"),
    ],
)
def test_an_answer_that_is_none_is_said_once_and_not_asked_again(desk: Desk, trouble: Any, words: str) -> None:
    desk.troubles = {0: trouble}
    with pytest.raises(OperatorError) as caught:
        scores(desk).answer("scores", X[:2])
    assert words in caught.value.title
    assert len(desk.requests) == 1
    assert "\x1b" not in str(caught.value)


def test_an_embedding_of_another_width_is_said(desk: Desk) -> None:
    desk.troubles = {0: {"data": [{"embedding": [1.0, 2.0]}, {"embedding": [1.0]}]}}
    with pytest.raises(OperatorError, match="as many finite numbers as the others"):
        embedder(desk).answer("embedding", ["a", "b"])


def test_a_label_that_is_no_class_is_said(desk: Desk) -> None:
    made = label_service(at=connection(desk, "/scores"), trained=None, classes=[0, 1], shape=[1, 2, 2],
                         request='{"inputs": "$inputs"}', answer="labels", model="", run=Run(0))  # fmt: skip
    desk.troubles = {0: {"labels": ["cat"]}}
    with pytest.raises(OperatorError, match="answers `cat`, which is no class"):
        made.answer("label", X[:1])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"url": "ftp://example.org"}, "no address of HTTP"),
        ({"url": "example.org/v1"}, "no address of HTTP"),
    ],
)
def test_an_address_that_is_none_is_refused(changed: dict[str, str], words: str) -> None:
    given = {
        "key": None,
        "batch": 4,
        "rate": None,
        "timeout": 1.0,
        "attempts": 1,
        "wait": 0.0,
        "price": 0.0,
        "token_price": 0.0,
    }
    with pytest.raises(OperatorError, match=words):
        http(**{**given, **changed})


def test_a_template_that_is_no_json_and_a_key_that_is_not_set_are_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperatorError, match="`request` is no JSON"):
        scores(desk, request="{inputs}")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(OperatorError, match="`NO_SUCH_KEY` is not set"):
        scores(desk, key="NO_SUCH_KEY").answer("scores", X[:1])
    with pytest.raises(OperatorError, match="does not say what it takes"):
        score_service(
            at=connection(desk, "/scores"),
            trained=None,
            classes=None,
            shape=None,
            request="{}",
            answer="",
            model="",
            run=Run(0),
        )


# -- money ---------------------------------------------------------------------------------------------------------


def test_every_attempt_is_paid_before_it_is_made(desk: Desk) -> None:
    desk.troubles = {1: 500}
    account = Paying(desk=desk)
    scores(desk, price=0.5, batch=2).connect(account).answer("scores", X[:3])
    assert account.paid == [1.0, 1.0, 0.5]
    assert account.asked_before == [0, 1, 2]
    assert [entry["status"] for entry in account.entries] == [500, 200, 200]
    assert account.entries[0]["sent"] == account.entries[1]["sent"] != b""


def test_what_is_not_paid_is_not_asked(desk: Desk) -> None:
    account = Paying(usd=1.2)
    with pytest.raises(OperatorError, match="the budget is spent"):
        scores(desk, price=0.5, batch=1).connect(account).answer("scores", X[:5])
    assert len(desk.requests) == 2


def test_tokens_are_paid_at_most_and_settled_by_what_the_service_says(desk: Desk) -> None:
    desk.tokens = 10
    account = Paying()
    made = completion_service(at=connection(desk, "/completions", token_price=1.0), model="m", trained=None, run=Run(0))
    made.connect(account).answer("sampled_text", ["hello"], decoding=Decoding(), tokens=20, seed=1)
    (paid,), (settled,) = account.paid, account.settled
    assert paid == (len(account.entries[0]["sent"]) + 20) / 1000
    assert paid - settled == pytest.approx(10 / 1000)


# -- templates and paths -------------------------------------------------------------------------------------------

words = st.text("abcdef", min_size=1, max_size=4)
trees = st.recursive(
    st.one_of(st.integers(), words, st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=30)
@given(trees, trees)
def test_a_template_without_places_comes_out_as_it_is_and_a_place_takes_anything(tree: Any, value: Any) -> None:
    import json

    assert filled(json.dumps(tree), {"$inputs": value}) == tree
    assert filled(json.dumps({"a": [tree, "$inputs"]}), {"$inputs": value}) == {"a": [tree, value]}


@settings(max_examples=30)
@given(st.lists(st.tuples(words, st.integers()), min_size=1, max_size=4), st.lists(words, max_size=3))
def test_a_path_finds_what_lies_at_it(entries: list[tuple[str, int]], names: list[str]) -> None:
    tree: Any = [{"value": number} for _, number in entries]
    for name in reversed(names):
        tree = {name: tree}
    path = ".".join([*names[:-1], *([f"{names[-1]}[]"] if names else ["[]"]), "value"])
    assert found_at(tree, path, WHERE) == [number for _, number in entries]


@pytest.mark.parametrize(
    ("tree", "path"), [({"a": 1}, "b"), ({"a": 1}, "a[]"), ([1], "a"), ({"a": {"b": 1}}, "a.c"), (3, "a")]
)
def test_a_path_to_nowhere_is_said_with_what_is_there(tree: Any, path: str) -> None:
    with pytest.raises(OperatorError):
        found_at(tree, path, WHERE)
