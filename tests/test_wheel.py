"""A real wheel, built from a real source distribution and installed into a fresh environment, away from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "good" / "tiny.mia"
TOLD = {"COLUMNS": "120", "PATH": os.environ["PATH"], "HOME": "/nowhere", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Installed:
    """An environment with nothing but the wheel of this project and the packages that it needs."""

    place: Path
    source: Path
    wheel: Path

    def call(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Give a command of the environment in a folder."""
        return subprocess.run(
            [self.place / "bin" / str(arguments[0]), *map(str, arguments[1:])],
            cwd=folder, env=TOLD, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", made, ROOT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (source,), (wheel,) = made.glob("*.tar.gz"), made.glob("*.whl")
    place = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # A line of a `.pth` file adds a folder without reading the `.pth` files inside it, so that what the project needs
    # is found there and the project itself, which may be installed from the checkout there, is not.
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(place, source, wheel)


def test_everything_is_found_in_the_wheel_and_nothing_in_the_checkout(installed: Installed, tmp_path: Path) -> None:
    program = (
        "import mialang; from mialang.meaning import library as at;"
        "print(mialang.__file__, at.standard_library(), at.error_pages(), *at.files_of('std.attack'), sep='\\n')"
    )
    done = installed.call("python", "-c", program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    places = [Path(line) for line in done.stdout.splitlines()]
    assert len(places) > 5
    assert all(place.exists() and place.is_relative_to(installed.place) for place in places)


def test_the_wheel_holds_the_whole_library(installed: Installed) -> None:
    held = set(zipfile.ZipFile(installed.wheel).namelist())
    for folder, name in (("stdlib", "_stdlib"), ("specs", "_specs"), ("docs/errors", "_errors")):
        there = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {f"mialang/{name}/{path.as_posix()}" for path in there if path.suffix in (".mia", ".md")} <= held
    package = {path.relative_to(ROOT) for path in (ROOT / "mialang").rglob("*") if path.is_file()}
    assert {path.as_posix() for path in package if "__pycache__" not in path.parts} <= held
    assert not any(name.startswith(("tests/", "docs/", "benchmarks/")) for name in held)


def test_the_source_distribution_holds_what_its_reader_needs(installed: Installed) -> None:
    with tarfile.open(installed.source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "pyproject.toml"} <= held
    assert {"stdlib/observable.mia", "specs/quickstart.mia", "docs/tour.md", "tests/good/tiny.mia"} <= held
    assert "tests/test_wheel.py" in held


def test_a_spec_is_checked_and_explained(installed: Installed, tmp_path: Path) -> None:
    shutil.copy(TINY, tmp_path)
    done = installed.call("mialang", "check", "tiny.mia", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "wrong.mia").write_text(TINY.read_text().replace("use     = [BREPMI(", "use     = [BREPMY("))
    done = installed.call("mialang", "check", "wrong.mia", folder=tmp_path)
    assert done.returncode == 2
    assert "did you mean `BREPMI`?" in done.stdout
    pages = sorted(path.stem for path in (ROOT / "docs" / "errors").glob("[EW]*.md"))
    for code in pages[:1]:
        done = installed.call("mialang", "explain", code, folder=tmp_path)
        assert (done.returncode, code in done.stdout) == (0, True), done.stderr


def test_a_newcomer_gets_a_spec_that_checks_clean(installed: Installed, tmp_path: Path) -> None:
    done = installed.call("mialang", "init", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".gitignore").read_text() == ".mialang/\n"
    done = installed.call("mialang", "check", "audit.mia", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "error[" not in done.stdout
    assert installed.call("mialang", "fmt", "--check", "audit.mia", folder=tmp_path).returncode == 0


def test_an_audit_runs_to_its_report(installed: Installed, tmp_path: Path) -> None:
    shutil.copy(TINY, tmp_path)
    done = installed.call("mialang", "run", "tiny.mia", "--threads", "1", "--format", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (tmp_path / ".mialang" / "runs" / verdict["run"] / "report.html").stat().st_size > 10_000
