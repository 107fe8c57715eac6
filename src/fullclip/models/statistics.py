"""Batch normalisation's running statistics where a batch is computed twice, or in parts: they move once, as if whole."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d) and norm.training]


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Batches that go through `module` in here leave its running statistics as they are."""
    norms = _norms(module)
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, count, momentum in zip(norms, counts, momenta, strict=True):
            norm.num_batches_tracked.copy_(count)
            norm.momentum = momentum


def moved_once(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts for the first and the second computation of a checkpoint: only the first moves running statistics."""
    return nullcontext(), still_statistics(block)


@contextmanager
def pooled_statistics(module: nn.Module) -> Iterator[None]:
    """The batches that go through `module` in here are parts of one: running statistics move once, by the pooled mean and
    variance of all parts, which are those of the undivided batch for whatever comes in at each norm.
    """
    parts = [_Parts(norm) for norm in _norms(module)]
    hooks = [part.norm.register_forward_pre_hook(part.see) for part in parts]
    try:
        with still_statistics(module):
            yield
    finally:
        for hook in hooks:
            hook.remove()
    for part in parts:
        part.move()


@dataclass(eq=False)
class _Parts:
    """What one norm has seen: how many values of each channel, their sum and the sum of their squares."""

    norm: nn.BatchNorm2d
    sums: list[tuple[Tensor, Tensor, int]] = field(default_factory=list)

    @torch.no_grad()
    def see(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].to(torch.promote_types(inputs[0].dtype, torch.float32))
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        self.sums.append((mean, variance, x.numel() // x.shape[1]))

    @torch.no_grad()
    def move(self) -> None:
        norm, number = self.norm, sum(n for _, _, n in self.sums)
        if not number or norm.momentum is None or norm.running_mean is None or norm.running_var is None:
            return
        mean = sum(mean * (n / number) for mean, _, n in self.sums)
        variance = sum((variance + (part - mean) ** 2) * (n / number) for part, variance, n in self.sums)
        unbiased = variance * (number / max(number - 1, 1))
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
        norm.num_batches_tracked += 1
