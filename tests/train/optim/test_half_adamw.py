"""AdamW with moments in bfloat16: PyTorch's own arithmetic, unbiased rounding, a state that survives."""

import copy

import pytest
import torch
from torch import nn

from fullclip.train.optim import half_adamw
from fullclip.train.optim.half_adamw import HalfAdamW, round_at_random

SETTINGS = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.2}


def weights(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """A matrix, a vector, a scalar, a convolution in another layout, and nothing at all."""
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in [(7, 5), (9,), (), (4, 3, 2, 2), (0, 3)]]
    found[3] = found[3].contiguous(memory_format=torch.channels_last)
    return [nn.Parameter(tensor.to(dtype)) for tensor in found]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (gradient * 10 ** (step % 3 - 1)).to(parameter.dtype)


def follow(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        give_gradients(parameters, step)
        optimizer.step()


@pytest.mark.parametrize("chunk", [1 << 24, 12, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_float32_moments_it_is_pytorchs_adamw(dtype, chunk, monkeypatch):
    monkeypatch.setattr(half_adamw, "_CHUNK", chunk)
    ours, theirs = weights(dtype), weights(dtype)
    follow(HalfAdamW(ours, **SETTINGS, moments=torch.float32), ours, range(20))
    follow(torch.optim.AdamW(theirs, **SETTINGS), theirs, range(20))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_each_weight_counts_its_own_steps():
    """A weight without a gradient is left alone, and its correction for a young average with it."""
    ours, theirs = weights(), weights()
    optimizers = HalfAdamW(ours, **SETTINGS, moments=torch.float32), torch.optim.AdamW(theirs, **SETTINGS)
    for optimizer, parameters in zip(optimizers, (ours, theirs), strict=True):
        for step in range(6):
            give_gradients(parameters, step)
            if step % 2:
                parameters[0].grad = None
            optimizer.step()
    assert [optimizers[0].state[parameter]["step"].item() for parameter in ours] == [3, 6, 6, 6, 6]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_half_moments_take_nearly_the_same_way():
    ours, theirs, start = weights(), weights(), weights()
    follow(HalfAdamW(ours, **SETTINGS), ours, range(50))
    follow(torch.optim.AdamW(theirs, **SETTINGS), theirs, range(50))
    for one, other, before in zip(ours, theirs, start, strict=True):
        assert torch.equal(one, other) or (one - other).norm() < 0.03 * (other - before).norm()


@pytest.mark.parametrize("value", [1.0, 1.001, -1.001, 3.14159, 1e-30, -2.5e20, 1e-40, 0.0])
def test_rounding_is_right_in_the_mean(value):
    n = 40_000
    exact = torch.tensor(value)
    rounded = round_at_random(exact.expand(n), torch.Generator().manual_seed(0)).double()
    low, high = rounded.min(), rounded.max()
    gap = high - low
    assert set(rounded.tolist()) <= {low.item(), high.item()}
    assert low <= exact.double() <= high
    assert gap <= 2.0**-7 * abs(exact.double()) + 1e-40  # the two neighbours, no further
    assert (rounded.mean() - exact.double()).abs() <= 5 * gap / 2 / n**0.5  # five standard errors at most


def test_bfloat16_numbers_and_what_is_no_number_stay():
    values = torch.randn(1000).bfloat16().float()
    values[:5] = torch.tensor([torch.inf, -torch.inf, torch.nan, -torch.nan, 0.0])
    values[5] = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)[0]  # a GPU's NaN: all bits but the sign
    for seed in range(5):
        rounded = round_at_random(values, torch.Generator().manual_seed(seed)).float()
        assert torch.equal(rounded.nan_to_num(nan=7.0), values.nan_to_num(nan=7.0))
        assert torch.equal(rounded.isnan(), values.isnan())


def test_a_slow_average_still_moves():
    """After one large gradient the second moment falls by 0.999 a step, which rounding to the nearest would not let it."""
    parameter = nn.Parameter(torch.zeros(4000))
    optimizer = HalfAdamW([parameter], lr=0.0, betas=(0.9, 0.999))
    parameter.grad = torch.ones(4000)
    optimizer.step()
    parameter.grad = torch.zeros(4000)
    for _ in range(300):
        optimizer.step()
    state = optimizer.state[parameter]
    assert state["exp_avg_sq"].dtype == torch.bfloat16
    assert state["exp_avg_sq"].float().mean().item() == pytest.approx(1e-3 * 0.999**300, rel=0.01)
    nearest = torch.tensor(1e-3).bfloat16()
    assert (nearest.float() * 0.999).bfloat16() == nearest  # or there were nothing to show


def test_two_processes_of_the_same_weights_stay_the_same():
    torch.manual_seed(1)
    ours = weights()
    follow(HalfAdamW(ours, **SETTINGS), ours, range(5))
    torch.manual_seed(2)
    others = weights()
    follow(HalfAdamW(others, **SETTINGS), others, range(5))
    assert all(torch.equal(one, other) for one, other in zip(ours, others, strict=True))


def test_bits_differ_from_step_to_step():
    parameter = nn.Parameter(torch.zeros(64))
    optimizer = HalfAdamW([parameter], lr=0.0, betas=(0.5, 0.999))
    found = set()
    for _ in range(4):
        parameter.grad = torch.full((64,), 1.001)
        optimizer.state[parameter].clear()
        optimizer.step()
        found.add(tuple(optimizer.state[parameter]["exp_avg"].tolist()))
    assert len(found) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("moments", [torch.bfloat16, torch.float32])
def test_resumed_is_straight(dtype, moments, tmp_path):
    straight = weights(dtype)
    optimizer = HalfAdamW(straight, **SETTINGS, moments=moments)
    follow(optimizer, straight, range(4))
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    resumed = copy.deepcopy(straight)
    follow(optimizer, straight, range(4, 8))
    again = HalfAdamW(resumed, **SETTINGS, moments=moments)
    again.load_state_dict(torch.load(tmp_path / "state.pt"))
    assert all(again.state[p]["exp_avg"].dtype == again.state[p]["exp_avg_sq"].dtype == moments for p in resumed)
    follow(again, resumed, range(4, 8))
    for one, other in zip(straight, resumed, strict=True):
        assert torch.equal(one, other)
        assert all(torch.equal(optimizer.state[one][name], again.state[other][name]) for name in optimizer.state[one])


def test_moments_of_another_precision_are_refused():
    parameters = weights()
    saved = HalfAdamW(parameters, **SETTINGS)
    follow(saved, parameters, range(1))
    with pytest.raises(ValueError, match=r"the saved moments are torch\.bfloat16, not torch\.float32"):
        HalfAdamW(parameters, **SETTINGS, moments=torch.float32).load_state_dict(saved.state_dict())


@pytest.mark.parametrize(
    ("change", "message"), [({"moments": torch.float16}, "moments in"), ({"betas": (0.0, 0.9)}, "betas are")]
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        HalfAdamW(weights(), **SETTINGS | change)
