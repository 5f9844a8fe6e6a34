"""What is spent is written down before it is asked, and no kill, no second run and no second process gets more than the budget."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.engine.accounts import Account
from mialang.engine.executors import Inline
from mialang.engine.handles import Meter, RefusedError
from mialang.engine.ledger import Ledger, open_purse
from mialang.engine.schedule import Outcome, Schedule
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.meaning.modules import Modules
from mialang.plan.model import BudgetPlan, Node, Plan
from mialang.plan.words import observables
from tests.engine.toys import plan
from tests.service import Desk, serving


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    made.prepare()
    return made


@settings(max_examples=15)
@given(charges=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=12), budget=st.integers(0, 100))
def test_nodes_of_one_audit_never_spend_more_than_its_budget(
    tmp_path_factory: pytest.TempPathFactory, charges: list[tuple[str, int]], budget: int
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    purse = open_purse(store, ["a-0000000001", "b-0000000002", "c-0000000003"], float(budget))
    number = {"a": 1, "b": 2, "c": 3}
    total = 0
    for name, usd in charges:
        ledger = Ledger(store, name * 64, f"{name}-{number[name]:010d}", purse)
        if total + usd <= budget:
            ledger.spend(0, float(usd))
            total += usd
        else:
            with pytest.raises(RefusedError, match="usd is spent"):
                ledger.spend(0, float(usd))
    assert sum(Ledger(store, name * 64, f"{name}-{number[name]:010d}", purse).usd for name in "abc") == pytest.approx(
        total
    )


def test_another_audit_in_the_same_store_has_a_budget_of_its_own(store: Store) -> None:
    one = open_purse(store, ["a-0000000001"], 1.0)
    other = open_purse(store, ["b-0000000002"], 1.0)
    Ledger(store, "k" * 64, "a-0000000001", one).spend(0, 1.0)
    Ledger(store, "l" * 64, "b-0000000002", other).spend(0, 1.0)
    renamed = open_purse(store, ["new_name-0000000001"], 1.0)
    with pytest.raises(RefusedError):
        Ledger(store, "m" * 64, "new_name-0000000001", renamed).spend(0, 0.5)


def test_what_was_paid_too_much_can_be_spent_again(store: Store) -> None:
    purse = open_purse(store, ["a-0000000001"], 1.0)
    ledger = Ledger(store, "k" * 64, "a-0000000001", purse)
    ledger.spend(1, 0.9)
    ledger.give_back(0, 0.5)
    ledger.spend(1, 0.5)
    assert ledger.asked == 2
    assert ledger.usd == pytest.approx(0.9)


def test_a_meter_counts_what_an_interrupted_execution_asked(store: Store) -> None:
    Ledger(store, "k" * 64, "a").spend(7, 0.0)
    again = Meter(10, ledger=Ledger(store, "k" * 64, "a"))
    assert (again.asked, again.remaining) == (0, 3)
    again.count("scores", 3)
    Ledger(store, "k" * 64, "a").spend(3, 0.0)
    again.ledger = Ledger(store, "k" * 64, "a")
    with pytest.raises(RefusedError) as caught:
        again.count("scores", 1)
    assert caught.value.title == "the 10 questions that the threat grants this step do not suffice"
    assert "7 of them by executions or requests that came to nothing" in caught.value.note
    assert "by at least 7" in caught.value.help


def test_what_the_threat_grants_beyond_the_need_is_for_what_came_to_nothing(store: Store) -> None:
    Ledger(store, "k" * 64, "a").spend(7, 0.0)
    again = Meter(10, 20, ledger=Ledger(store, "k" * 64, "a"))
    assert again.remaining == 10
    again.count("scores", 10)
    with pytest.raises(RefusedError) as caught:
        again.count("scores", 1)
    assert caught.value.title == "this step was counted to ask at most 10 questions, and it asks more"
    assert "the threat grants 20" in caught.value.note


def test_questions_and_money_are_charged_together_or_not_at_all(store: Store) -> None:
    ledger = Ledger(store, "k" * 64, "a-0000000001", open_purse(store, ["a-0000000001"], 1.0), 10)
    for questions, usd, words in (
        (4, 1.5, "usd is spent"),
        (11, 0.5, "grant this step 10 questions, and 0 were asked"),
    ):
        with pytest.raises(RefusedError, match=words):
            ledger.spend(questions, usd)
        assert (ledger.asked, ledger.usd) == (0, 0.0)
    ledger.spend(4, 0.5)
    ledger.give_back(4, 0.5)
    assert (ledger.asked, ledger.usd) == (0, 0.0)


def test_a_ledger_that_cannot_be_read_is_not_guessed(store: Store) -> None:
    Ledger(store, "k" * 64, "a").spend(3, 0.0)
    (store.root / "ledger" / "spent.json").write_text("{")
    with pytest.raises(RefusedError, match="what was spent is not guessed"):
        Ledger(store, "k" * 64, "a")
    with serving() as desk:
        failure = run(asking(desk, 12), store).failures["ask-0000000004"]
        assert desk.requests == []
    assert "what was spent is not guessed" in failure.title
    assert "use a fresh store" in failure.help


def test_turns_are_shared_by_all_who_ask(store: Store) -> None:
    one, other = Ledger(store, "k" * 64, "a"), Ledger(store, "l" * 64, "b")
    began = time.monotonic()
    for ledger in (one, other, one, other):
        ledger.turn("http://service", 0.1)
    assert time.monotonic() - began >= 0.3
    one.turn("http://other", 10.0)  # another service is free


SPENDER = """
import sys
from pathlib import Path
from mialang.engine.ledger import Ledger, Purse
from mialang.engine.handles import RefusedError
from mialang.engine.store import Store
store, scope, key, log = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3], Path(sys.argv[4])
ledger = Ledger(store, key, "a-0000000001", Purse(scope, 20.0), 25)
print("ready", flush=True)
while True:
    try:
        ledger.spend(1, 1.0)
    except RefusedError:
        break
    with log.open("a") as file:
        file.write("asked\\n")
