"""What is known by name across all modules: kinds, observables, extents, items. Their names are unique."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mialang.diagnostics import Diagnostic, did_you_mean, error
from mialang.meaning.declarations import (
    Declaration,
    DefenseDeclaration,
    ExtentDeclaration,
    ItemDeclaration,
    Kind,
    Metric,
    ObservableDeclaration,
    Operator,
    Recipe,
)
from mialang.meaning.literals import unknown_types
from mialang.syntax import tree
from mialang.threat import Extents, Item, Observable, Observables
from mialang.threat.order import Order

COUNTING = (
    "count",
    "outputs",
    "asks",
    "min",
    "max",
)  # what bounds on questions, outputs and records are worked out with
COUNTED = ("classes", "units")  # what is counted of the target besides a step's own parameters


@dataclass
class Registry:
    """Declarations that are looked up by name from anywhere."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    observables: dict[str, ObservableDeclaration] = field(default_factory=dict)
    extents: dict[str, ExtentDeclaration] = field(default_factory=dict)
    items: dict[str, ItemDeclaration] = field(default_factory=dict)
    homes: dict[str, Any] = field(default_factory=dict)  # the scope that each declaration was made in, by identity
    loader: Any = None  # what loads modules into this registry
    depth: int = 0  # how many expressions are being worked out inside each other
    elaborating: list[str] = field(default_factory=list)  # the recipes being worked out, outermost first
    worked_out: dict[str, Any] = field(default_factory=dict)  # recipes with arguments, worked out once, by digest

    def add(self, declaration: Declaration) -> Diagnostic | None:
        """Take in a declaration; return a finding where its name is taken by another one."""
        tables: dict[type[Declaration], dict[str, Declaration]] = {
            Kind: self.kinds,  # type: ignore[dict-item]
            ObservableDeclaration: self.observables,  # type: ignore[dict-item]
            ExtentDeclaration: self.extents,  # type: ignore[dict-item]
            ItemDeclaration: self.items,  # type: ignore[dict-item]
        }
        table = tables.get(type(declaration))
        if table is None:
            return None
        other = table.setdefault(declaration.name, declaration)
        if other is declaration:
            self._forget()
            return None
        finding = error("E0241", f"there are two {declaration.noun}s called `{declaration.name}`", declaration.span)
        if other.span is not None:
            finding = finding.also(other.span, "the other one")
        return finding.help("rename one of them")

    def _forget(self) -> None:
        self._observables = None
        self._extents = None

    _observables: Observables | None = None
    _extents: Extents | None = None

    @property
    def sights(self) -> Observables:
        """The observables and their order."""
        if self._observables is None:
            self._observables = Observables(
                {
                    name: Observable(name, each.sources, each.sized, bool(each.artefact), each.decoy, each.python)
                    for name, each in self.observables.items()
                }
            )
        return self._observables

    @property
    def extent_order(self) -> Extents:
        """The extents and their order."""
        if self._extents is None:
            self._extents = Extents({name: extent.weaker for name, extent in self.extents.items()})
        return self._extents

    def item(self, name: str) -> Item:
        """An item of prior knowledge, as the threat side knows it."""
        declared = self.items[name]
        return Item(name, declared.nature)

    def is_a(self, kind: str, wanted: str) -> bool:
        """Whether a kind is another one or a special case of it."""
        seen: set[str] = set()
        while kind and kind not in seen:
            if kind == wanted:
                return True
            seen.add(kind)
            kind = self.kinds[kind].parent if kind in self.kinds else ""
        return False

    def ancestors(self, kind: str) -> list[str]:
        """A kind and those that it is a special case of."""
        line: list[str] = []
        while kind in self.kinds and kind not in line:
            line.append(kind)
            kind = self.kinds[kind].parent
        return line

    def artefact(self, kind: str) -> bool:
        """Whether values of a kind are made by steps and stored."""
        return any(self.kinds[name].artefact for name in self.ancestors(kind))

    def algebra(self, kind: str) -> bool:
        """Whether `+ - * /` join values of a kind."""
        return any(self.kinds[name].algebra for name in self.ancestors(kind))

    def members(self, kind: str) -> dict[str, str]:
        """The members of a kind, inherited ones included."""
        members: dict[str, str] = {}
        for name in reversed(self.ancestors(kind)):
            members.update(self.kinds[name].members)
        return members

    def check(self, declarations: Iterable[Declaration]) -> list[Diagnostic]:
        """Findings about names inside declarations: types, kinds, observables and extents that do not exist."""
        found: list[Diagnostic] = []
        kinds = set(self.kinds)
        for declaration in declarations:
            for parameter in declaration.parameters:
                if parameter.span is not None:
                    found += unknown_types(parameter.type, kinds, parameter.span)
                options = set(self.observables) | set(declaration.by_name)
                found += self._unknown(declaration, parameter.sees, options, "observable")
            found += self._check_one(declaration, kinds)
        if cycle := self.sights.order.cycle():
            found.append(_each_other(self.observables, cycle, "follow from", "from"))
        if cycle := self.extent_order.order.cycle():
            found.append(_each_other(self.extents, cycle, "follow from", "weaker"))
        if cycle := Order({name: (kind.parent,) for name, kind in self.kinds.items()}).cycle():
            found.append(_each_other(self.kinds, cycle, "are special cases of", "extends"))
        return found

    def _check_one(self, declaration: Declaration, kinds: set[str]) -> list[Diagnostic]:
        observables, extents = set(self.observables), set(self.extents)
        match declaration:
            case Kind():
                wanted = [name for name in (declaration.parent, *declaration.members.values()) if name]
                return self._unknown(declaration, wanted, kinds, "kind")
            case ObservableDeclaration():
                found = self._unknown(declaration, declaration.sources, observables, "observable")
                found += self._unknown(declaration, filter(None, [declaration.records]), observables, "observable")
                return found + self._unknown(declaration, filter(None, [declaration.artefact]), kinds, "kind")
            case ExtentDeclaration():
                return self._unknown(declaration, declaration.weaker, extents, "extent")
            case ItemDeclaration():
                return self._unknown(declaration, [declaration.kind], kinds, "kind")
            case Operator():
                found = self._unknown(declaration, [declaration.returns], kinds, "kind")
                found += self._unknown(declaration, declaration.answers, observables, "observable")
                named = (*declaration.differentiates, *declaration.secret, *declaration.decoy, *declaration.fixed_by,
                         *(name for group in declaration.needs for name in group),
                         *filter(None, [declaration.same_kind_as]))  # fmt: skip
                for node in (declaration.queries, declaration.outputs, declaration.size, declaration.seconds):
                    found += _uncountable(declaration, node)
                return found + self._unknown(declaration, named, set(declaration.by_name), "parameter")
            case DefenseDeclaration():
                named = (*declaration.hides, *declaration.transforms, *declaration.limits)
                return self._unknown(declaration, named, observables, "observable")
            case Metric():
                return self._unknown(declaration, declaration.measures, extents, "extent")
            case Recipe():
                return []
        return []

    @staticmethod
    def _unknown(declaration: Declaration, names: Iterable[str], known: set[str], noun: str) -> list[Diagnostic]:
        return [
            error(
                "E0201", f"`{declaration.name}` names the {noun} `{name}`, which does not exist", declaration.span
            ).help(
                did_you_mean(name, known - {declaration.name})
                or (f"`std.{noun}` lists what there is" if noun != "parameter" else "it has no parameters")
            )
            for name in names
            if name not in known
        ]


