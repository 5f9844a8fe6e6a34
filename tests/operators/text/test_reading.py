"""What rows share is read once, and nobody can tell from the answers."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mialang.operators.text.reading import beginnings, read

from .small_language_model import model


def whole(network, tokens):
    """Each row read for itself."""
    return torch.cat([network(input_ids=row[None], use_cache=False).logits.log_softmax(-1) for row in tokens])


class Counting(torch.nn.Module):
    """A network that counts the tokens it reads."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.tokens = 0

    def forward(self, input_ids, **options):
        self.tokens += input_ids.numel()
        return self.network(input_ids=input_ids, **options)


class Forgetful(torch.nn.Module):
    """A network that keeps nothing of what it read, as one without attention."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, input_ids, **options):
        made = self.network(input_ids=input_ids, **options | {"use_cache": False})
        return type(made)(logits=made.logits)


ROWS = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 2), min_size=width, max_size=width), min_size=1, max_size=20)
)


@given(ROWS)
def test_beginnings_leave_the_fewest_tokens_to_read(rows):
    tokens = torch.tensor(rows)
    length, heads, place = beginnings(tokens)
    assert heads.shape[1] == length < tokens.shape[1]
    assert heads[place].equal(tokens[:, :length])
    assert len({tuple(head) for head in heads.tolist()}) == len(heads)
    costs = [
        len({tuple(row[:each]) for row in rows}) * each + len(rows) * (tokens.shape[1] - each)
        for each in range(tokens.shape[1])
    ]
    assert costs[length] == min(costs)


@settings(deadline=None)
@given(ROWS)
def test_answers_are_those_of_each_row_alone(rows):
    tokens = torch.tensor(rows)
    network = model(sharp=8.0).network
    torch.testing.assert_close(read(network, tokens), whole(network, tokens), rtol=1e-4, atol=1e-4)


def test_a_long_beginning_is_read_once():
    start = torch.randint(0, 200, (30,), generator=torch.Generator().manual_seed(0))
    tokens = torch.cat([start.expand(50, -1), torch.arange(50)[:, None]], 1)
    network = Counting(model(sharp=8.0).network)
    answer = read(network, tokens)
    assert network.tokens == 30 + 50
    torch.testing.assert_close(answer, whole(network.network, tokens), rtol=1e-4, atol=1e-4)


def test_a_network_that_keeps_nothing_reads_everything():
    tokens = torch.cat([torch.full((9, 20), 7), torch.arange(9)[:, None]], 1)
    network = model(sharp=8.0).network
    torch.testing.assert_close(read(Forgetful(network), tokens), whole(network, tokens), rtol=1e-4, atol=1e-4)


def test_no_rows_begin_nowhere():
    length, heads, place = beginnings(torch.zeros(0, 5, dtype=torch.long))
    assert (length, heads.shape, place.shape) == (0, (0, 0), (0,))