"""


def spending(store: Store, scope: str, key: str, log: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SPENDER, store.root, scope, key, log], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_killed_at_any_moment_no_more_is_asked_than_was_paid_and_no_more_paid_than_the_budget(
    store: Store, tmp_path: Path
) -> None:
    purse = open_purse(store, ["a-0000000001"], 20.0)
    log = tmp_path / "log"
    log.touch()
    for moment in range(4):
        process = spending(store, purse.scope, "k" * 64, log)
        time.sleep(0.01 + 0.02 * moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        spent = Ledger(store, "k" * 64, "a-0000000001", purse)
        assert len(log.read_text().splitlines()) <= spent.usd <= 20
        assert spent.usd <= spent.asked <= 25
    with spending(store, purse.scope, "k" * 64, log) as last:
        last.communicate()
    spent = Ledger(store, "k" * 64, "a-0000000001", purse)
    assert spent.usd <= 20
    assert spent.asked == 25 or spent.usd == 20
    assert len(log.read_text().splitlines()) <= 20


def test_two_processes_at_once_share_the_budget(store: Store, tmp_path: Path) -> None:
    purse = open_purse(store, ["a-0000000001"], 20.0)
    logs = [tmp_path / "one", tmp_path / "other"]
    for log in logs:
        log.touch()
    both = [spending(store, purse.scope, letter * 64, log) for letter, log in zip("kl", logs, strict=True)]
    for process in both:
        process.communicate()
    assert sum(len(log.read_text().splitlines()) for log in logs) == 20


# -- transcripts ---------------------------------------------------------------------------------------------------


def test_a_transcript_holds_hashes_and_contents_only_where_they_are_asked_for(store: Store) -> None:
    for keeps, held in (("none", None), ("hashes", False), ("contents", True)):
        account = Account(store, keeps[0] * 64, "best-0123456789", Ledger(store, "k" * 64, "a"), keeps)  # type: ignore[arg-type]
        account.charge(2, 0.25)
        account.record({"observable": "scores", "inputs": 2}, b'{"question":"private"}', b'{"answer":"secret"}')
        path = store.root / "transcripts" / f"best-0123456789-{keeps[0] * 10}.jsonl"
        assert path.exists() == (held is not None)
        if held is None:
            continue
        assert path.stat().st_mode & 0o777 == 0o600
        (line,) = map(json.loads, path.read_text().splitlines())
        assert (line["inputs"], line["usd"]) == (2, 0.25)
        assert len(line["sent"]) == len(line["received"]) == 64
        assert ("private" in path.read_text()) == held


# -- a whole step --------------------------------------------------------------------------------------------------

TABLE = observables(Modules().registry)


def asking(
    desk: Desk, queries: int | None, *, granted: int | None = None, records: int = 12, usd: float | None = None,
    price: float = 0.0, key: str | None = None,
) -> Plan:  # fmt: skip
    """A step that asks a service about some records."""
    at = {"$term": "http", "python": "mialang.operators.services:http", "version": 1, "args": {
        "url": f"{desk.url}/embeddings", "key": key, "batch": 3, "rate": None, "timeout": 5.0, "attempts": 2, "wait": 0.01,
        "price": price, "token_price": 0.0,
    }}  # fmt: skip
    target = Node(id="api-0000000001", label="api", role="target", operator="EmbeddingService", version=1, kind="embedder",
                  python="mialang.operators.text.services:embedding_service", params={"at": at, "model": "m", "stores": None})  # fmt: skip
    handle = Node(id="handle-0000000002", label="handle", role="handle", operator="handle", python="", version=1, kind="model",
                  params={"model": {"$node": target.id}, "sees": {"embedding": None}, "knows": [], "transforms": [], "decoy": "",
                          "noisy": False}, inputs=(target.id,))  # fmt: skip
    texts = Node(id="texts-0000000003", label="texts", role="data", operator="texts", python="tests.service:texts",
                 version=1, kind="texts", params={"count": records})  # fmt: skip
    ask = Node(id="ask-0000000004", label="ask", role="attack", operator="ask", python="mialang.operators.asking:ask", version=1,
               kind="pairs", params={"of": {"$handle": handle.id}, "what": "embedding", "about": {"$node": texts.id}},
               inputs=(handle.id, texts.id), queries=queries, granted=granted)  # fmt: skip
    made = plan([target, handle, texts, ask])
    return made.model_copy(update={"observables": TABLE, "budget": BudgetPlan(usd=usd)})


def run(made: Plan, store: Store, **how: Any) -> Outcome:
    return Schedule(made, store, Inline(), lambda *_, **__: None, Settings(trusted=("tests",), **how)).run()


def test_a_step_asks_a_service_through_its_handle_and_leaves_what_it_cost(store: Store) -> None:
    with serving() as desk:
        outcome = run(asking(desk, 12, usd=1.0, price=0.01), store)
        assert outcome.failures == {}
        evidence = outcome.actions["ask-0000000004"].evidence
        assert (evidence["asked"], evidence["requests"], evidence["usd"]) == (12, 4, 0.12)
        assert len(desk.requests) == 4
        assert run(asking(desk, 12, usd=1.0, price=0.01), store).cached >= {"ask-0000000004"}
        assert len(desk.requests) == 4
    lines = next((store.root / "transcripts").iterdir()).read_text().splitlines()
    assert len(lines) == 4
    assert "text 0" not in "".join(lines)


def test_money_runs_out_in_words_and_a_later_run_gets_no_more(store: Store) -> None:
    with serving() as desk:
        for _ in range(2):
            failure = run(asking(desk, None, usd=0.07, price=0.01), store).failures["ask-0000000004"]
            assert failure.title == "the budget of 0.07 usd is spent"
            assert "earlier runs included" in failure.note
        assert desk.questions == 6
        assert run(asking(desk, None, usd=0.30, price=0.01), store).failures == {}


def test_a_step_that_was_interrupted_does_not_ask_more_than_its_budget_in_all(store: Store) -> None:
    with serving() as desk:
        desk.troubles = {3: 404}
        assert "refuses: 404" in run(asking(desk, 12, granted=20), store).failures["ask-0000000004"].title
        desk.troubles = {}
        failure = run(asking(desk, 12, granted=20), store).failures["ask-0000000004"]
        assert failure.title == "the 20 questions that the threat grants this step do not suffice"
        assert "raise the threat's `queries` by at least 1" in failure.help
        assert desk.questions == 9
        assert run(asking(desk, 12, granted=21), store).failures == {}
        assert desk.questions == 21


def test_what_never_left_costs_nothing_and_the_step_can_run_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as desk:
        made = asking(desk, 12, usd=1.0, price=0.01, key="SERVICE_KEY")
        assert "`SERVICE_KEY` is not set" in run(made, store).failures["ask-0000000004"].title
        monkeypatch.setenv("SERVICE_KEY", "secret")
        poor = asking(desk, 12, usd=0.02, price=0.01, key="SERVICE_KEY")
        assert run(poor, store).failures["ask-0000000004"].title == "the budget of 0.02 usd is spent"
        assert desk.requests == []
        assert spent_in(store) == (0, 0.0)
        assert run(made, store).failures == {}
        assert spent_in(store) == (12, pytest.approx(0.12))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_where_nobody_listens_nothing_is_charged(store: Store, url: str) -> None:
    failure = run(asking(Desk(url=url), 12, usd=1.0, price=0.01), store).failures["ask-0000000004"]
    assert "does not answer: no connection" in failure.title
    assert spent_in(store) == (0, 0.0)


def test_requests_that_are_repeated_stay_within_what_the_threat_grants(store: Store) -> None:
    with serving() as desk:
        desk.troubles = {4: 500}
        failure = run(asking(desk, 12, price=0.01), store).failures["ask-0000000004"]
        assert failure.title == "the threat's `queries` grant this step 12 questions, and 12 were asked"
        assert "since it says 500" in failure.note
        assert "by at least 12" in failure.help
        assert desk.questions == 12
    assert spent_in(store) == (12, pytest.approx(0.12))
    other = Store(store.root.parent / "other")
    other.prepare()
    with serving() as desk:
        desk.troubles = {2: 500}
        assert run(asking(desk, 12, granted=15), other).failures == {}
        assert desk.questions == 15


ASKER = """
import sys
from pathlib import Path
from mialang.engine.store import Store
from tests.engine.test_ledger import asking, run
from tests.service import Desk
run(asking(Desk(url=sys.argv[2]), 12, price=0.01), Store(Path(sys.argv[1])))
"""


def test_killed_while_a_request_is_out_that_one_stays_charged_and_those_not_sent_do_not(store: Store) -> None:
    with serving() as desk:
        desk.troubles = {2: "hang"}
        process = subprocess.Popen([sys.executable, "-c", ASKER, store.root, desk.url])
        end = time.monotonic() + 60
        while len(desk.requests) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert spent_in(store) == (6, pytest.approx(0.06))
        desk.troubles = {}
        failure = run(asking(desk, 12, granted=17, price=0.01), store).failures["ask-0000000004"]
        assert "raise the threat's `queries` by at least 1" in failure.help
        assert desk.questions == 6
        assert run(asking(desk, 12, granted=18, price=0.01), store).failures == {}
        assert desk.questions == 18
    assert spent_in(store) == (18, pytest.approx(0.18))


def spent_in(store: Store) -> tuple[int, float]:
    """Questions and US dollars in the ledger."""
    path = store.root / "ledger" / "spent.json"
    found = json.loads(path.read_bytes()).values() if path.exists() else []
    return sum(each["asked"] for each in found), sum(each["usd"] for each in found)


def test_isolated_steps_ask_services_through_the_same_handle(store: Store, tmp_path: Path) -> None:
    from mialang.engine.isolation.boundary import available

    other = Store(tmp_path / "other")
    other.prepare()
    with serving() as desk:
        isolated = run(asking(desk, 12, usd=1.0, price=0.01), store, isolate="process")
        inline = run(asking(desk, 12, usd=1.0, price=0.01), other)
    assert isolated.failures == {}
    assert isolated.outputs == inline.outputs
    evidence = isolated.actions["ask-0000000004"].evidence
    assert (evidence["asked"], evidence["usd"]) == (12, 0.12)
    assert evidence["isolation"] in {each.words for each in available()}
