"""Whether an attack fits a threat: modality, access, prior and extent, each compared with what was inferred."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from mialang.diagnostics import Diagnostic
from mialang.meaning.audit import Audit, Cell, Threat
from mialang.meaning.declarations import Operator, Recipe
from mialang.meaning.estimate import Counts, granted_by, labels_of, total_queries
from mialang.meaning.grants import access_of, behind, defenses_of
from mialang.meaning.recipes import Elaborated, Needs, elaborate, extent_of, needs
from mialang.meaning.registry import Registry
from mialang.meaning.values import Application, Value, is_unknown
from mialang.meaning.words import article
from mialang.threat import Access, Extent, Gap
from mialang.threat.access import gaps

TRAINED = "trained"  # the parameter of a model's type that names training data
Dimension = Literal["modality", "answers", "access", "prior", "extent"]


@dataclass(frozen=True)
class Shortfall:
    """One way in which an attack and a threat do not fit.

    Attributes:
        dimension: where they do not fit.
        words: the lack as a clause about the attack.
        gap: what is lacking, for access.
    """

    dimension: Dimension
    words: str
    gap: Gap | None = None


@dataclass(frozen=True)
class Setting:
    """A threat in one cell, as the threat side sees it.

    Attributes:
        target: the target as declared.
        access: what the threat grants, before and behind its defense.
        defenses: in the order in which they apply.
        extent: what is feared.
        counts: sizes for estimates.
    """

    threat: Threat
    target: Application
    granted: Access
    access: Access
    defenses: tuple[Application, ...]
    extent: Extent
    counts: Counts


@dataclass(frozen=True)
class Candidate:
    """A recipe with arguments, worked out.

    Attributes:
        found: what was wrong with it, for recipes that could not be worked out.
    """

    application: Application
    elaborated: Elaborated
    needs: Needs
    found: tuple[Diagnostic, ...] = field(default=(), repr=False)

    @property
    def recipe(self) -> Recipe:
        """The recipe's declaration."""
        assert isinstance(self.application.declaration, Recipe)
        return self.application.declaration

    @property
    def sound(self) -> bool:
        """Whether everything on its page has a meaning."""
        return (
            not any(is_unknown(value) for value in self.elaborated.results.values())
            and self.elaborated.gives is not None
        )


def secrets_of(target: Application) -> list[Application]:
    """What a target's type names as secret: what it was trained on, stores or observes."""
    assert isinstance(target.declaration, Operator)
    found = (target.arguments.get(name) for name in target.declaration.secret)
    return [value for value in found if isinstance(value, Application)]


def trained_on_secret(target: Application) -> bool:
    """Whether the secret is training data, so that the weights carry it (rather than something stored or observed)."""
    return target.arguments.get(TRAINED) is not None


def setting_of(audit: Audit, threat: Threat, cell: Cell) -> Setting | None:
    """A threat in a cell; None where it could not be read (which has been reported). Worked out once."""
    key = (id(threat), *sorted((axis, place) for axis, place in cell.items() if axis in threat.axes))
    known: tuple[Threat, Setting | None] | None = audit.settings.get(key)
    if known is None or known[0] is not threat:
        known = audit.settings[key] = (threat, _setting_of(audit, threat, cell))
    return known[1]


def _setting_of(audit: Audit, threat: Threat, cell: Cell) -> Setting | None:
    if not audit.sound(threat):
        return None
    matrix, registry = audit.matrix, audit.registry
    target, access = matrix.at(threat.target, cell), access_of(matrix.at(threat.access, cell), registry)
    extent = extent_of(matrix.at(threat.extent, cell))
    if not isinstance(target, Application) or access is None or extent is None:
        return None
    defenses = defenses_of(matrix.at(threat.defense, cell))
    labels = labels_of(target)
    secret = next(iter(secrets_of(target)), None)
    held = dict.fromkeys(access.holds, secret)
    granted = granted_by(audit.priors(threat, cell))
    counts = Counts(len(labels) if labels is not None else None, granted, held, secret, audit.measured)
    return Setting(threat, target, access, behind(access, defenses, registry), defenses, extent, counts)


