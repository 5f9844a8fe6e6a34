"""Continuing prefixes: the likeliest way, or every way that is likely enough to come up in some draws."""

from __future__ import annotations

import math

import torch

from mialang.operators.candidates import Candidates
from mialang.operators.errors import OperatorError
from mialang.operators.handles import Handle
from mialang.operators.run import Run
from mialang.operators.text.decoding import Decoding
from mialang.operators.text.prefixes import Prefixes
from mialang.operators.text.token_scores import in_parts
from mialang.operators.text.tokenizer import Tokenizer


def continued(*, of: Handle, about: Prefixes, tokens: int, by: Decoding, run: Run) -> Candidates:
    """Let a language model continue each prefix once by `tokens` tokens: one question per prefix.

    Returns:
        One text per passage: what the model wrote after the prefix.
    """
    seed = int(torch.randint(2**31, (), generator=run.generator))
    written = of.ask("sampled_text", about.lines, decoding=by, tokens=tokens, seed=seed)
    units = torch.arange(len(about))
    run.note("decoding", by.formula())
    return Candidates(tuple(written), units, torch.zeros(len(about)), units.clone(), about.units)


@torch.inference_mode()
def likely_continuations(
    *, of: Handle, about: Prefixes, tokens: int, by: Decoding, draws: int, chance: float, at_most: int, run: Run
) -> Candidates:
    """Find every continuation that `draws` draws would bring up with a probability of `chance`, or more.

    A continuation z that is drawn with probability p_z comes up at least once in n draws with probability
    1 − (1 − p_z)^n. So all z with p_z ≥ 1 − (1 − p)^(1/n) are what is wanted; no more than one over that many exist, and
    a search that drops beginnings as soon as they are rarer finds them all without drawing once.
    Hayes, Swanberg, Chaudhari, Yona, Shumailov et al., 2024, arXiv:2410.19482.

    Args:
        of: the model.
        about: prefixes.
        tokens: length of a continuation.
        by: how tokens would be drawn; where the model shows fewer tokens than may be drawn, only these are followed.
        draws: n.
        chance: p.
        at_most: questions per prefix; the likeliest beginnings go first, and what is cut is counted.
        run: takes notes.

    Returns:
        All of them, passage by passage, with p_z in `scores`; a passage may have none. `asked` counts questions.

    Raises:
        OperatorError: `chance` is 0 or 1, so that everything or nothing is wanted.
    """
    if not 0 < chance < 1:
        raise OperatorError("a chance of 0 or 1 asks for everything or nothing", help="give `chance` a value between")
    least = math.log(-math.expm1(math.log1p(-chance) / draws))
    width = max(1, at_most // tokens)
    tokenizer: Tokenizer = of.know("vocabulary")
    rows, lengths = tokenizer.batch(about.lines, longest=1 + max(map(len, tokenizer.encode(about.lines)), default=0))
    if rows.shape[1] + tokens > of.shape[0]:
        raise OperatorError(
            f"a prefix of {rows.shape[1]:,} tokens with {tokens:,} more is longer than the {of.shape[0]:,} that this model reads",
            help="give shorter prefixes, or ask for fewer tokens",
        )
    units, weights = torch.arange(len(about)), torch.zeros(len(about))
    asked, cut = torch.zeros(len(about), dtype=torch.long), 0
    room = torch.full((len(about), tokens), tokenizer.end)
    rows = torch.cat([rows, room], 1)
    for step in range(tokens):
        heads = _following(of, rows, lengths[units] + step)
        asked += torch.bincount(units, minlength=len(about))
        made = weights[:, None] + by.logprobs(heads, step)
        parents, chosen = torch.nonzero(made >= least, as_tuple=True)
        weights, units, rows = made[parents, chosen], units[parents], rows[parents].clone()
        rows[torch.arange(len(rows)), lengths[units] + step + 1] = chosen
        kept = _widest(units, weights, width)
        cut += len(units) - len(kept)
        units, weights, rows = units[kept], weights[kept], rows[kept]
        run.progress(step + 1, tokens)
    places = lengths[units][:, None] + 1 + torch.arange(tokens)
    written = tokenizer.decode(rows.gather(1, places).tolist()) if len(rows) else ()
    run.note("least_probability", math.exp(least))
    run.note("beginnings_cut", cut)
    run.note("passages_with_a_continuation", len(units.unique()))
    return Candidates(written, units, weights.exp(), units.clone(), about.units, asked=asked[units])


def _following(of: Handle, rows: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities `[n, tokens]` of what follows places `ends` `[n]` of rows `[n, T]`; short rows are asked together."""
    order = ends.argsort(stable=True)
    made = torch.empty(len(rows), len(of.classes))
    for at, part in in_parts(rows[order], len(of.classes)):
        own = order[at : at + len(part)]
        answer = of.ask("next_token_logprobs", part[:, : int(ends[own[-1]]) + 1])
        made[own] = answer[torch.arange(len(own)), ends[own]]
    return made


def _widest(units: torch.Tensor, weights: torch.Tensor, width: int) -> torch.Tensor:
    """Return the rows of the `width` largest weights of each unit, unit by unit, largest first."""
    order = weights.argsort(descending=True, stable=True)
    order = order[units[order].argsort(stable=True)]
    counts = torch.bincount(units, minlength=1)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(units)) - starts[units[order]]
    return order[rank < width]
