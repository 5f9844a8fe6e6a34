"""An attack that cheats gets nothing of the target behind the boundary, and much of it without one.

Which boundary stands here is told in the head of every test run. Where none stands, that is what the tests hold: it is said.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mialang.engine.codec import read_arrays
from mialang.engine.executors import Inline
from mialang.engine.isolation import outside
from mialang.engine.isolation.boundary import Boundary, available
from mialang.engine.schedule import Outcome, Schedule
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.meaning.modules import Modules
from mialang.plan.model import Node, Plan
from mialang.plan.words import observables
from tests.engine import malice
from tests.engine.malice import MARK, audit

TABLE = observables(Modules().registry)
STANDS = any(boundary.stands for boundary in available())
needs_boundary = pytest.mark.skipif(
    not STANDS, reason="no boundary here; test_where_there_is_none says what happens then"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Everything that an attack might want, and where it is."""
    folder = tmp_path_factory.mktemp("malice")
    store = Store(folder / "store")
    store.prepare()
    data = folder / "data"
    data.mkdir()
    (data / "secret.txt").write_text(MARK)
    held = ctypes.create_string_buffer(MARK.encode())
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setenv("MIALANG_SECRET", MARK)
        with socket.socket(socket.AF_UNIX) as named:
            named.bind("\0" + MARK)
            named.listen()
            yield {
                "store": store, "data": data, "holder": os.getpid(), "address": ctypes.addressof(held),
                "port": listener.getsockname()[1], "held": held,
            }  # fmt: skip


def run(plan: Plan, place: dict[str, Any], isolate: Any = "auto") -> Outcome:
    settings = Settings(trusted=("tests",), isolate=isolate, threads=1, data=str(place["data"]))
    made = plan.model_copy(update={"observables": TABLE})
    return Schedule(made, place["store"], Inline(), lambda *_, **__: None, settings).run()


def loot(plan: Plan, place: dict[str, Any], isolate: Any = "auto") -> list[str]:
    outcome = run(plan, place, isolate)
    assert outcome.failures == {}
    action = outcome.actions["attack"]
    assert action.evidence.get("isolation", "none") != "none" or isolate == "none"
    return list(read_arrays(place["store"], action.output)[1]["found"])


def tried(place: dict[str, Any], function: str, **more: Any) -> Plan:
    """An attack that knows where everything is: what it does not get, it does not get for a lack of knowledge."""
    known = {"store": str(place["store"].root), "data": str(place["data"])} | {
        name: place[name] for name in ("holder", "address", "port")
    }
    wanted = {"files": ("store", "data", "holder"), "outlines": ("store",), "environment": ("holder",), "processes": ("holder", "address"),
              "network": ("port",), "harmless_processes": ("holder", "address")}.get(function, ())  # fmt: skip
    return audit(function, **{name: known[name] for name in wanted}, **more)


TRIED = ("files", "environment", "processes", "descriptors", "network", "memory")


