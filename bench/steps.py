"""A training step of ours, without data loading: what the step benches compare with others."""

from collections.abc import Callable

import torch
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Batch
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig
from fullclip.train.config import GuardConfig, OptimConfig, TrainConfig
from fullclip.train.optim.guard import Guard
from fullclip.train.optim.optimizer import build_optimizer
from fullclip.train.parallel import wrap
from fullclip.train.step import Step


def our_step(model: str, batch: Batch, device: torch.device, *, precision: str, compiled: bool = False) -> Callable[[], Tensor]:
    """Makes one step on `batch`, which lies on the host, and gives the loss, on the device."""
    clip = build(PRESETS[model])
    initialize(clip, torch.Generator().manual_seed(0))
    train = TrainConfig(steps=1, batch_size=len(batch.images), precision=precision, compile=compiled)
    optim = OptimConfig(learning_rate=1e-4, beta2=0.98, epsilon=1e-6)
    step = Step(
        model=wrap(clip.train(), train, world=World.single(), device=device),
        optimizer=build_optimizer(clip, optim),
        loss=lambda features: losses.softmax(features, World.single()),
        guard=Guard(GuardConfig(), device),
        average=None,
        teacher=None,
        train=train,
        optim=optim,
        preprocess=PreprocessConfig(size=PRESETS[model].vision.image_size),
    )
    return lambda: step(batch, number=0, rate=1e-4).loss
