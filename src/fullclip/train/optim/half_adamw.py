"""AdamW whose two averages are kept in bfloat16, rounded at random: half the optimizer's memory (CLIP paper, section 2.5)."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.train.local import local_part

_CHUNK = 1 << 24  # elements computed at once: few launches of kernels, and little memory beside the weights
_MOMENTS = ("exp_avg", "exp_avg_sq")


class HalfAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) as PyTorch computes it, in float32 or wider, with moments kept in `moments`.

    bfloat16 has 8 bits of precision, so that rounding to the nearest would never move an average that changes by less than
    1/512 of itself: with beta2 = 0.999 the second moment would stand still, and never fall after a large gradient. Rounded at
    random, up with a chance that is the share of the way up, it is right in the mean. The weights are moved by the moments
    before they are rounded. Bits are drawn from a generator of our own, seeded anew by each call, so that processes which hold
    the same weights (DDP) stay the same, and a resumed run goes on as a straight one would.

    `found_inf`: see `optim.step_unless`.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        moments: torch.dtype = torch.bfloat16,
        seed: int = 0,
    ) -> None:
        if moments not in (torch.bfloat16, torch.float32):
            raise ValueError(f"moments in {moments}: bfloat16 or float32")
        if not all(0 < beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}: each above 0 and below 1")
        # `calls` is an option of the groups because those are saved and loaded with the state.
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "calls": 0})
        self.moments, self.seed = moments, seed
        self._generators: dict[torch.device, torch.Generator] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the gradients; weights without one are left alone. Nobody waits for the device."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            with_gradient = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in with_gradient:
                if not self.state[parameter]:
                    self._begin(parameter)
            for generator in self._generators_of(with_gradient):
                generator.manual_seed((self.seed << 48) + (number << 40) + group["calls"])
            for chunk in _chunks(with_gradient):
                self._update(chunk, group)
            group["calls"] += 1
        return loss

    def _begin(self, parameter: Tensor) -> None:
        state = self.state[parameter]
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        for name in _MOMENTS:  # sharded as the weight is
            state[name] = torch.zeros_like(parameter, dtype=self.moments)

    def _generators_of(self, parameters: list[Tensor]) -> list[torch.Generator]:
        for device in {parameter.device for parameter in parameters}:
            if device not in self._generators:
                self._generators[device] = torch.Generator(device)
        return list(self._generators.values())

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """One step of some weights of one dtype and device, laid end to end."""
        (beta1, beta2), rate = group["betas"], group["lr"]
        states = [self.state[parameter] for parameter in parameters]
        weights = [local_part(parameter) for parameter in parameters]
        averages, squares = ([local_part(state[name]) for state in states] for name in _MOMENTS)
        dtype = torch.promote_types(weights[0].dtype, torch.float32)
        gradient = _joined([local_part(p.grad) for p in parameters if p.grad is not None], dtype)
        weight, average, square = _joined(weights, dtype), _joined(averages, dtype), _joined(squares, dtype)

        steps = torch.stack([state["step"] for state in states]) + 1
        sizes = [part.numel() for part in weights]
        average.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        unbiased = average / _spread(_correction(beta1, steps.to(dtype)), sizes)
        spread = (square / _spread(_correction(beta2, steps.to(dtype)), sizes)).sqrt_().add_(group["eps"])
        weight.mul_(1 - rate * group["weight_decay"]).addcdiv_(unbiased, spread, value=-rate)

        generator = self._generators[weight.device]
        self._put(weights, weight.to(weights[0].dtype))
        self._put(averages, self._rounded(average, generator))
        self._put(squares, self._rounded(square, generator))
        self._put([state["step"] for state in states], steps)

    def _rounded(self, values: Float[Tensor, " n"], generator: torch.Generator) -> Float[Tensor, " n"]:
        values = values.to(torch.float32)
        return round_at_random(values, generator) if self.moments == torch.bfloat16 else values

    def _put(self, places: list[Tensor], values: Float[Tensor, " n"]) -> None:
        """Write `values` end to end into the places, or what is there already where the step is to be left out."""
        parts = [part.view(place.shape) for part, place in zip(values.split([p.numel() for p in places]), places, strict=True)]
        if self.found_inf is not None:
            left_out = self.found_inf.to(values.device) > 0
            parts = [torch.where(left_out, place, part) for part, place in zip(parts, places, strict=True)]
        torch._foreach_copy_(places, parts)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any optimizer's, but the moments stay what they are: PyTorch's own would cast them to the weights' dtype."""
        super().load_state_dict({**state_dict, "state": {}})
        numbers = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        parameters = chain.from_iterable(group["params"] for group in self.param_groups)
        for number, parameter in zip(numbers, parameters, strict=True):
            saved = state_dict["state"].get(number, {})
            wrong = [name for name in _MOMENTS if name in saved and saved[name].dtype != self.moments]
            if wrong:
                raise ValueError(f"the saved moments are {saved[wrong[0]].dtype}, not {self.moments}: set optim.moments so")
            self.state[parameter] = {name: value.to(parameter.device, copy=True) for name, value in saved.items()}


def round_at_random(values: Float[Tensor, "*axes"], generator: torch.Generator) -> Float[Tensor, "*axes"]:
    """float32 to one of the two bfloat16 numbers around each, nearer ones more likely, so that the mean is the value itself.

    A bfloat16 is the upper half of a float32: adding a random lower half carries into the upper one with the right chance, and
    what then stands in the lower half is cut off. What is no finite number stays as it is.
    """
    bits = values.contiguous().view(torch.int32)
    noise = torch.randint(1 << 16, bits.shape, dtype=torch.int32, device=bits.device, generator=generator)
    rounded = ((bits + noise) & -(1 << 16)).view(torch.float32)
    return torch.where(values.isfinite(), rounded, values).to(torch.bfloat16)


def _chunks(parameters: list[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters of one dtype and device together, up to `_CHUNK` elements or a single larger one."""
    kinds: dict[Any, list[Tensor]] = {}
    for parameter in parameters:
        kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    for same in kinds.values():
        chunk, size = list[Tensor](), 0
        for parameter in same:
            more = local_part(parameter).numel()
            if chunk and size + more > _CHUNK:
                yield chunk
                chunk, size = [], 0
            chunk.append(parameter)
            size += more
        yield chunk


def _joined(tensors: list[Tensor], dtype: torch.dtype) -> Float[Tensor, " n"]:
    """All elements end to end, in the order of the axes, whatever their layout in memory; a copy."""
    return torch.cat([tensor.reshape(-1).to(dtype) for tensor in tensors])


def _correction(beta: float, steps: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
    """1 - beta ** steps, without the digits that the difference would lose in float32."""
    return -torch.expm1(steps * math.log(beta))


def _spread(values: Float[Tensor, " parameters"], sizes: list[int]) -> Float[Tensor, " n"]:
    """Each parameter's value for each of its elements."""
    return torch.cat([value.expand(size) for value, size in zip(values.unbind(), sizes, strict=True)])
