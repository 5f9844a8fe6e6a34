"""Optimisers step like torch's own, row by row."""

from __future__ import annotations

import pytest
import torch

from mialang.operators import optimisers

CASES = [
    (optimisers.sgd(lr=0.1, momentum=0.0), lambda p: torch.optim.SGD(p, lr=0.1)),
    (optimisers.sgd(lr=0.1, momentum=0.8), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8)),
    (optimisers.nesterov(lr=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    (optimisers.adam(lr=0.1, beta1=0.5, beta2=0.99), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.99))),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=[str(case[0]) for case in CASES])
def test_steps_equal_torchs(ours, theirs):
    start = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(start.clone())
    reference = theirs([parameter])
    code, state = start.clone(), ours.start(start)
    for _ in range(12):
        reference.zero_grad()
        (parameter.sin() * parameter).sum().backward()
        reference.step()
        gradient = code.sin() + code * code.cos()
        code = ours.step(code, gradient, state)
        torch.testing.assert_close(code, parameter.detach(), rtol=1e-4, atol=1e-5)
