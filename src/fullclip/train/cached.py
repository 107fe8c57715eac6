"""A batch of any size on one device: features first, a part at a time, then their gradients, then the model's.

Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache). Only one part's
activations are held; the loss sees the whole batch, so loss and gradients are those of the undivided one. (In a ResNet each
part is normalised by its own statistics, as on so many devices.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fullclip.core.types import Features
from fullclip.models.statistics import pooled_statistics, still_statistics
from fullclip.train.parallel import Parallel

Loss = Callable[[Features], Tensor]


@dataclass(frozen=True)
class _RandomState:
    """Where the generators of the CPU and of the model's GPU stand, so that dropout falls alike in both passes."""

    cpu: Tensor
    gpu: Tensor | None

    @classmethod
    def of(cls, device: torch.device) -> "_RandomState":
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    def restore(self, device: torch.device) -> None:
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, device)


def cached_backward(
    forward: Callable[[Tensor, Tensor], Features],
    model: Parallel,
    images: Float[Tensor, "batch channels height width"],
    tokens: Int[Tensor, "batch context"],
    *,
    loss: Loss,
    part_size: int,
) -> tuple[Tensor, Features]:
    """Add the gradient of `loss` to the parameters of `model`, which `forward` runs; the loss, and the features it saw."""
    parts = list(zip(images.split(part_size), tokens.split(part_size), strict=True))
    found, states = list[Features](), list[_RandomState]()
    with torch.no_grad(), pooled_statistics(model.clip):
        for part in parts:
            states.append(_RandomState.of(images.device))
            found.append(forward(*part))
    features = _leaves(found)
    value = loss(features)
    value.backward()
    after = _RandomState.of(images.device)
    with still_statistics(model.clip):
        for i, (part, state) in enumerate(zip(parts, states, strict=True)):
            state.restore(images.device)
            last = i == len(parts) - 1
            with model.gradients_shared(last):
                again = forward(*part)
                start = i * part_size
                _push(again, features, slice(start, start + len(part[0])), with_scale=last)
    after.restore(images.device)
    return value.detach(), features


def _leaves(parts: list[Features]) -> Features:
    """All parts' features as one batch that collects gradients."""
    scale, bias = parts[0].scale, parts[0].bias
    return Features(
        image=torch.cat([part.image for part in parts]).requires_grad_(),
        text=torch.cat([part.text for part in parts]).requires_grad_(),
        scale=scale.detach().clone().requires_grad_(),
        bias=None if bias is None else bias.detach().clone().requires_grad_(),
    )


def _push(again: Features, features: Features, rows: slice, *, with_scale: bool) -> None:
    """Backward through the model from the gradients that the loss left at its features. The temperature belongs to the batch
    and not to a part, so its gradient goes down once.
    """
    wanted = [(again.image, features.image, rows), (again.text, features.text, rows)]
    if with_scale:
        wanted.append((again.scale, features.scale, ...))
        if again.bias is not None and features.bias is not None:
            wanted.append((again.bias, features.bias, ...))
    pairs = [(output, leaf.grad[chosen]) for output, leaf, chosen in wanted if output.requires_grad and leaf.grad is not None]
    torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
