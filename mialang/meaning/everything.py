"""Every declaration of the standard library, read: what the reference, the schema and the tests go through."""

from __future__ import annotations

from mialang.meaning.declarations import Declaration
from mialang.meaning.library import files_of, known_modules
from mialang.meaning.modules import Modules
from mialang.meaning.registry import Registry


def standard_declarations() -> tuple[dict[str, list[Declaration]], Registry]:
    """The declarations of each module of the standard library, in the order of their files, and what they are known by."""
    modules = Modules()
    found: dict[str, list[Declaration]] = {}
    for name in known_modules():
        namespace = modules.folder_namespace(name, files_of(name))
        for word in namespace.names():
            namespace.look(word)
        paths = [f"{name}/{path.stem}" for path in files_of(name)]
        found[name] = [declaration for path in paths for declaration in modules.loaded[path].declarations]
    return found, modules.registry
