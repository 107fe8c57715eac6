import numpy as np
import pytest
import torch

import processes
from fullclip.core.distributed import World, gather, start, stop


def test_gather_of_one_process_is_the_very_tensor():
    rows = torch.ones(3, 2)
    assert gather(rows, World.single()) is rows


def test_without_torchrun_a_run_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = start()
    assert world == World.single() == World(rank=0, size=1)
    stop(world)


def test_torchrun_with_one_process_needs_no_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert start() == World.single()
    assert not torch.distributed.is_initialized()


@pytest.mark.dist
@pytest.mark.parametrize("size", [2, 4])
def test_gather_and_its_gradient(size):
    """The gradient of a row is the sum of what all processes wanted of it, as if one process had added up their losses."""
    random = np.random.default_rng(size)
    rows = random.normal(size=(2 * size, 3))
    weights = random.normal(size=(size, *rows.shape))
    answers = processes.run(processes.gather_work, size, rows, weights)
    whole = torch.from_numpy(rows).requires_grad_()
    sum((whole * torch.from_numpy(weight)).sum() for weight in weights).backward()
    assert [(answer["rank"], answer["size"]) for answer in answers] == [(rank, size) for rank in range(size)]
    for answer in answers:
        np.testing.assert_array_equal(answer["gathered"], rows)
    np.testing.assert_allclose(np.concatenate([answer["gradient"] for answer in answers]), whole.grad, rtol=1e-14)


@pytest.mark.dist
@pytest.mark.parametrize("failing", [(), (1,), (0, 2), (2,)])
def test_where_one_fails_all_end_and_one_says_why(failing):
    answers = processes.run(processes.together_work, 3, failing)
    if not failing:
        assert answers == ["rank 0", "rank 1", "rank 2"]
        return
    told = [f"process {failing[0]} cannot go on"] * 3
    told[failing[0]] = f"no disk at {failing[0]}"
    assert answers == told
