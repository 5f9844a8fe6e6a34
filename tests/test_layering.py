"""The house: each room imports only from rooms below it, and only operators import the heavy packages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mialang"
# From the bottom up; rooms on one line do not know each other.
ROOMS = [
    ["source"],
    ["diagnostics"],
    ["threat"],
    ["syntax", "operators"],
    ["meaning"],
    ["plan"],
    ["engine"],
    ["report"],
    ["cli"],
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
HEAVY = {"torch", "transformers", "torch_geometric", "opacus", "sklearn", "torchmetrics"}
MODALITIES = {"image", "images", "text", "texts", "graph", "graphs", "pixels", "edges"}
CORE = ("syntax", "meaning", "threat", "plan", "engine")
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append((node.module or "", node.lineno))
            if node.module == "mialang":
                found += [(f"mialang.{alias.name}", node.lineno) for alias in node.names]
    return found


def own_room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts[0] not in ("__init__", "__main__") else "cli"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_downwards(path: Path) -> None:
    room = own_room(path)
    for module, line in imports(path):
        if not module.startswith("mialang."):
            continue
        other = room_of(module)
        if other in LEVEL:
            assert other == room or LEVEL[other] < LEVEL[room], (
                f"{path.relative_to(ROOT)}:{line}: {room} imports {other}"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_operators_import_heavy_packages_at_the_top(path: Path) -> None:
    room = own_room(path)
    tree = ast.parse(path.read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    heavy = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in top
        for alias in node.names
    } & HEAVY
    assert room == "operators" or not heavy
    if room not in ("operators", "engine"):
        assert not {module.split(".")[0] for module, _ in imports(path)} & HEAVY


def test_every_room_of_the_house_exists() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    assert rooms == set(LEVEL)


@pytest.mark.parametrize("room", CORE)
def test_the_core_names_no_modality(room: str) -> None:
    """Modalities are data of the library: no value that the core computes with names one.

    Doc strings may give examples, and messages may say "text" and "graph" in their plain sense; what would make the core
    treat one modality unlike another is a name that it compares with or looks up.
    """
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in MODALITIES, f"{path}:{node.lineno}: {node.value}"
