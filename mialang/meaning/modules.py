"""Modules: files read into scopes, imports resolved, cycles found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mialang.diagnostics import Diagnostic, closest, error, listed
from mialang.meaning.blocks import evaluate_block
from mialang.meaning.declarations import AccessDeclaration, Declaration
from mialang.meaning.declare import declare
from mialang.meaning.evaluate import Evaluator
from mialang.meaning.grants import parts_of_access
from mialang.meaning.library import PRELUDE, SUFFIX, VOCABULARY, declared_in, files_of, known_modules, library_name
from mialang.meaning.literals import LiteralReader, unknown_types
from mialang.meaning.offers import import_of
from mialang.meaning.recipes import holes_of, members_of
from mialang.meaning.registry import Registry
from mialang.meaning.schema import BLOCKS, block_of, check_shape
from mialang.meaning.scope import Binding, Deferred, Lazy, Namespace, Scope
from mialang.meaning.types import Type
from mialang.meaning.values import Special, Unknown, Value
from mialang.source import Source, Span
from mialang.syntax import parse, tree

VALUE_BLOCKS = ("data", "target", "judge", "prior", "threat", "attack")
EDITION = 1
STANDARD = "std"
RESERVED = ("matrix",)  # names that the language binds itself, in every spec


@dataclass
class Module:
    """A file that has been read: its tree and the names it binds.

    Attributes:
        name: dotted, or the path of a file.
        file: its tree; None where it does not parse.
        scope: what its text can see.
        blocks: its blocks by sort, those of the right shape only.
        unread: the sorts of blocks of which some could not be read; empty text for blocks of an unknown sort.
        places: where each name is bound.
    """

    name: str
    file: tree.File | None
    scope: Scope
    folder: Path | None = None
    blocks: list[tree.Block] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    places: dict[str, Span] = field(default_factory=dict, repr=False)


@dataclass
class Modules:
    """Everything loaded so far, and how to load more.

    Attributes:
        registry: declarations known by name across modules.
        found: findings of all phases so far.
        overrides: values for `param` of the main file, as given on the command line.
    """

    registry: Registry = field(default_factory=Registry)
    found: list[Diagnostic] = field(default_factory=list)
    axes: dict[str, Type] = field(default_factory=dict)
    prelude: Scope = field(default_factory=Scope)
    loaded: dict[str, Module] = field(default_factory=dict)
    _loading: list[tuple[str, Span]] = field(default_factory=list)
    _unchecked: list[Declaration] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Load the prelude: kinds, observables, extents, items, and the vocabulary of operators."""
        self.registry.loader = self
        for name in PRELUDE:
            for path in files_of(name):
                self._library_file(name, path)
        for path in files_of(VOCABULARY):
            for word in declared_in(path):
                self.prelude.names[word] = Deferred(word, partial(self._vocabulary_word, path, word))

    def _library_file(self, name: str, path: Path) -> Module:
        """Read a file of the library once."""
        key = f"{name}/{path.stem}"
        if key not in self.loaded:
            self.loaded[key] = self.read(Source.read(path, library_name(path)), name, path.parent)
            self.check_declarations()
        return self.loaded[key]

    def _vocabulary_word(self, path: Path, word: str) -> Binding:
        """An operator of the vocabulary; its file is read when the word is first used."""
        return self._library_file(VOCABULARY, path).scope.names.get(word, Unknown())

    # -- files -----------------------------------------------------------------------------------------------------

    def read(self, source: Source, name: str, folder: Path | None, outer: Scope | None = None) -> Module:
        """Read a source into a module; findings are kept."""
        file, problems = parse(source)
        self.found.extend(problems)
        module = Module(name, file, Scope(around=outer if outer is not None else self.prelude), folder)
        if file is None:
            return module
        if file.edition not in (None, EDITION):
            written = re.search(r"\bmia\s+[\d_]+", source.text)
            span = Span(source, *written.span()) if written is not None else source_start(source)
            self.found.append(
                error("E0109", f"this file is written in edition {file.edition}", span, f"only edition {EDITION} is known")
                .help(f"write `mia {EDITION}`, or install a mialang that reads edition {file.edition}")
            )  # fmt: skip
            module.file = None
            return module
        self._take_in(module)
        return module

    def _take_in(self, module: Module) -> None:
        """Bind what a file imports, declares and names; kinds first, so that operators know what they return."""
        assert module.file is not None
        for item in sorted(module.file.items, key=_kinds_first):
            match item:
                case tree.ImportModule() | tree.ImportNames():
                    self._import(item, module)
                case tree.Let():
                    self._bind(module, item.name, self._lazy_let(module, item))
                case tree.Param():
                    self._bind(module, item.name, self._lazy_param(module, item))
                case tree.Block():
                    self._block(item, module)
                case tree.Rule():
                    self.found.append(
                        error("E0222", f"`{item.verb}` stands outside a block", item.span).help(
                            f"move it into a `{block_of(item.verb)}`"
                        )
                    )
        self._unchecked.extend(module.declarations)

    def check_declarations(self) -> None:
        """Check the names inside all declarations read so far, now that they are all known."""
        pending, self._unchecked = self._unchecked, []
        self.found.extend(self.registry.check(pending))
        for declaration in pending:
            if isinstance(declaration, AccessDeclaration):
                parts_of_access(declaration, holes_of(declaration), self.registry, self.found)
            if not declaration.module.startswith("std."):
                self._check_defaults(declaration)

    def _check_defaults(self, declaration: Declaration) -> None:
        """Evaluate the defaults of a user's declaration, used or not; earlier parameters are in sight."""
        home: Scope = self.registry.homes[declaration.identity]
        holes = holes_of(declaration)
        kinds = set(self.registry.kinds)
        for place, parameter in enumerate(declaration.parameters):
            if parameter.default is not None and not unknown_types(parameter.type, kinds, parameter.default.span):
                earlier = {each.name: holes[each.name] for each in declaration.parameters[:place]}
                Evaluator(home.inside(earlier), self.registry, self.found).take(parameter.default, parameter.type)

    def _block(self, block: tree.Block, module: Module) -> None:
        problems = check_shape(block)
        self.found.extend(problems)
        schema = BLOCKS.get(block.kind.text)
        for entry in block.entries:
            told = any(problem.primary and problem.primary.span.start == entry.span.start for problem in problems)
            name = entry.label if isinstance(entry, tree.Block) else getattr(entry, "name", None)
            if told and isinstance(entry, tree.Let | tree.Param | tree.Block) and isinstance(name, tree.Name):
                module.scope.names.setdefault(name.text, Unknown())  # told where it stands, not where it is used
        given = {attribute.name.text for attribute in block.attributes()}
        misspelled = schema is not None and schema.declares and not given >= set(schema.required)
        if schema is None or misspelled or any(problem.code in ("E0221", "E0204") for problem in problems):
            module.unread.add(block.kind.text if schema is not None else "")
            if isinstance(block.label, tree.Name):
                module.scope.names.setdefault(block.label.text, Unknown())
            return
        if schema.declares:
            declaration, more = declare(block, module.name, self.registry.artefact)
            self.found.extend(more)
            if declaration is None:
                module.unread.add(block.kind.text)
            if declaration is None and isinstance(block.label, tree.Name):
                module.scope.names.setdefault(block.label.text, Unknown())
            if declaration is not None and isinstance(block.label, tree.Name):
                if problem := self.registry.add(declaration):
                    self.found.append(problem)
                    return
                self.registry.homes[declaration.identity] = module.scope
                module.declarations.append(declaration)
                self._bind(module, block.label, declaration)
            return
        module.blocks.append(block)
        if block.kind.text in VALUE_BLOCKS and isinstance(block.label, tree.Name):
            work = self._lazy_block(module, block)
            self._bind(module, block.label, Lazy(block.name, block.label.span, work))

    def _bind(self, module: Module, name: tree.Name, binding: Binding) -> None:
        if name.text in RESERVED:
            finding = error("E0107", f"`{name.text}` is a word of the language", name.span, "a name is needed here")
            self.found.append(finding.help("choose another name"))
            return
        other = module.scope.names.get(name.text)
        if other is None or isinstance(other, Unknown):
            module.scope.names[name.text] = binding
            module.places[name.text] = name.span
            return
        first = module.places.get(name.text)
        same = other is binding or (
            isinstance(other, Namespace) and isinstance(binding, Namespace) and other.name == binding.name
        )
        title = f"`{name.text}` is imported twice" if same else f"two things are called `{name.text}`"
        finding = error("E0206", title, name.span, "again here")
        if first is not None:
            finding = finding.also(first, "first here")
        self.found.append(finding.help("remove one of them" if same else "rename one of them"))

    # -- values ----------------------------------------------------------------------------------------------------

    def evaluator(self, module: Module) -> Evaluator:
        """An evaluator for the text of a module."""
        matrix = Scope({"matrix": Special("matrix")}, module.scope)
        return Evaluator(matrix, self.registry, self.found, self.axes, members_of(self.registry))

    def _lazy_let(self, module: Module, item: tree.Let) -> Lazy:
        return Lazy(item.name.text, item.name.span, lambda: self.evaluator(module).evaluate(item.value))

    def _lazy_param(self, module: Module, item: tree.Param) -> Lazy:
        def work() -> Value:
            evaluator = self.evaluator(module)
            reader = LiteralReader(self.found)
            wanted = reader.type(item.type)
            if unknown := unknown_types(wanted, set(self.registry.kinds), item.type.span):
                self.found.extend(unknown)
                return Unknown()
            override = self.overrides.get(item.name.text) if module.name == "" else None
            node = override or item.default
            if node is None:
                return evaluator.report(
                    error("E0204", f"the parameter `{item.name.text}` has no value", item.span).help(
                        f"give it a default, or `--set {item.name.text}=VALUE`"
                    )
                )
            before = len(self.found)
            value = evaluator.take(node, wanted)
            if override is not None:
                declared = item.type.span.to(item.default.span) if item.default is not None else item.type.span
                self.found[before:] = [each.also(declared, "declared here") for each in self.found[before:]]
            return value

        return Lazy(item.name.text, item.name.span, work)

    overrides: Mapping[str, tree.Expression] = field(default_factory=dict)

    def _lazy_block(self, module: Module, block: tree.Block) -> Callable[[], Value]:
        return lambda: evaluate_block(block, self.evaluator(module))

    # -- imports ---------------------------------------------------------------------------------------------------

    def _import(self, item: tree.ImportModule | tree.ImportNames, module: Module) -> None:
        namespace = self._namespace(item.module, module)
        if namespace is None:
            module.unread.add("import")
        if isinstance(item, tree.ImportModule):
            self._import_whole(item, module, namespace)
            return
        for renamed in item.names:
            here = renamed.alias or renamed.name
            if namespace is None:
                module.scope.names.setdefault(here.text, Unknown())
                continue
            binding = namespace.look(renamed.name.text)
            if binding is None:
                finding = error(
                    "E0202", f"`{namespace.name}` has no `{renamed.name.text}`", renamed.name.span, "unknown name"
                )
                near = closest(renamed.name.text, namespace.names())
                help_ = f"did you mean `{near[0]}`?" if near else import_of(renamed.name.text)
                self.found.append(finding.help(help_ or _contents(namespace)))
                for meant in near if renamed.alias is None else ():
                    module.scope.names.setdefault(meant, Unknown())
                binding = Unknown()
                module.unread.add("import")
            self._bind(module, here, binding)

    def _import_whole(self, item: tree.ImportModule, module: Module, namespace: Namespace | None) -> None:
        if item.alias is not None:
            name = item.alias
        elif isinstance(item.module, tree.Path):
            name = item.module.parts[-1]
        else:
            self.found.append(
                error("E0231", "an imported file needs a name", item.span).help(
                    f'write `import "{item.module.value}" as NAME`'
                )
            )
            return
        self._bind(module, name, namespace if namespace is not None else Unknown())
        if namespace is None and item.alias is None and isinstance(item.module, tree.Path):
            for meant in closest(item.module.text, known_modules()):
                module.scope.names.setdefault(meant.rpartition(".")[2], Unknown())

    def _namespace(self, where: tree.Path | tree.String, module: Module) -> Namespace | None:
        if isinstance(where, tree.String):
            return self._file_namespace(where, module)
        name = where.text
        paths = files_of(name)
        if not paths:
            finding = error("E0231", f"there is no module called `{name}`", where.span, "unknown module")
            near = closest(name, known_modules())
            root = name.partition(".")[0]
            others = (
                f"modules are {listed(known_modules())}"
                if root == STANDARD
                else f"install the package that offers `{root}`"
            )
            self.found.append(finding.help(f"did you mean `{near[0]}`?" if near else others))
            return None
        return self.folder_namespace(name, paths)

    def folder_namespace(self, name: str, paths: tuple[Path, ...]) -> Namespace:
        """A namespace over the files of a module; a file is read when something that it declares is asked for."""
        by_word = {word: path for path in reversed(paths) for word in declared_in(path)}

        def look(word: str) -> Binding | None:
            return self._library_file(name, by_word[word]).scope.names.get(word) if word in by_word else None

        return Namespace(name, look, lambda: sorted(by_word))

    def _file_namespace(self, where: tree.String, module: Module) -> Namespace | None:
        path = ((module.folder or Path()) / where.value).resolve()
        key = str(path)
        cycle = [name for name, _ in self._loading]
        if key in cycle:
            finding = error("E0230", f"`{where.value}` imports itself in a circle", where.span, "closes the circle")
            for _, span in self._loading[cycle.index(key) + 1 :]:
                finding = finding.also(span, "imported here")
            alone = key == cycle[-1]
            self.found.append(finding.help("remove the import" if alone else "move what both need into a third file"))
            return None
        if key not in self.loaded:
            source, problem = self._source_of(path, where)
            if source is None:
                self.found.extend(filter(None, [problem]))
                return None
            self._loading.append((key, where.span))
            self.loaded[key] = self.read(source, key, path.parent)
            self._loading.pop()
        loaded = self.loaded[key]
        if loaded.file is None:
            return None  # what is wrong in it has been told
        return Namespace(where.value, loaded.scope.names.get, lambda: sorted(loaded.scope.names))

    def _source_of(self, path: Path, where: tree.String) -> tuple[Source | None, Diagnostic | None]:
        """Read a file that is imported; only `.mia` files are, so that nothing else is ever quoted in a message."""
        if path.suffix != SUFFIX:
            title = f"`{where.value}` is no `.mia` file"
            return None, error("E0231", title, where.span).help(
                "import a `.mia` file; data are named by a `data` block"
            )
        try:
            return Source.read(path, _shown(path)), None
        except FileNotFoundError:
            others = {each.name for each in path.parent.glob(f"*{SUFFIX}")} - {Path(where.span.source.name).name}
            near = closest(path.name, others)
            help_ = f"did you mean `{near[0]}`?" if near else "paths are relative to the file that imports"
            return None, error("E0231", f"there is no file `{where.value}`", where.span).help(help_)
        except UnicodeDecodeError:
            return None, error("E0231", f"the file `{where.value}` is not UTF-8 text", where.span).help(
                "save it as UTF-8"
            )
        except OSError as problem:
            title = f"the file `{where.value}` cannot be read: {problem.strerror}"
            return None, error("E0231", title, where.span).help("give a `.mia` file that you may read")

    def main(self, source: Source, path: Path | None) -> Module:
        """Read the spec itself."""
        if path is not None:
            self._loading.append((str(path.resolve()), source_start(source)))
        module = self.read(source, "", path.parent if path is not None else None)
        if path is not None:
            self._loading.pop()
        self.check_declarations()
        return module


def _contents(namespace: Namespace) -> str:
    names = namespace.names()
    return f"it has {listed(names)}" if names else "it declares nothing"


def _kinds_first(item: tree.Item) -> bool:
    return not (isinstance(item, tree.Block) and item.kind.text == "kind")


def source_start(source: Source) -> Span:
    """The first characters of a source."""
    return Span(source, 0, min(1, len(source.text)))


def _shown(path: Path) -> str:
    """A path as people write it: relative to the working directory where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
