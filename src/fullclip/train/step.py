"""One step: a batch in, weights changed, numbers out. No waiting for the device in here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from fullclip.core.distributed import World
from fullclip.core.types import Batch, Features
from fullclip.models.text import trim_padding
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.levels import normalize
from fullclip.train.cached import cached_backward
from fullclip.train.config import OptimConfig, TrainConfig
from fullclip.train.optim.average import Average
from fullclip.train.optim.guard import Guard
from fullclip.train.optim.optimizer import step_unless
from fullclip.train.parallel import Parallel
from fullclip.train.teacher import Teacher

_COMPILED_MULTIPLE = 16  # lengths of texts that a compiled model sees, so that it is compiled for few


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether matrices are multiplied in bfloat16 by the hardware; elsewhere it would be emulated, and slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def computes_in(config: TrainConfig, device: torch.device) -> torch.dtype:
    """What matrices are multiplied in; weights and their averages stay float32 beside bfloat16."""
    if config.precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}[config.precision]


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """Still on the device: reading a value waits for it. `loss` is that of this process's rows."""

    loss: Tensor
    gradient_norm: Tensor
    scale: Tensor


@dataclass(frozen=True, kw_only=True)
class Step:
    """Forward, the contrastive loss in float32, backward, AdamW, the clip of the temperature (section 2.5).

    A step whose gradient the guard refuses changes nothing. Chance (dropout) is seeded by the run's seed, the step and the
    process, so that a resumed run meets the same.
    """

    model: Parallel
    optimizer: torch.optim.Optimizer
    loss: Callable[[Features], Tensor]
    guard: Guard
    average: Average | None
    teacher: Teacher | None
    train: TrainConfig
    optim: OptimConfig
    preprocess: PreprocessConfig

    def __call__(self, batch: Batch, *, number: int, rate: float) -> StepOutcome:
        """Step `number` (from 0) at learning rate `rate`."""
        device, world = self.model.clip.logit_scale.device, self.model.world
        torch.manual_seed(_seed(self.train.seed, number, world))
        for group in self.optimizer.param_groups:
            group.update(lr=rate * group["scale"], calls=number)  # half-precision moments are rounded by chance of the step
        self.optimizer.zero_grad(set_to_none=True)
        images, tokens = self._on_device(batch, device)
        statistics = [(buffer, buffer.clone()) for buffer in self.model.clip.buffers()]
        loss, scale = self._backward(images, tokens)
        self.model.finish_gradients()
        norm = self.model.gradient_norm()
        left_out = self.guard.judge(norm)
        if self.optim.clip_norm is not None:
            self.model.scale_gradients((self.optim.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        step_unless(self.optimizer, left_out)
        for now, before in statistics:  # batch norm has seen what the guard refuses
            now.copy_(torch.where(left_out > 0, before, now))
        self.model.clip.clip_scale()
        if self.average is not None:
            self.average.update(self.model.clip)
        return StepOutcome(loss=loss.detach(), gradient_norm=norm, scale=scale.detach())

    def _on_device(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        multiple = _COMPILED_MULTIPLE if self.train.compile else 1
        images, tokens = batch.images, trim_padding(batch.tokens, self.model.clip.text.end_id, multiple=multiple)
        if device.type == "cuda":
            images, tokens = images.pin_memory(), tokens.contiguous().pin_memory()  # a view would be copied, and waited for
        images, tokens = images.to(device, non_blocking=True), tokens.to(device, non_blocking=True)
        if images.dtype == torch.uint8:
            images = normalize(images, self.preprocess.mean, self.preprocess.std)
        return (images.double() if self.train.precision == "float64" else images), tokens

    def _backward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        with self._autocast(images.device):
            taught = self.teacher.features(images, tokens) if self.teacher is not None else None

        def loss_of(features: Features) -> Tensor:
            value = self.loss(features)
            return value if self.teacher is None or taught is None else value + self.teacher.loss(features, taught)

        part = self.train.micro_batch
        if part is not None and part < len(images):
            loss, features = cached_backward(self._forward, self.model, images, tokens, loss=loss_of, part_size=part)
            return loss, features.scale
        features = self._forward(images, tokens)
        loss = loss_of(features)
        loss.backward()
        return loss, features.scale

    def _forward(self, images: Tensor, tokens: Tensor) -> Features:
        with self._autocast(images.device):
            return self.model(images, tokens)

    def _autocast(self, device: torch.device) -> AbstractContextManager[None]:
        enabled = computes_in(self.train, device) == torch.bfloat16
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _seed(seed: int, step: int, world: World) -> int:
    return int(np.random.SeedSequence([seed, step, world.rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
