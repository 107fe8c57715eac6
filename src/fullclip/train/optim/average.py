"""A running average of the weights, which often answers better than the last ones; of a model, its state dict is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fullclip.train.local import local_part


class Average:
    """Exponential moving average: after each step, average = d average + (1 - d) weights.

    After t steps d is min(decay, (1 + t) / (10 + t)), so that a short run's average is not mostly the initial weights: the
    `num_updates` of TensorFlow's ExponentialMovingAverage.

    Running statistics of batch norm are averaged as the weights are (as timm's ModelEma does): those of the last step were
    measured under other weights than the averaged ones. Counters are copied. Averages are held in float32 or wider, where 1 - d
    is not rounded away, on the weights' device, and sharded as they are. Averaging the same weights again, after a step that
    was left out, pulls towards them once more and harms nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"the decay of the average is {decay}: above 0 and below 1")
        self.decay, self.num_updates = decay, 0
        self._applied = False
        self._averages = {name: _wide(tensor).clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are now; after each step. Nobody waits for the device."""
        assert not self._applied, "the model holds the average itself"
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        averages, weights = list[Tensor](), list[Tensor]()
        for name, tensor in model.state_dict().items():
            average, weight = local_part(self._averages[name]), local_part(tensor)
            if average.is_floating_point():
                averages.append(average)
                weights.append(weight.to(average.dtype))
            else:
                average.copy_(weight)
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint: the number of updates, and the averages by the weights' names (not copied)."""
        return {"num_updates": self.num_updates, "averages": dict(self._averages)}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave. ValueError where it belongs to another model."""
        if state["averages"].keys() != self._averages.keys():
            odd = sorted(state["averages"].keys() ^ self._averages.keys())
            raise ValueError(f"these averages are another model's: {odd[0]} is in one of them only")
        self.num_updates = int(state["num_updates"])
        for name, average in self._averages.items():
            local_part(average).copy_(local_part(state["averages"][name]))

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The averages in place of the model's weights, which come back to the bit; they are held twice while it lasts."""
        kept = {name: local_part(tensor).clone() for name, tensor in model.state_dict().items()}
        self._applied = True
        try:
            _fill(model, {name: local_part(average) for name, average in self._averages.items()})
            yield
        finally:
            _fill(model, kept)
            self._applied = False


@torch.no_grad()
def _fill(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Write into the model's tensors, of this process's share where they are sharded."""
    for name, tensor in model.state_dict().items():
        local_part(tensor).copy_(values[name])


def _wide(tensor: Tensor) -> Tensor:
    """Half precision widened; anything else as it is, but without a gradient."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype)