def candidate_of(value: Value, registry: Registry) -> Candidate | None:
    """A recipe worked out; None where the value is not one."""
    if not isinstance(value, Application) or not isinstance(value.declaration, Recipe):
        return None
    known: Candidate | None = registry.worked_out.get(value.digest)
    if known is None:
        found: list[Diagnostic] = []
        elaborated = elaborate(value, registry, found)
        known = registry.worked_out[value.digest] = Candidate(
            value, elaborated, needs(elaborated, registry), tuple(found)
        )
    return known


def shortfalls(candidate: Candidate, setting: Setting, registry: Registry, *, defended: bool = True) -> list[Shortfall]:
    """Every way in which an attack does not fit a threat; empty iff rules 1 to 4 of the judgement hold.

    Args:
        candidate: the attack.
        setting: the threat in a cell.
        registry: what is known by name.
        defended: whether to look behind the defense, or at what was granted before it.
    """
    found: list[Shortfall] = []
    operator = setting.target.declaration
    assert isinstance(operator, Operator)
    recipe = candidate.recipe
    if operator.modality and recipe.modality != operator.modality:
        words = f"attacks {recipe.modality} models, and the target is {article(operator.modality)} {operator.modality} model"
        return [Shortfall("modality", words)]
    found += _unanswered(candidate, operator, registry)
    access = setting.access if defended else setting.granted
    found += [
        Shortfall("access", _gap_words(gap, candidate), gap)
        for gap in access_gaps(candidate, access, setting, registry)
    ]
    for item in sorted(candidate.needs.items - setting.counts.granted.keys()):
        found.append(Shortfall("prior", f"reads `prior.{item}`"))
    gives = candidate.elaborated.gives
    if gives is not None and not registry.extent_order.covers(gives, setting.extent):
        found.append(Shortfall("extent", f"recovers {gives.words()}"))
    return found


def _unanswered(candidate: Candidate, operator: Operator, registry: Registry) -> list[Shortfall]:
    """Observables that such a target does not answer, whoever asks."""
    if not operator.answers:
        return []
    beyond = {"weights", "input_gradients"}
    return [
        Shortfall("answers", f"asks for {name.replace('_', ' ')}, which `{operator.name}` does not answer")
        for name in dict.fromkeys(reason.observable for reason in candidate.needs.reasons)
        if name not in beyond and registry.sights.derivation(name, operator.answers) is None
    ]


def access_gaps(candidate: Candidate, access: Access, setting: Setting, registry: Registry) -> list[Gap]:
    """Where an access falls short of an attack's needs: the strongest lacks only, and the budget."""
    need = candidate.needs.access
    found = gaps(need, access)
    lacking = {gap.name for gap in found if gap.dimension == "sees"}
    strongest = registry.sights.order.strongest(lacking)
    found = [gap for gap in found if gap.dimension != "sees" or gap.name in strongest]
    if not lacking:
        total = total_queries(candidate.elaborated, setting.counts)
        if total is not None and total > access.queries:
            found.append(Gap("queries", "queries", total, access.queries))
    return found


def _gap_words(gap: Gap, candidate: Candidate) -> str:
    reason = candidate.needs.because(gap.name) if gap.dimension == "sees" else None
    if reason is not None:
        needed = gap.name.replace("_", " ") if math.isinf(gap.needed) else f"`{gap.name}({gap.needed:g})`"
        return f"{reason.words()}: needs {needed}"
    return f"needs {gap.words()}"


def fits(candidate: Candidate, setting: Setting, registry: Registry, *, defended: bool = True) -> bool:
    """Whether rules 1 to 4 of the judgement hold."""
    return candidate.sound and not shortfalls(candidate, setting, registry, defended=defended)
