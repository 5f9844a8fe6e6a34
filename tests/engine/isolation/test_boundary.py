"""Mechanisms: those that there are here hold what they say, those that there are not are said to be missing, with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mialang.engine.isolation import boundary as boundaries
from mialang.engine.isolation import calls, landlock, nursery, outside, system
from mialang.engine.isolation.boundary import Boundary, Room, available, open_to_others, package_places, wrapped
from mialang.engine.isolation.choice import isolates, packages_of, strangers
from mialang.plan.model import Node
from tests.engine.toys import node


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Path]:
    """A store with something in it, and a fresh look at boundaries."""
    (tmp_path / "kept").write_text("secret")
    outside.standing.cache_clear()
    yield tmp_path
    outside.standing.cache_clear()


def looked_at(boundary: Boundary, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Boundary:
    monkeypatch.setattr(outside, "available", lambda: (boundary,))
    return outside.standing(secrets, None)


def missing(name: str) -> str:
    return dict(available()[0].missing).get(name, "")


def test_landlock_alone_with_a_filter_holds(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not landlock.version() or not calls.available():
        assert missing("Landlock") or missing("filter")
        return
    found = looked_at(Boundary(landlock=landlock.version(), calls=True), secrets, monkeypatch)
    assert found.words == f"Landlock {landlock.version()} + filtered system calls + no sockets"


def test_bubblewrap_alone_holds(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, why = boundaries.bubblewrap()
    if not program:
        assert "bwrap" in why
        return
    found = looked_at(Boundary(bubblewrap=program), secrets, monkeypatch)
    nursery.close()
    assert found.words == "bubblewrap + own network namespace"


def test_another_user_alone_holds_only_where_nothing_private_is_open_to_all(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can try it. What any user may read here, such as the folder of this project, another user reads as well."""
    user, why = boundaries.another_user()
    if os.geteuid() != 0:
        assert user is None
        assert "only root" in why
        return
    import pwd

    account = pwd.getpwnam("nobody")
    own = Boundary(user=(account.pw_uid, account.pw_gid), calls=calls.available(), network=boundaries.namespaces())
    secrets.chmod(0o700)
    private = secrets / "home"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(private))
    monkeypatch.chdir(private)
    assert looked_at(own, secrets, monkeypatch).words.startswith("another user + ")
    outside.standing.cache_clear()
    secrets.chmod(0o755)
    for each in (secrets, *secrets.parents):
        if not open_to_others(each):
            return  # nobody gets here anyway
    assert "one reaches" in dict(looked_at(own, secrets, monkeypatch).missing)["the boundary"]


def test_what_is_missing_is_told_with_the_reason() -> None:
    boundary = available()[0]
    used = {"another user": boundary.user is not None, "Landlock": boundary.landlock > 0, "filter": boundary.calls}
    for name, is_used in used.items():
        assert is_used or dict(boundary.missing)[name]


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    available.cache_clear()
    monkeypatch.setattr(system.sys, "platform", "darwin")
    try:
        (found,) = available()
    finally:
        available.cache_clear()
    assert (found.words, found.stands) == ("none", False)
    assert "darwin" in found.missing[0][1]


@pytest.mark.parametrize(
    ("boundary", "stands"),
    [
        (Boundary(), False),
        (Boundary(calls=True, network=True), False),
        (Boundary(landlock=3), False),
        (Boundary(landlock=3, calls=True), True),
        (Boundary(user=(9, 9), network=True), True),
        (Boundary(bubblewrap="/usr/bin/bwrap"), True),
    ],
)
def test_a_boundary_keeps_files_processes_and_the_network_out_of_reach_or_is_none(
    boundary: Boundary, stands: bool
) -> None:
    assert boundary.stands == stands
    assert (boundary.words == "none") == (not stands)
    assert Boundary.from_json(boundary.as_json()) == boundary


