"""The running average of weights: its formula, its way into a model and back, its state."""

import pytest
import torch
from torch import nn

from fullclip.train.optim.average import Average


def module(dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).to(dtype)


def change(model: nn.Module, seed: int) -> None:
    """Other weights and other statistics, as a step leaves them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    model(torch.randn(8, 4, generator=generator).to(model[0].weight.dtype))


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_formula(decay):
    model = module(torch.float64)
    average, expected = Average(model, decay), copies(model)
    for t in range(30):
        change(model, t)
        average.update(model)
        d = min(decay, (1 + t) / (10 + t))
        for name, tensor in model.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * tensor if tensor.is_floating_point() else tensor.clone()
    found = average.state()["averages"]
    assert found["1.num_batches_tracked"] == 30
    assert not torch.equal(found["1.running_mean"], model[1].running_mean)
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=0, atol=1e-12), name


def test_a_long_decay_moves_half_precision_weights():
    """In bfloat16, 1 - 0.9999 of a difference would be rounded away."""
    model = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.ones_(model.weight)
    average = Average(model, 0.9999)
    average.num_updates = 10**6
    nn.init.constant_(model.weight, 2.0)
    for _ in range(100):
        average.update(model)
    assert average.state()["averages"]["weight"].item() == pytest.approx(2 - 0.9999**100, rel=1e-5)
    with average.applied(model):
        assert model.weight.dtype == torch.bfloat16
        assert model.weight.item() == pytest.approx(1.01, abs=0.004)
    assert model.weight.item() == 2.0


def test_into_the_model_and_back():
    model = module()
    average = Average(model, 0.9)
    change(model, 1)
    average.update(model)
    before, places = copies(model), [parameter.data_ptr() for parameter in model.parameters()]
    with average.applied(model):
        assert all(torch.equal(tensor, average.state()["averages"][name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert places == [parameter.data_ptr() for parameter in model.parameters()]
    with pytest.raises(KeyboardInterrupt), average.applied(model):
        raise KeyboardInterrupt
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_weights_that_stay_are_their_average():
    """As those of a locked tower, or after steps that were left out."""
    model = module()
    average = Average(model, 0.99)
    for _ in range(20):
        average.update(model)
    assert all(torch.equal(tensor, average.state()["averages"][name]) for name, tensor in model.state_dict().items())


def test_resumed_is_straight(tmp_path):
    model = module()
    average = Average(model, 0.3)
    for seed in range(4):
        change(model, seed)
        average.update(model)
    torch.save((average.state(), model.state_dict()), tmp_path / "state.pt")
    state, weights = torch.load(tmp_path / "state.pt")
    other = module(seed=1)
    other.load_state_dict(weights)
    again = Average(other, 0.3)
    again.load(state)
    for seed in range(4, 9):
        for one, kept in ((model, average), (other, again)):
            change(one, seed)
            kept.update(one)
    assert again.num_updates == average.num_updates == 9
    assert all(torch.equal(tensor, average.state()["averages"][name]) for name, tensor in again.state()["averages"].items())


def test_wrong_use():
    model = module()
    for decay in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="the decay of the average is"):
            Average(model, decay)
    average = Average(model, 0.9)
    missing = copies(model)
    del missing["2.weight"]
    with pytest.raises(ValueError, match=r"another model's: 2\.weight is in one of them only"):
        average.load({"num_updates": 1, "averages": missing})
    with average.applied(model), pytest.raises(AssertionError):
        average.update(model)
