"""Hypothesis strategies for tensors, images and candidates."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mialang.operators.candidates import Candidates
from mialang.operators.image.images import Images

finite = st.floats(-50, 50, width=32)


def matrices(least=1):
    """Return float tensors of `least` to 6 rows and 2 to 5 columns."""
    shapes = st.tuples(st.integers(least, 6), st.integers(2, 5))
    return shapes.flatmap(lambda shape: nps.arrays(np.float32, shape, elements=finite)).map(torch.from_numpy)


@st.composite
def images(draw, least=1, most=20):
    """Return small labelled images of bytes or of scikit-learn's 0 to 16."""
    n, side = draw(st.integers(least, most)), draw(st.sampled_from([2, 4]))
    maximum = draw(st.sampled_from([16, 255]))
    raw = draw(nps.arrays(np.uint8, (n, 1, side, side), elements=st.integers(0, maximum)))
    labels = draw(nps.arrays(np.int64, n, elements=st.integers(0, 4)))
    return Images(raw, float(maximum), labels, {label: f"name {label}" for label in range(5)})


@st.composite
def candidates(draw, units=(1, 4, 6), most=4):
    """Return candidates for some of the units attempted, in random order."""
    counts = [draw(st.integers(0, most)) for _ in units]
    labels = torch.tensor(units).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))]
    n = len(labels)
    values = torch.from_numpy(draw(nps.arrays(np.float32, (n, 3), elements=st.floats(0, 1, width=32))))
    scores = torch.from_numpy(draw(nps.arrays(np.float32, n, elements=finite)))
    coded = draw(st.booleans())
    return Candidates(
        values=values,
        labels=labels,
        scores=scores,
        group=labels,
        attempted=units,
        code=values * 2 if coded else None,
        asked=torch.arange(n) if coded else None,
    )