def test_landlock_forgets_no_file_beside_the_allowance(tmp_path: Path) -> None:
    if not landlock.version():
        assert missing("Landlock")
        return
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a").write_text("a")
    (tmp_path / "closed").write_text("b")
    script = f"""
from pathlib import Path
from mialang.engine.isolation import landlock, system
system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
landlock.restrict(landlock.Allowance([Path({str(tmp_path / "open")!r}), Path("/gone")], [Path("/dev/null")]))
assert Path({str(tmp_path / "open" / "a")!r}).read_text() == "a"
open("/dev/null", "w").write("x")
for attempt in (
    lambda: Path({str(tmp_path / "closed")!r}).read_text(),
    lambda: Path({str(tmp_path / "open" / "a")!r}).write_text("c"),
    lambda: Path({str(tmp_path / "open" / "b")!r}).write_text("c"),
    lambda: list(Path({str(tmp_path)!r}).iterdir()),
    lambda: Path("/etc/hostname").open(),
):
    try:
        attempt()
    except PermissionError:
        continue
    raise SystemExit("it was allowed")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_capabilities_are_given_up_for_good() -> None:
    if not system.linux():
        return
    script = """
import os
from mialang.engine.isolation import system
before = system.effective_capabilities()
system.drop_capabilities()
assert system.effective_capabilities() == 0
try:
    os.chroot("/")
except PermissionError:
    pass
else:
    raise SystemExit("a capability was left")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bubblewrap_shows_the_room_and_nothing_else(tmp_path: Path) -> None:
    program = shutil.which("bwrap") or "bwrap"
    command = wrapped(program, ["python", "x.py"], Room((tmp_path / "gone", Path("/usr")), tmp_path))
    assert command[0] == program
    assert {"--unshare-all", "--die-with-parent"} <= set(command)
    assert str(tmp_path / "gone") not in command
    assert command[command.index("--bind") + 1] == str(tmp_path)
    assert command[-3:] == ["--", "python", "x.py"]


# -- which steps ---------------------------------------------------------------------------------------------------


def made(name: str, role: str, python: str, inputs: tuple[str, ...] = (), **params: object) -> Node:
    return node(name, inputs).model_copy(update={"role": role, "python": python, "params": params})


def test_code_of_others_is_found_in_functions_terms_and_names() -> None:
    own = made(
        "a",
        "attack",
        "mialang.operators.search:descend",
        by={"$term": "adam", "python": "mialang.operators.optimisers:adam", "args": {}},
    )
    term = made(
        "a", "attack", "mialang.operators.search:descend", by={"$term": "x", "python": "other.steps:x", "args": {}}
    )
    named = made(
        "a",
        "attack",
        "mialang.operators.search:descend",
        model={"$term": "m", "python": "mialang.a:b", "args": {"path": "theirs.net:Net"}},
    )
    assert packages_of(own, ["other"]) == {"mialang"}
    assert packages_of(term) == {"mialang", "other"}
    assert packages_of(named, ["theirs"]) == {"mialang", "theirs"}
    assert packages_of(named, []) == {"mialang"}  # nobody trusts it, so that nothing imports it


def test_what_rests_on_an_attack_of_others_knows_so() -> None:
    nodes = {each.id: each for each in (
        made("data", "data", "readers.csv:read"),
        made("own", "attack", "mialang.a:b", ("data",)),
        made("theirs", "attack", "other.a:b", ("own",)),
        made("after", "attack", "mialang.a:c", ("theirs",)),
        made("metric", "metric", "mialang.m:m", ("after",)),
    )}  # fmt: skip
    found = strangers(nodes, ["other", "readers"])
    assert {name for name, who in found.items() if who} == {"theirs", "after", "metric"}
    assert [isolates(nodes[name], "auto", found[name]) for name in nodes] == [False, False, True, True, False]
    assert [isolates(nodes[name], "process", found[name]) for name in nodes] == [False, True, True, True, False]
    assert not any(isolates(nodes[name], "none", found[name]) for name in nodes)


def test_packages_are_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole_package").mkdir()
    (tmp_path / "whole_package" / "__init__.py").write_text("raise AssertionError")
    (tmp_path / "one_file.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_places(["whole_package", "one_file", "nothing_of_that_name"]) == {
        "whole_package": [str(tmp_path / "whole_package")],
        "one_file": [str(tmp_path / "one_file.py")],
    }
