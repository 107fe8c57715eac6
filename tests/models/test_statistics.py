"""Running statistics of batches that are computed twice or in parts."""

import pytest
import torch
from torch import nn

from fullclip.models.statistics import pooled_statistics, still_statistics


def norm_and_batch(momentum: float = 0.1) -> tuple[nn.BatchNorm2d, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm2d(3, momentum=momentum).double()
    norm(torch.randn(4, 3, 2, 2, generator=random, dtype=torch.float64))
    shift = torch.arange(12, dtype=torch.float64).reshape(12, 1, 1, 1)  # parts differ from each other
    return norm, torch.randn(12, 3, 5, 4, generator=random, dtype=torch.float64) + shift


def statistics(norm: nn.BatchNorm2d) -> list[torch.Tensor]:
    return [norm.running_mean.clone(), norm.running_var.clone(), norm.num_batches_tracked.clone()]


@pytest.mark.parametrize("part", [1, 4, 5, 12])
@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_parts_move_statistics_as_the_whole_does(part, momentum):
    (whole, batch), (parts, _) = norm_and_batch(momentum), norm_and_batch(momentum)
    whole(batch)
    with pooled_statistics(parts):
        for piece in batch.split(part):
            parts(piece)
    for ours, theirs in zip(statistics(parts), statistics(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_still_statistics_do_not_move_and_move_again_afterwards():
    norm, batch = norm_and_batch()
    before = statistics(norm)
    with still_statistics(norm):
        norm(batch)
    assert all(torch.equal(a, b) for a, b in zip(statistics(norm), before, strict=True))
    norm(batch)
    assert not torch.equal(norm.running_mean, before[0])


def test_a_norm_in_evaluation_mode_is_left_alone():
    norm, batch = norm_and_batch()
    norm.eval()
    before = statistics(norm)
    with pooled_statistics(norm):
        norm(batch)
    assert all(torch.equal(a, b) for a, b in zip(statistics(norm), before, strict=True))