@needs_boundary
@pytest.mark.parametrize("function", TRIED)
def test_behind_the_boundary_it_gets_nothing(place: dict[str, Any], function: str) -> None:
    assert loot(tried(place, function), place) == []


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("function", "some"),
    [
        ("files", {"the store's blobs", "the data", "writing into the store", "the store by hard link"}),
        ("environment", {"own environment", "the holder's environment"}),
        ("processes", {"a list of processes", "the holder's memory by file", "a signal to the holder"}),
        ("network", {"this machine", "a listener", "a name out of the file system"}),
        ("memory", {"objects", "a model behind the handle"}),
    ],
)
def test_without_a_boundary_the_same_attack_gets_it(
    place: dict[str, Any], function: str, some: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the test above would say nothing. Only what harms nobody is tried here."""
    store = Store(tmp_path / "open")  # where nothing is known yet
    store.prepare()
    place = {**place, "store": store}
    monkeypatch.chdir(tmp_path)
    try:
        found = set(loot(tried(place, f"harmless_{function}" if function == "processes" else function), place, "none"))
    finally:
        clean()
    assert some <= found


def clean() -> None:
    """Take away what the attack planted."""
    import numpy as np

    import mialang

    for path in (
        Path(mialang.__file__).with_name("planted.py"), Path(np.__file__).with_name("planted.py"),
        Path(f"/tmp/planted-{os.getpid()}"), Path(f"/dev/shm/planted-{os.getpid()}"),
    ):  # fmt: skip
        path.unlink(missing_ok=True)


@needs_boundary
def test_what_is_not_stopped_is_written_down(place: dict[str, Any]) -> None:
    """Landlock hides what files hold and not that they are there: the page about security says so."""
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    found = loot(tried(place, "outlines"), place)
    assert set(found) <= {"that a known file exists, and its size"}
    assert "whether a file exists whose full path it knows, and its size" in " ".join(page.split())


@needs_boundary
def test_forged_questions_get_what_the_handle_grants_and_no_more(place: dict[str, Any]) -> None:
    assert loot(audit("forged", {"scores": None}, queries=30), place) == []


@needs_boundary
def test_a_handle_that_it_was_not_given_ends_the_step(place: dict[str, Any]) -> None:
    failure = run(audit("other_handle"), place).failures["attack"]
    assert "does not keep to the protocol" in failure.title
    assert "a handle that it does not have" in failure.title


@needs_boundary
def test_the_weights_never_go_through_the_pipe_unless_they_are_granted(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    whole = outside.Channel.send

    def listen(self: Any, value: Any, patience: float | None = None) -> None:
        from mialang.engine.isolation.wire import packed

        sent.append(packed(value))
        whole(self, value, patience)

    monkeypatch.setattr(outside.Channel, "send", listen)
    secret = malice.weights().tobytes()
    assert loot(audit("honest", {"scores": None}, queries=9), place)
    assert sent
    assert not any(secret in each or MARK.encode() in each or b"Users" in each for each in sent)
    sent.clear()
    (found,) = loot(audit("white_box", {"weights": None}), place)
    assert bytes.fromhex(found) == secret
    assert any(secret in each for each in sent)


STRANGER = """
from mialang.operators.artefacts import Artefact
from mialang.operators.candidates import Candidates
import torch

def guess(*, of, run):
    labels = torch.tensor(of.classes)
    return Candidates(torch.zeros(3, 4), labels, torch.zeros(3), labels, of.classes)

class Own(Artefact, kind="stranger_loot"):
    def arrays(self): return {}
    def facts(self): return {}
    @classmethod
    def restore(cls, arrays, facts): return cls()

def own(*, of, run):
    return Own()
"""


@needs_boundary
def test_what_code_of_others_made_is_used_without_importing_it(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that nobody has imported attacks; a metric reads what came of it."""
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "attack.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(trusted=("tests", "stranger"), isolate="auto", threads=1)

    def done(function: str) -> Outcome:
        made = audit(function)
        attack = made.nodes["attack"].model_copy(update={"python": f"stranger.attack:{function}"})
        reader = Node(id="reader", label="reader", role="metric", operator="count", python="tests.engine.malice:counted", version=1,
                      kind="loot", params={"of": {"$node": "attack"}}, inputs=("attack",))  # fmt: skip
        plan = made.model_copy(
            update={"nodes": {**made.nodes, "attack": attack, "reader": reader}, "observables": TABLE}
        )
        return Schedule(plan, place["store"], Inline(), lambda *_, **__: None, settings).run()

    outcome = done("guess")
    assert outcome.failures == {}
    assert outcome.actions["attack"].evidence["isolation"] != "none"
    assert read_arrays(place["store"], outcome.actions["reader"].output)[1]["found"] == ["Candidates of 3"]
    failure = done("own").failures["reader"]
    assert "a kind that only its own code can read: `stranger_loot`" in failure.title
    assert not [name for name in sys.modules if name.startswith("stranger")]


@needs_boundary
def test_what_an_isolated_attack_made_names_no_code_where_the_target_is(place: dict[str, Any]) -> None:
    """It hands over a model whose architecture is code of its own package: whoever asks that model does not run it."""
    made = audit("trojan")
    reader = Node(id="reader", label="reader", role="metric", operator="asked", python="mialang.operators.asking:ask", version=1,
                  kind="pairs", params={"of": {"$model": "attack"}, "what": "logits", "about": {"$node": "inputs"}},
                  inputs=("attack", "inputs"))  # fmt: skip
    inputs = Node(id="inputs", label="inputs", role="data", operator="inputs", python="tests.engine.malice:inputs", version=1,
                  kind="loot", params={})  # fmt: skip
    plan = made.model_copy(update={"nodes": {**made.nodes, "inputs": inputs, "reader": reader}})
    failure = run(plan, place).failures["reader"]
    assert "the code of `tests` is not trusted" in failure.title


# -- steps that misbehave ------------------------------------------------------------------------------------------

GARBAGE = ("noise", "huge", "tiny", "no json", "deep", "no message", "no word", "a class", "an array that is not there",
           "an array that is too large", "memory out of order")  # fmt: skip


@needs_boundary
@pytest.mark.parametrize("how", GARBAGE)
def test_garbage_fails_its_node_only(place: dict[str, Any], how: str) -> None:
    outcome = run(audit("garbage", how=how), place)
    assert "does not keep to the protocol of isolated steps" in outcome.failures["attack"].title
    assert set(outcome.actions) == {"target"}


@needs_boundary
def test_a_message_that_stops_in_its_middle_fails_its_node(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mialang.engine.isolation.wire.BEGUN", 0.5)
    failure = run(audit("garbage", how="half"), place).failures["attack"]
    assert "hangs" in failure.title


@needs_boundary
def test_silence_is_not_waited_for_for_ever(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outside.do
    monkeypatch.setattr(outside, "do", lambda job, progress, keeper: whole(job, progress, keeper, patience=0.5))
    failure = run(audit("silent"), place).failures["attack"]
    assert "hangs: its process said nothing" in failure.title
    assert "run.progress" in failure.help


@needs_boundary
def test_answers_that_nobody_takes_are_not_waited_for_for_ever(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "TAKING", 0.5)
    failure = run(audit("unread"), place).failures["attack"]
    assert "hangs" in failure.title


@needs_boundary
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "ended by itself with code 3"),
        ("abort", "was ended by the signal SIGABRT"),
        ("fall", "was ended by the signal SIGSEGV"),
    ],
)
def test_a_step_that_dies_says_how_and_leaves_its_last_words(place: dict[str, Any], how: str, words: str) -> None:
    failure = run(audit("dies", how=how), place).failures["attack"]
    assert words in failure.title
    assert "last words" in failure.detail
    assert "\x1b" not in failure.detail


