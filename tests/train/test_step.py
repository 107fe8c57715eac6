"""One step: what it computes, and what it must leave alone."""

import math

import pytest
import torch

from fullclip.core.distributed import World
from fullclip.core.types import Batch
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.train.config import OptimConfig
from fullclip.train.optim import build_optimizer
from fullclip.train.step import train_step

CPU = torch.device("cpu")


def make_batch(n: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.zeros(n, 32, dtype=torch.long)
    tokens[:, 0] = 49406
    tokens[:, 1:4] = torch.randint(1, 400, (n, 3), generator=generator)
    tokens[:, 4] = 49407
    return Batch(images=torch.randn(n, 3, 32, 32, generator=generator), tokens=tokens, keys=tuple(str(i) for i in range(n)))


def stepped(*, bfloat16: bool, steps: int = 1, scale: float | None = None):
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    if scale is not None:
        model.logit_scale.data.fill_(math.log(scale))
    optimizer = build_optimizer(model, OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6))
    outcomes = [
        train_step(model, make_batch(), optimizer, world=World.single(), device=CPU, bfloat16=bfloat16) for _ in range(steps)
    ]
    return model, outcomes


def test_a_batch_is_learned_by_heart():
    _, outcomes = stepped(bfloat16=False, steps=40)
    assert outcomes[0].loss > 1.0
    assert outcomes[-1].loss < 0.1


def test_the_scale_never_passes_100():
    model, outcomes = stepped(bfloat16=False, steps=20, scale=99.9)
    assert all(outcome.scale <= 100.001 for outcome in outcomes)
    assert model.logit_scale.exp() <= 100.001


def test_bfloat16_is_near_and_weights_stay_float32():
    (_, [a]), (rounded, [b]) = stepped(bfloat16=False), stepped(bfloat16=True)
    assert float(b.loss) == pytest.approx(float(a.loss), rel=0.02)
    assert {parameter.dtype for parameter in rounded.parameters()} == {torch.float32}
    assert a.loss != b.loss


def test_the_gradient_norm_is_that_of_all_gradients():
    model, [outcome] = stepped(bfloat16=False)
    squares = sum((parameter.grad.double() ** 2).sum() for parameter in model.parameters())
    assert float(outcome.gradient_norm) == pytest.approx(math.sqrt(squares), rel=1e-5)
