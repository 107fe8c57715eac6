"""The only wrapper of a model: activation checkpointing, then compilation, then sharding, in this order.

At one process without compilation it is the model itself. The model knows nothing of any of it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from fullclip.core.distributed import World, total
from fullclip.core.say import say
from fullclip.core.types import Features
from fullclip.models.clip import Clip
from fullclip.train.config import TrainConfig
from fullclip.train.local import local_part


class Parallel:
    """A model as the trainer sees it: images and tokens in, Features out, gradients averaged over the processes.

    `clip` is the model itself, whose parameters are DTensors, each process holding some of their rows, when sharded.
    """

    def __init__(self, clip: Clip, module: nn.Module, world: World) -> None:
        self.clip, self._module, self.world = clip, module, world

    @property
    def is_sharded(self) -> bool:
        return isinstance(self._module, FSDPModule)

    def __call__(self, images: Float[Tensor, "batch channels height width"], tokens: Int[Tensor, "batch context"]) -> Features:
        image, text, scale, *bias = self._module(images, tokens)
        return Features(image=image, text=text, scale=scale, bias=bias[0] if bias else None)

    @contextmanager
    def gradients_shared(self, shared: bool) -> Iterator[None]:
        """Whether gradients that come up in here are averaged over the processes, or wait for the last part of the batch."""
        if isinstance(self._module, FSDPModule):
            self._module.set_requires_gradient_sync(shared)
            yield
        elif isinstance(self._module, DistributedDataParallel) and not shared:
            with self._module.no_sync():
                yield
        else:
            yield

    def finish_gradients(self) -> None:
        """Average what the wrapper leaves out: scalars, which cannot be sharded."""
        if self.is_sharded:
            for parameter in self.clip.parameters():
                if parameter.grad is not None and not isinstance(parameter.grad, DTensor):
                    parameter.grad.copy_(total(parameter.grad, self.world) / self.world.size)

    def gradient_norm(self) -> Tensor:
        """The norm of all gradients together, on the device."""
        gradients = [parameter.grad for parameter in self.clip.parameters() if parameter.grad is not None]
        if not self.is_sharded:
            return torch.nn.utils.get_total_norm(gradients)
        shares = [gradient.to_local() for gradient in gradients if isinstance(gradient, DTensor)]
        rest = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
        squared = total(torch.nn.utils.get_total_norm(shares) ** 2, self.world)
        return (squared + torch.nn.utils.get_total_norm(rest) ** 2).sqrt()

    def scale_gradients(self, factor: Tensor) -> None:
        """Multiply all gradients in place."""
        gradients = [local_part(parameter.grad) for parameter in self.clip.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, factor)


@torch.no_grad()
def whole(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors with all their rows, on every process; all processes must ask."""
    return {name: t.full_tensor() if isinstance(t, DTensor) else t.detach() for name, t in tensors}


class _Outputs(nn.Module):
    """Features as a plain tuple: wrappers look for tensors in what a module gives back."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        features = self.clip(images, tokens)
        # a copy: FSDP hooks what comes out, and on the parameter itself hooks would gather, step by step
        rest = () if features.bias is None else (features.bias.clone(),)
        return features.image, features.text, features.scale, *rest


def wrap(clip: Clip, config: TrainConfig, *, world: World, device: torch.device) -> Parallel:
    """The model on `device`, ready for training as `config` says."""
    clip.to(device)
    clip.checkpoint_towers(image=config.checkpoint_image_tower, text=config.checkpoint_text_tower)
    if config.compile:
        _compile_blocks(clip, device)
    module = _Outputs(clip)
    if world.size == 1:
        return Parallel(clip, module, world)
    if config.parallel == "fsdp":
        return Parallel(clip, _shard(module, world, device), world)
    devices = [device.index] if device.type == "cuda" else None
    return Parallel(clip, DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True), world)


def blocks_of(clip: Clip) -> list[nn.Module]:
    """The parts that a tower repeats, in both towers."""
    return [*clip.visual.blocks(), *clip.text.blocks()]


def _shard(module: _Outputs, world: World, device: torch.device) -> nn.Module:
    """Each block by itself, and the rest together. Weights travel in float32 and are rounded where they are used (autocast),
    so that norms see what they see under DDP; half as many bytes would travel in bfloat16, and round them.
    """
    mesh = init_device_mesh(device.type, (world.size,))
    for block in blocks_of(module.clip):
        fully_shard(block, mesh=mesh)
    scalars = {parameter for parameter in module.parameters() if parameter.ndim == 0}
    fully_shard(module, mesh=mesh, ignored_params=scalars)
    return module


def _compile_blocks(clip: Clip, device: torch.device) -> None:
    """Compile each block by itself: they are alike, so that few are compiled in truth, and the rest stays as it is. Where
    there is no compiler, say so and go on without.
    """
    try:
        torch._dynamo.config.suppress_errors = True  # a block that cannot be compiled says so and runs as it is
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)  # all blocks share their code
        probe = torch.compile(nn.GELU(), fullgraph=True)
        probe(torch.ones(8, device=device))
    except Exception as error:  # no C++ compiler, no Triton, an unknown processor: each has its own type
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        say(f"train.compile: not here ({reason}); going on without")
        return
    # anew for each shape, of which there is one a block and a length of text: PyTorch fails at ResNets of unknown shapes
    for block in blocks_of(clip):
        block.compile(dynamic=False)
