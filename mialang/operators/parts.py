"""Parts of artefacts as artefacts of their own, so that a prior can grant one without the rest."""

from __future__ import annotations

from mialang.operators.artefacts import Artefact
from mialang.operators.errors import OperatorError
from mialang.operators.run import Run


def part(*, of: Artefact, member: str, run: Run) -> Artefact:
    """Take one part of an artefact.

    Raises:
        OperatorError: the artefact has no such part.
    """
    found = getattr(of, member, None)
    if not isinstance(found, Artefact):
        raise OperatorError(f"these {of.kind} hold no {member}", help="grant a part that they have")
    run.progress(1, 1)
    return found