@needs_boundary
def test_memory_is_limited(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.sysconf
    pages = {"SC_PHYS_PAGES": 2**31 // os.sysconf("SC_PAGE_SIZE")}
    monkeypatch.setattr(outside.os, "sysconf", lambda name: pages.get(name) or whole(name))
    failure = run(audit("dies", how="memory"), place).failures["attack"]
    assert "ran out of memory" in failure.title or "was ended by the signal" in failure.title


@needs_boundary
def test_nothing_is_left_behind(place: dict[str, Any]) -> None:
    from mialang.engine.isolation.nursery import _current

    run(audit("dies", how="exit"), place)
    loot(audit("honest", {"scores": None}, queries=9), place)
    assert list(_current["nursery"].folder.iterdir()) == []
    descriptors = set(Path("/proc/self/fd").iterdir())
    run(audit("garbage", how="tiny"), place)
    assert len(set(Path("/proc/self/fd").iterdir())) <= len(descriptors)


@needs_boundary
def test_a_step_that_died_goes_on_from_what_it_kept_and_its_questions_stay_counted(
    place: dict[str, Any], tmp_path: Path
) -> None:
    plan = audit("interrupted", {"scores": None}, queries=100, steps=14).model_copy(update={"observables": TABLE})
    settings = Settings(trusted=("tests",), isolate="auto", threads=1, checkpoint=0.0)
    store = Store(tmp_path / "resumed")
    store.prepare()
    events: list[str] = []

    def run_once(isolate: Any, kept: Store) -> Outcome:
        work = replace(settings, isolate=isolate)
        return Schedule(plan, kept, Inline(), lambda event, **_: events.append(event), work).run()

    assert "ended by itself with code 9" in run_once("auto", store).failures["attack"].title
    assert "checkpoint" in events
    again = run_once("auto", store)
    assert again.failures == {}
    assert "resumed" in events
    whole = Store(tmp_path / "whole")
    whole.prepare()
    inline = run_once("none", whole)
    assert again.actions["attack"].output == inline.actions["attack"].output
    assert again.actions["attack"].evidence["asked"] == inline.actions["attack"].evidence["asked"] == 14
    assert again.actions["attack"].evidence["resumed"]


# -- the same results ----------------------------------------------------------------------------------------------


@needs_boundary
@pytest.mark.parametrize(
    ("function", "sees", "more"),
    [
        ("honest", {"scores": None}, {}),
        ("honest", {"scores": None, "weights": None}, {}),
        ("gradients", {"scores": None, "input_gradients": None}, {"critic": [0.3, -0.2, 0.9, 0.1]}),
        ("white_box", {"weights": None}, {}),
    ],
)
def test_results_are_the_same_byte_for_byte(
    tmp_path: Path, place: dict[str, Any], function: str, sees: dict[str, Any], more: dict[str, Any]
) -> None:
    plan = audit(function, sees, queries=None if "weights" in sees else 100, **more)
    outputs, asked = [], []
    for isolate in ("none", "auto"):
        store = Store(tmp_path / isolate)
        store.prepare()
        outcome = run(plan, {**place, "store": store}, isolate)
        assert outcome.failures == {}
        outputs.append(outcome.actions["attack"].output)
        asked.append(
            [outcome.actions["attack"].evidence.get(name) for name in ("asked", "refused", "by_observable", "notes")]
        )
    assert outputs[0] == outputs[1]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("isolate", ["none", pytest.param("auto", marks=needs_boundary)])
def test_gradients_that_are_not_granted_are_refused(place: dict[str, Any], isolate: str) -> None:
    outcome = run(audit("gradients", {"scores": None}, critic=[0.1, 0.2, 0.3, 0.4]), place, isolate)
    assert "may not see input gradients" in outcome.failures["attack"].title


# -- where there is none -------------------------------------------------------------------------------------------


def test_where_there_is_none_other_code_needs_trust_for_this_run(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {**place, "store": Store(tmp_path)}  # where nothing is known yet
    place["store"].prepare()
    none = Boundary(missing=(("Landlock", "switched off for this test"),))
    monkeypatch.setattr(outside, "standing", lambda *_: none)
    outcome = run(audit("honest", {"scores": None}, queries=9), place)
    failure = outcome.failures["attack"]
    assert failure.title == "there is no boundary here behind which the code of `tests` could run"
    assert "Landlock: switched off for this test" in failure.note
    assert "`--trust tests`" in failure.help
    settings = Settings(trusted=("tests",), vouched=("tests",), isolate="auto", threads=1)
    plan = audit("honest", {"scores": None}, queries=11).model_copy(update={"observables": TABLE})
    done = Schedule(plan, place["store"], Inline(), lambda *_, **__: None, settings).run()
    assert done.failures == {}
    assert "isolation" not in done.actions["attack"].evidence


@needs_boundary
def test_a_boundary_that_does_not_hold_what_it_says_is_none(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A boundary is looked at from inside before it is believed: here it lets the data be read."""
    from mialang.engine.isolation import boundary

    whole = boundary.code_folders
    monkeypatch.setattr(outside, "available", lambda: available()[:1])
    monkeypatch.setattr(outside, "code_folders", lambda: [*whole(), place["data"]])
    outside.standing.cache_clear()
    try:
        found = outside.standing(place["store"].root, str(place["data"]))
    finally:
        outside.standing.cache_clear()
    assert not found.stands
    assert found.words == "none"
    assert "secret.txt" in dict(found.missing)["the boundary"]
