"""`python -m tests.docs.refresh [CODE…]`: write into pages and snapshots what the program says now.

Only what is quoted from the program is rewritten: the `console` blocks of `docs/errors/*.md` and the `.txt` files of
`tests/bad/`. The prose is written by hand. Read the difference as a reader would before committing it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.pages import PAGES, answer, on_screen, read
from tests.snapshots import SPECS, shown, snapshot


def refresh_page(path: Path) -> bool:
    """Quote the program anew in one page; return whether that changed anything."""
    page, text = read(path), path.read_text(encoding="utf-8")
    opening = f"```console\n$ {page.command}\n"
    changed = text.replace(opening + page.said, opening + on_screen(answer(page.command, page.files).screen))
    path.write_text(changed, encoding="utf-8")
    return changed != text


def refresh_snapshot(spec: Path) -> bool:
    """Write what `mialang check` says of a bad spec; return whether that changed anything."""
    path, said = snapshot(spec), shown(spec).screen
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(said, encoding="utf-8")
    return said != before


def main(wanted: list[str]) -> None:
    """Refresh the pages of some codes, or everything."""
    for path in PAGES:
        if (not wanted or path.stem in wanted) and refresh_page(path):
            sys.stdout.write(f"{path}\n")
    for spec in SPECS if not wanted else ():
        if refresh_snapshot(spec):
            sys.stdout.write(f"{snapshot(spec)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