def _each_other(declared: Mapping[str, Declaration], cycle: Sequence[str], how: str, key: str) -> Diagnostic:
    """Two declarations that cannot be ordered."""
    one, other = (declared[name] for name in cycle[:2])
    finding = error("E0242", f"`{one.name}` and `{other.name}` {how} each other", one.span, "one of the two")
    if other.span is not None:
        finding = finding.also(other.span, "the other")
    return finding.help(f"take the name of one out of the other's `{key}`, perhaps through others in between")


def _uncountable(declaration: Operator, node: tree.Expression | None) -> list[Diagnostic]:
    """Findings about a bound that counts with something that is no parameter, or in a way that is not known."""
    if node is None:
        return []
    counting = {call.function for call in tree.walk(node) if isinstance(call, tree.Call)}
    found = []
    for part in tree.walk(node):
        if isinstance(part, tree.Name) and part in counting and part.text not in COUNTING:
            finding = error(
                "E0201", f"nothing is counted with `{part.text}`", part.span, f"in a bound of `{declaration.name}`"
            )
            found.append(finding.help(did_you_mean(part.text, COUNTING)))
        elif isinstance(part, tree.Name) and part not in counting and part.text not in (*declaration.by_name, *COUNTED):
            finding = error(
                "E0201", f"`{declaration.name}` has no parameter `{part.text}`", part.span, "counted with here"
            )
            found.append(finding.help(did_you_mean(part.text, [*declaration.by_name, *COUNTED])))
        elif isinstance(
            part, tree.String | tree.Boolean | tree.ListOf | tree.Table | tree.Member | tree.Index | tree.Compare
        ):
            finding = error("E0210", "a bound is a number over the parameters", part.span)
            found.append(finding.help("write for example `queries = steps * count(classes)`"))
    return found
