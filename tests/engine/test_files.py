"""Files are whole or absent, left-overs are told from work under way, and locks die with their holder."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mialang.engine import files
from mialang.engine.files import held, make_folder, only_one, sweep, write_whole
from mialang.engine.store import Action, Store, StoreError, UnwritableError, value_digest

LATER = time.time() + 3600  # settled for sure, however long ago this module was imported; forgotten by nobody


def test_every_file_and_folder_is_flushed_before_and_after_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(handle: int) -> None:
        done.append(f"flush {Path(f'/proc/self/fd/{handle}').readlink().name.split('-')[0]}")
        sync(handle)

    def noted_replace(source: Path, target: Path) -> None:
        done.append(f"name {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_whole(tmp_path / "a" / "b" / "file", b"data", tmp_path)
    assert done == [f"flush {tmp_path.name}", "flush a", "flush .new", "name file", "flush b"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_is_said_in_words_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    store = Store(tmp_path / "store")
    store.prepare()
    output = store.put(b"first")
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}

    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fails)
        with pytest.raises(UnwritableError, match=os.strerror(code)):
            store.put(b"second")
        with pytest.raises(UnwritableError):
            store.record(Action("ab" * 32, value_digest(1), "measurement", 1))
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before
    assert store.get(output) == b"first"


def test_a_store_on_a_full_disk_takes_what_fits_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses in the middle of a write."""
    code = """
import resource, signal, sys
from pathlib import Path
from mialang.engine.store import Store, UnwritableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1])); store.prepare()
store.put(b"x" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    store.put(b"y" * 100_000)
except UnwritableError as problem:
    print(problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(list(store.root.rglob("*.safetensors"))), len(list(store.scratch.iterdir())))
store.put(b"y" * 100_000)
print(len(list(store.root.rglob("*.safetensors"))))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"the store `{tmp_path}` cannot be written: File too large", "1 0", "2"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system")
def test_parts_of_a_store_may_lie_on_other_file_systems(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("both folders lie on one file system")
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "blobs").symlink_to(other)
        store = Store(tmp_path / "store")
        store.prepare()
        assert store.get(store.put(b"across")) == b"across"
        assert list(store.scratch.iterdir()) == []
        assert len([path for path in Path(other).rglob("*") if path.is_file()]) == 1


def test_left_overs_are_swept_and_work_under_way_is_not(tmp_path: Path) -> None:
    dead, new, living = (tmp_path / name for name in (".new-1-dead", "new.lock", ".new-1-living"))
    for path in (dead, new, living):
        path.write_bytes(b"half")
    os.utime(new, (LATER, LATER))
    with living.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep(tmp_path, LATER) == 1
        assert (dead.exists(), new.exists(), living.exists()) == (False, True, True)
    assert sweep(tmp_path, LATER) == 1
    assert new.exists()


def test_without_locks_only_what_is_very_old_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    left = tmp_path / ".new-1-left"
    left.write_bytes(b"half")
    assert sweep(tmp_path, LATER) == 0
    assert sweep(tmp_path, LATER + 86_400) == 1
    write_whole(tmp_path / "file", b"data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with held(tmp_path / "lock", alone=True) as got:
        assert got is None


def test_a_writer_killed_in_the_middle_leaves_the_old_file_and_a_left_over(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    code = """
import os, sys, time
from pathlib import Path
from mialang.engine.files import write_whole
os.replace = lambda *_: (print("now", flush=True), time.sleep(60))
write_whole(Path(sys.argv[1]), b"new")
"""
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path / "file"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"now\n"
    assert sweep(tmp_path, LATER) == 0
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sweep(tmp_path, LATER) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class GaveUpError(Exception):
    """The test waited long enough."""


def test_a_lock_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    def give_up() -> None:
        raise GaveUpError

    with only_one(tmp_path / "x.lock", give_up), pytest.raises(GaveUpError), only_one(tmp_path / "x.lock", give_up):
        pytest.fail("two hold one lock")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_while_waiting_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    holder = only_one(path, lambda: None)
    holder.__enter__()

    def let_go() -> None:
        holder.__exit__(None, None, None)
        path.write_bytes(b"")  # a third process came in between

    with only_one(path, let_go):
        assert path.exists()
    assert not path.exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from mialang.engine.files import only_one
with only_one(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path / "x.lock"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        child.kill()
        child.wait()

    with only_one(tmp_path / "x.lock", wait):
        assert waits == 1
    child.stdout.close()


def test_a_lock_is_shared_by_many_or_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, alone=False) as one, held(path, alone=False) as two:
        assert one
        assert two
        with held(path, alone=True) as third:
            assert third is False
    with held(path, alone=True) as alone:
        assert alone


def test_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_reading_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.readable() is store
    store.prepare()
    (tmp_path / "format").write_text("99\n")
    with pytest.raises(StoreError, match="format 99"):
        store.readable()
