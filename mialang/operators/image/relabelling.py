"""Images under labels that mean nothing: what a decoy of a classifier is trained on."""

from __future__ import annotations

from dataclasses import replace

import torch

from mialang.operators.image.images import Images
from mialang.operators.run import Run


def relabelled(*, of: Images, like: Images, run: Run) -> Images:
    """Give every image a label drawn at random from the classes that occur in `like`; nothing else of `like` is used."""
    classes = torch.tensor(like.classes)
    drawn = torch.randint(len(classes), (len(of),), generator=run.generator)
    names = {label: like.names.get(label, str(label)) for label in like.classes}
    return replace(of, labels=classes[drawn].numpy(), names=names)
