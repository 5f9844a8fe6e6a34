"""`python -m tests.docs.front [STORE]`: put the newest run of the quickstart into the README, as words and as a picture.

The words are what `mialang report last` says; the picture is its page with reconstructions revealed (they are digits of
scikit-learn, which are public), cut to verdict, evidence and reconstructions, taken with headless Chromium.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from tests.command import mialang

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "pictures" / "report.png"
COMMAND = "mialang run specs/quickstart.mia --on processes"
BLOCK = re.compile(r"(?<=```console\n\$ " + re.escape(COMMAND) + r"\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
WIDTH, TALLEST, SCALE = 1180, 6000, 1.25
# The parts of the page that a picture has room for.
CUT = """
<style>
  nav, .terms, .gate, .banner, #threats, #cost, #attacks, #specification, .scroll, .note, footer, details { display: none !important; }
  #evidence > :not(h2, .measured:first-of-type, #leak-top1), #reconstructions article ~ article { display: none !important; }
  section { margin-top: 1rem !important; }
</style>
"""


def words(store: Path) -> str:
    """What the run said at its end, with the page where the reader will find it."""
    said = mialang("report", "last", "--store", store, "--reveal", folder=ROOT)
    assert said.code == 0, said.err
    return said.out.replace(str(store), ".mialang")


def take(page: Path, out: Path) -> None:
    """Take a picture of a page, without the empty space below it, in few colours."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser is not None, "install Chromium to take the picture"
    with TemporaryDirectory() as folder:
        cut, raw = Path(folder) / "page.html", Path(folder) / "raw.png"
        cut.write_text(page.read_text(encoding="utf-8").replace("</head>", CUT + "</head>", 1), encoding="utf-8")
        subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--blink-settings=preferredColorScheme=1",
             f"--force-device-scale-factor={SCALE}", f"--window-size={WIDTH},{TALLEST}", f"--screenshot={raw}", cut.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        image = Image.open(raw).convert("RGB")
        inked = np.flatnonzero((np.asarray(image) != np.asarray(image)[-1, 0]).any((1, 2)))
        image = image.crop((0, 0, image.width, int(inked[-1]) + 30))
        out.parent.mkdir(exist_ok=True)
        image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, optimize=True)


def main(store: Path) -> None:
    """Write both."""
    said = words(store)
    README.write_text(BLOCK.sub(lambda _: said, README.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    newest = max((store / "runs").iterdir())
    take(newest / "report.html", PICTURE)
    sys.stdout.write(f"wrote {README}, {PICTURE} ({PICTURE.stat().st_size / 1000:.0f} kB)\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".mialang").resolve())
