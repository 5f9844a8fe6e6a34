"""Students: models that the attacker fits to the target's answers."""

from __future__ import annotations

import torch

from mialang.operators.handles import Handle
from mialang.operators.models import Architecture, Model, state_of
from mialang.operators.records import Records
from mialang.operators.run import Run
from mialang.operators.training import Schedule, fit


def distill(*, of: Handle, about: Records, into: Architecture, epochs: int, lr: float, batch: int, run: Run) -> Model:
    """Fit an architecture to the scores that a model answers about records: KL divergence at temperature 1.

    One query per record. Notes `agreement`: the share of the records on which student and model name the same class.
    """
    inputs = about.inputs
    with torch.inference_mode():
        answers = of.ask("scores", inputs)
    scores = answers.clone()  # an ordinary tensor again, so that it may stand in a loss
    with run.seeded():
        network = into.build(of.shape, len(of.classes))
        # Cross-entropy with probabilities differs from KL by the entropy of the answers, which no weight changes.
        fit(network, inputs, scores, schedule=Schedule(epochs, lr, batch), defenses=(), run=run)
    made = Model(into, of.shape, of.classes, state_of(network), {"epochs": epochs, "lr": lr, "batch": batch})
    with torch.inference_mode():
        same = made.answer("logits", inputs).argmax(1) == scores.argmax(1)
    run.note("agreement", float(same.float().mean()))
    return made
