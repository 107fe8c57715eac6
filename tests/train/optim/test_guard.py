"""Which steps are left out, and what is counted."""

import math

import torch

from fullclip.train.config import GuardConfig
from fullclip.train.optim.guard import Guard

CPU = torch.device("cpu")


def verdicts(norms: list[float], *, spike: float | None = None) -> tuple[list[float], Guard]:
    guard = Guard(GuardConfig(spike=spike), CPU)
    return [float(guard.judge(torch.tensor(norm))) for norm in norms], guard


def test_norms_that_are_no_finite_number_are_left_out_and_counted():
    found, guard = verdicts([1.0, math.nan, 1e30, math.inf, math.nan])
    assert found == [0, 1, 0, 1, 1]
    assert (guard.read().left_out, guard.read().in_a_row) == (3, 2)


def test_a_good_step_ends_the_row():
    _, guard = verdicts([math.nan, math.nan, 1.0])
    assert (guard.read().left_out, guard.read().in_a_row) == (2, 0)


def test_a_spike_is_left_out_only_where_asked_and_does_not_move_the_average():
    norms = [1.0, 1.1, 50.0, 0.9, 9.0, 10.5]
    assert verdicts(norms)[0] == [0] * 6
    found, guard = verdicts(norms, spike=10.0)
    assert found == [0, 0, 1, 0, 0, 0]
    expected = 1.0
    for norm in (1.1, 0.9, 9.0, 10.5):
        expected += 0.02 * (norm - expected)
    assert math.isclose(float(guard.state[2]), expected, rel_tol=1e-6)


def test_the_first_step_is_no_spike():
    assert verdicts([1e9, 1e9], spike=2.0)[0] == [0, 0]


def test_its_state_is_all_it_knows():
    _, first = verdicts([1.0, 2.0, math.nan], spike=3.0)
    second = Guard(GuardConfig(spike=3.0), CPU)
    second.state = first.state.clone()
    for norm in (1.0, 30.0, math.nan):
        assert first.judge(torch.tensor(norm)) == second.judge(torch.tensor(norm))
    assert torch.equal(first.state, second.state)
