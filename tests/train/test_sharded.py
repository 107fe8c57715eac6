"""Optimizers and the average on weights that are spread over processes: as on whole ones."""

import numpy as np
import pytest

import processes
import sharded
from fullclip.core.distributed import World

pytestmark = pytest.mark.dist


@pytest.fixture(scope="module")
def answers():
    """Of one process, which holds whole weights, and of each of two, which hold half of the rows."""
    return sharded.train_all(World.single()), processes.run(sharded.train_all, 2)


@pytest.mark.parametrize("kind", ["fused", "float32"])
def test_spread_weights_are_trained_as_whole_ones(answers, kind):
    alone, spread = answers
    for answer in spread:
        for name in ("weights", "averages"):
            for found, expected in zip(answer[kind][name], alone[kind][name], strict=True):
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert not np.array_equal(answer[kind]["weights"][0], answer[kind]["averages"][0])


def test_spread_half_precision_moments(answers):
    """Other bits are drawn than for whole weights, so that only the way is nearly the same."""
    start, alone = sharded.matrices(), answers[0]["bfloat16"]
    for answer in answers[1]:
        assert answer["bfloat16"]["dtypes"] == ["torch.bfloat16"] * 3
        for found, expected, first in zip(answer["bfloat16"]["weights"], alone["weights"], start, strict=True):
            assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected - first.numpy())


@pytest.mark.parametrize("kind", ["fused", "float32", "bfloat16"])
def test_a_step_left_out_and_an_average_looked_at_leave_no_trace(answers, kind):
    for answer in (answers[0], *answers[1]):
        assert answer[kind]["steps"] == [sharded.STEPS - 1] * 3
        for found, before in zip(answer[kind]["weights"], answer[kind]["before"], strict=True):
            np.testing.assert_array_equal(found, before)
