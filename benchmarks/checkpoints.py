"""What checkpoints cost, and what a kill loses of a long step.

    python benchmarks/checkpoints.py [--seconds 300]

First the seam: what a loop pays for being one that can be taken up again, against the steps of real loops; and what it
takes to keep the state of a GAN. Then a GAN is trained for a while in a process of its own, killed in the middle, and
taken up again: how much of it was lost, and whether the result equals that of a GAN that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from mialang.engine.checkpoints import Checkpoints
from mialang.engine.events import read_events, silent
from mialang.engine.stopping import Stop
from mialang.engine.store import Store
from mialang.engine.work import Settings
from mialang.operators import checkpoints
from mialang.operators.image import architectures, gan_networks, generators
from mialang.operators.image.images import Images
from mialang.operators.run import Run
from mialang.operators.training import Schedule, fit

ROOT = Path(__file__).parents[1]
SPEC = """mia 1

import std.image
import std.access { white_box }
import std.attack { GMI }
import std.metric { accuracy }

param steps : int(1..) = 1_000

data secret : image.Digits { split = "train"  classes = 0..4 }
data public : image.Digits { classes = 5..9 }

target victim : image.Classifier { model = image.mlp(hidden = 16)  trained = secret  epochs = 1 }

prior other { images = public }

threat insider {
  target = victim
  access = white_box()
  prior  = other
  extent = prototype(per = class)
}

attack inside { against = insider  use = [GMI(gan_steps = steps, steps = 5)] }

evaluate { utility = accuracy(insider.target, secret) }
"""


def pictures(side: int) -> Images:
    raw = torch.randint(0, 256, (512, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Images(raw.numpy(), 255.0, (torch.arange(512) % 10).numpy(), {each: str(each) for each in range(10)})


def best(repeats: int, what: Any) -> float:
    """The shortest of some runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        what()
        times.append(time.perf_counter() - start)
    return min(times)


def seam() -> None:
    """What a step pays, and what the steps of real loops take."""
    count = 200_000
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.prepare()
        keeper = Checkpoints(store, "0" * 64, silent, Stop(), Settings())

        def loop() -> None:
            for _ in Run(seed=0, keeper=keeper).loop("empty", count):
                pass

        def plain() -> None:
            for _ in range(count):
                pass

        cost = (best(5, loop) - best(5, plain)) / count
        print(f"the seam takes {cost * 1e6:.2f} µs a step")
        images = pictures(28)
        network = architectures.cnn(width=16).build((1, 28, 28), 10)
        columns = torch.from_numpy(images.labels)
        gan: dict[str, Any] = {"on": images, "latent": 100, "critic_steps": 5, "lr": 2e-4, "batch": 64}
        steps = {
            "training a small CNN, batch 64": (8 * 8, lambda: fit(
                network, images.inputs, columns, schedule=Schedule(8, 1e-3, 64), defenses=(), run=Run(seed=0))),
            "a convolutional GAN, batch 64": (20, lambda: generators.wgan_gp(
                networks=gan_networks.convolutional(width=32), steps=20, run=Run(seed=0), **gan)),
            "a dense GAN, batch 64": (40, lambda: generators.wgan_gp(
                networks=gan_networks.dense(hidden=128), steps=40, run=Run(seed=0), **gan)),
        }  # fmt: skip
        for name, (number, work) in steps.items():
            took = best(3, work) / number
            print(f"  {name}: {took * 1000:.2f} ms a step, of which the seam is {cost / took:.4%}")
        kept = Run(seed=0, keeper=keeper)
        original = checkpoints.save
        last: list[float] = []

        def timed(run: Run) -> None:
            start = time.perf_counter()
            original(run)
            last.append(time.perf_counter() - start)

        checkpoints.save = timed
        keeper.due = lambda: len(last) < 5
        generators.wgan_gp(networks=gan_networks.convolutional(width=32), steps=6, run=kept, **gan)
        checkpoints.save = original
        size = store.checkpoint_path("0" * 64).stat().st_size / 2**20
        print(
            f"a checkpoint of the convolutional GAN: {size:.1f} MiB, {min(last) * 1000:.0f} ms, every 20 s: {min(last) / 20:.2%}"
        )


def audit(folder: Path, steps: int) -> subprocess.Popen[bytes]:
    (folder / "audit.mia").write_text(SPEC)
    command = [sys.executable, "-m", "mialang", "run", "audit.mia", "--threads", "1", "--set", f"steps={steps}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def events(folder: Path) -> list[dict[str, Any]]:
    runs = sorted((folder / ".mialang" / "runs").glob("*"))
    return [event for each in runs for event in read_events(each / "events.jsonl")]


def gan(events: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [event for event in events if event.get("label") == "wgan_gp" and event["event"] in kinds]


def output(folder: Path) -> str:
    last = max((folder / ".mialang" / "runs").glob("*"))
    nodes = json.loads((last / "outcome.json").read_text())["nodes"]
    return next(node["output"] for name, node in nodes.items() if name.startswith("wgan_gp"))


def interrupted(seconds: float) -> None:
    """Train for about some seconds, kill in the middle, take up again."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        audit(Path(one), 400).wait()
        pace = 400 / gan(events(Path(one)), "finished")[0]["seconds"]
        steps = int(seconds * pace)
        child = audit(Path(other), steps)
        while not gan(events(Path(other)), "started"):
            time.sleep(0.2)
        moment = seconds * random.uniform(0.4, 0.6)
        time.sleep(moment)
        child.send_signal(signal.SIGKILL)
        killed = time.time()
        child.wait()
        audit(Path(other), steps).wait()
        everything = events(Path(other))
        start = gan(everything, "started")[0]["time"]
        resumed = gan(everything, "resumed")[0]["seconds"]
        took = gan(everything, "finished")[0]["seconds"]
        print(f"a GAN of {steps:,} steps, killed after {killed - start:.1f} s, went on from second {resumed:.1f}: "
              f"{killed - start - resumed:.1f} s lost; {took:.0f} s of work in all")  # fmt: skip
        audit(Path(one), steps).wait()
        print(
            f"digests {'equal' if output(Path(one)) == output(Path(other)) else 'DIFFERENT'} to a run without interruption"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the GAN trains; 0 leaves that part out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seam()
    if given.seconds:
        interrupted(given.seconds)


if __name__ == "__main__":
    main()
