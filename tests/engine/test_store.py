"""The store keeps whole results or none, and notices damage."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.engine.codec import header, pack, read_arrays, unpack
from mialang.engine.files import write_whole
from mialang.engine.store import Action, Store, StoreError, fingerprint, value_digest
from mialang.operators.places import first_found

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    made.prepare()
    return made


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_bytes_come_back_under_their_digest(pieces: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.prepare()
        digests = [store.put(piece) for piece in pieces]
        assert [store.get(digest) for digest in digests] == pieces
        assert len(set(digests)) == len(set(pieces))


@given(st.text(max_size=8), json_values, st.lists(st.floats(width=32, allow_nan=False), max_size=6))
def test_artefacts_survive_packing(kind: str, facts: object, numbers: list[float]) -> None:
    array = np.array(numbers, dtype=np.float32)
    data = pack(kind, {"x": array}, facts)
    assert data == pack(kind, {"x": array.copy()}, facts)
    kind_, arrays, facts_ = unpack(data)
    assert (kind_, facts_) == (kind, facts)
    assert np.array_equal(arrays["x"], array)


def test_a_store_is_private_to_its_owner(store: Store) -> None:
    output = store.put(pack("toy", {"x": np.arange(3)}, {}))
    store.record(Action("ab" * 32, output, "toy"))
    for path in (store.root, *store.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
        assert not path.is_dir() or path.stat().st_mode & 0o777 == 0o700


def test_a_store_keeps_itself_out_of_version_control(store: Store) -> None:
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_actions_are_found_by_key_and_only_whole(store: Store) -> None:
    output = store.put(pack("toy", {"x": np.arange(3)}, {"a": 1}))
    action = Action("ab" * 32, output, "toy", None, {"seconds": 1.0})
    store.record(action)
    assert store.find(action.key) == (action, "")
    assert store.find("cd" * 32) == (None, "")
    assert read_arrays(store, output)[1] == header(store, output) == {"a": 1}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_blob_is_noticed(store: Store, damage: str) -> None:
    output = store.put(b"some bytes that matter")
    action = Action("ab" * 32, output, "toy")
    store.record(action)
    path = store.blob_path(output)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": b"X" + data[1:], "cut": data[:5], "empty": b""}[damage])
    found, reason = store.find(action.key)
    assert found is None
    assert "missing or damaged" in reason
    with pytest.raises(StoreError):
        store.get(output)
    store.put(data)
    assert store.find(action.key) == (action, "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": "x"}'])
def test_a_damaged_record_is_noticed(store: Store, text: str) -> None:
    action = Action("ab" * 32, value_digest({"a": 1}), "measurement", {"a": 1})
    store.record(action)
    assert store.find(action.key) == (action, "")
    store.action_path(action.key).write_text(text)
    assert store.find(action.key) == (None, "its record is damaged")


def test_a_small_result_that_was_changed_is_noticed(store: Store) -> None:
    action = Action("ab" * 32, value_digest({"a": 1}), "measurement", {"a": 1})
    store.record(action)
    path = store.action_path(action.key)
    path.write_text(path.read_text().replace('"a":1', '"a":2'))
    assert store.find(action.key)[0] is None


def test_evidence_that_was_changed_is_noticed(store: Store) -> None:
    action = Action("ab" * 32, value_digest(1), "measurement", 1, {"asked": 100, "notes": {2: "two", 10: "ten"}})
    store.record(action)
    path = store.action_path(action.key)
    found, _ = store.find(action.key)
    assert found is not None
    assert found.evidence["asked"] == 100
    path.write_text(path.read_text().replace('"asked":100', '"asked":101'))
    assert store.find(action.key) == (None, "its record is damaged")
    made = json.loads(path.read_text())
    del made["sha256"]
    path.write_text(json.dumps(made))
    assert store.find(action.key)[0] is not None, "records from before there were digests still count"


def test_a_result_that_rests_on_a_changed_file_is_not_used(store: Store, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    data.write_bytes(b"one")
    output = store.put(b"made of one")
    action = Action("ab" * 32, output, "toy", files=(fingerprint(data),))
    store.record(action)
    assert store.find(action.key)[0] is not None
    os.utime(data, (1, 1))
    assert store.find(action.key)[0] is not None
    data.write_bytes(b"two")
    assert "has changed since" in store.find(action.key)[1]
    data.unlink()
    assert store.find(action.key)[0] is None


def test_a_file_is_looked_for_where_the_run_looks_for_it(store: Store, tmp_path: Path) -> None:
    """The same name in another data folder is another file, unless it holds the same."""
    for folder, data in (("here", b"one"), ("same", b"one"), ("there", b"two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.npz").write_bytes(data)
    output = store.put(b"made of one")
    found = tmp_path / "here" / "data.npz"
    store.record(Action("ab" * 32, output, "toy", files=(fingerprint(found, ("data.npz",)),)))

    def known(folder: str) -> bool:
        return store.find("ab" * 32, partial(first_found, tmp_path / folder))[0] is not None

    assert (known("here"), known("same"), known("there")) == (True, True, False)
    assert store.find("ab" * 32)[0] is not None
    found.unlink()
    assert (known("same"), known("there"), known("nowhere")) == (True, False, False)
    assert store.whole("ab" * 32)[0] is not None


def test_writing_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_whole(target, b"first")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"second")
    assert target.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", [b"99\n", b"\xff\xfe", "²".encode(), b""])
def test_a_store_of_a_format_that_is_not_known_is_refused(text: bytes, store: Store) -> None:
    (store.root / "format").write_bytes(text)
    with pytest.raises(StoreError, match="is of format"):
        store.prepare()


def test_actions_are_plain_json(store: Store) -> None:
    action = Action("ab" * 32, value_digest([1]), "measurement", [1], {"notes": {"epsilon": 1.5}})
    store.record(action)
    assert json.loads(store.action_path(action.key).read_text())["evidence"] == {"notes": {"epsilon": 1.5}}
