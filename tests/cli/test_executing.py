"""Where nodes run, said on the command line; Ctrl-C keeps everything and says how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mialang.engine.events import read_events
from tests.command import mialang

ROOT = Path(__file__).parents[2]
LONG = """
mia 1

import std.image
import std.access { white_box }
import std.attack { GMI }
import std.metric { accuracy }

data secret : image.Digits { split = "train"  classes = 0..2  limit = 60 }
data public : image.Digits { classes = 5..9  limit = 60 }

target victim : image.Classifier { model = image.mlp(hidden = 8)  trained = secret  epochs = 1 }

prior other { images = public }

threat insider {
  target = victim
  access = white_box()
  prior  = other
  extent = prototype(per = class)
}

attack inside { against = insider  use = [GMI(latent = 4, networks = dense(hidden = 8), gan_steps = 1_000_000, steps = 5)] }

evaluate { utility = accuracy(insider.target, secret) }
"""


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (("--workers", "2"), "`--workers` needs somewhere to put them"),
        (("--address", "auto"), "`--address` belongs to a Ray cluster"),
        (("--on", "processes", "--share", "s3://x"), "`--share` belongs to a Ray cluster"),
        (("--on", "proceses"), "`proceses` is none of `inline`, `processes`, `ray`"),
        (("--on", "processes", "--workers", "0"), "`0` is no whole number of at least 1"),
    ],
)
def test_a_wrong_place_to_run_is_a_finding(arguments: tuple[str, ...], finding: str, tmp_path: Path) -> None:
    (tmp_path / "audit.mia").write_text(LONG)
    answer = mialang("run", "audit.mia", *arguments, folder=tmp_path)
    assert answer.code == 2
    assert finding in answer.err
    assert "help: " in answer.err
    assert not list(tmp_path.glob(".mialang/runs/*"))


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mialang.cli import executing

    monkeypatch.setattr(executing, "find_spec", lambda name: None)
    (tmp_path / "audit.mia").write_text(LONG)
    answer = mialang("run", "audit.mia", "--on", "ray", folder=tmp_path)
    assert answer.code == 4
    assert "Ray is not installed" in answer.err
    assert "pip install 'mialang[ray]'" in answer.err


def test_a_cluster_that_is_not_there_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mialang.engine import cluster

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("nobody answers at 10.0.0.1:6379")

    monkeypatch.setattr(cluster, "RayCluster", unreachable)
    monkeypatch.setattr("mialang.cli.executing.find_spec", lambda name: object())
    (tmp_path / "audit.mia").write_text(LONG)
    answer = mialang("run", "audit.mia", "--on", "ray", "--address", "10.0.0.1:6379", folder=tmp_path)
    assert answer.code == 4
    assert "the Ray cluster at `--address 10.0.0.1:6379` cannot be reached: nobody answers" in answer.err


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:9", "Connection refused"),
        ("ray://127.0.0.1:9", "Connection refused"),
        ("no-such-host.invalid:1", ""),
        ("127.0.0.1", "an address is HOST:PORT"),
        ("127.0.0.1:many", "an address is HOST:PORT"),
        ("127.0.0.1:65536", "an address is HOST:PORT"),
    ],
)
def test_an_address_where_nobody_listens_is_found_out_before_ray_waits(
    address: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mialang.cli.executing.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "ray", None)  # whoever imports it fails
    (tmp_path / "audit.mia").write_text(LONG)
    answer = mialang("run", "audit.mia", "--on", "ray", "--address", address, folder=tmp_path)
    assert answer.code == 4
    assert f"the Ray cluster at `--address {address}` cannot be reached: {reason}" in answer.err
    assert "leave out `--address`" in answer.err


def test_an_address_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from mialang.engine import cluster

    def silent(place: tuple[str, int], timeout: float) -> None:
        assert place == ("10.0.0.1", 6379)
        assert timeout <= 10
        raise TimeoutError("timed out")

    monkeypatch.setattr("socket.create_connection", silent)
    with pytest.raises(TimeoutError, match="nobody answers within 5 s"):
        cluster.reach("10.0.0.1:6379")
    cluster.reach("auto")
    cluster.reach("local")


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mialang", "run", "audit.mia", "--threads", "1", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def events(folder: Path) -> list[str]:
    newest = sorted((folder / ".mialang" / "runs").glob("*"))[-1:]
    return [
        f"{event['event']} {event.get('label', '')}" for each in newest for event in read_events(each / "events.jsonl")
    ]


def wait_for(condition: Callable[[], bool], child: subprocess.Popen[str], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, child.stdout.read() if child.stdout else ""
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("place", [(), ("--on", "processes", "--workers", "1")], ids=["inline", "processes"])
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(place: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "audit.mia").write_text(LONG)
    child = begin(tmp_path, *place)
    wait_for(lambda: (tmp_path / ".mialang" / "runs").is_dir() and "started wgan_gp" in events(tmp_path), child)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Ctrl-C again stops at once" in said
    words = " ".join(["mialang run audit.mia --threads 1", *place])
    assert said.rstrip().endswith(f"what is finished is kept. Go on with: {words}")
    assert "Traceback" not in said
    assert events(tmp_path)[-3:] == ["checkpoint wgan_gp", "stopped wgan_gp", "run stopped "]
    assert len(list((tmp_path / ".mialang" / "scratch").glob("*.checkpoint"))) == 1
    if place:
        return
    child = begin(tmp_path)
    wait_for(lambda: "resumed wgan_gp" in events(tmp_path), child)
    assert "cached public" in events(tmp_path)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130


def test_events_say_where_nodes_ran(tmp_path: Path) -> None:
    text = LONG.replace("1_000_000", "5")
    (tmp_path / "audit.mia").write_text(text)
    digests = []
    for place in ((), ("--on", "processes", "--workers", "2")):
        child = begin(tmp_path, "--store", f"store{len(place)}", *place)
        said, _ = child.communicate(timeout=120)
        assert child.returncode in (0, 3), said
        run = next((tmp_path / f"store{len(place)}" / "runs").iterdir())
        first = read_events(run / "events.jsonl")[0]
        assert (first["on"], first.get("workers")) == (("processes", 2) if place else ("inline", None))
        nodes = json.loads((run / "outcome.json").read_text())["nodes"]
        digests.append({name: (node["key"], node["output"]) for name, node in nodes.items()})
    assert digests[0] == digests[1]
