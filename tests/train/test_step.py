"""One step: what it computes, and what it must leave alone."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Batch
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.levels import normalize
from fullclip.train.config import GuardConfig, OptimConfig, TrainConfig
from fullclip.train.optim.guard import Guard
from fullclip.train.optim.optimizer import build_optimizer
from fullclip.train.parallel import wrap
from fullclip.train.step import Step

ALONE, CPU = World.single(), torch.device("cpu")


def make_batch(n: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.zeros(n, 32, dtype=torch.long)
    tokens[:, 0] = 49406
    tokens[:, 1:4] = torch.randint(1, 400, (n, 3), generator=generator)
    tokens[:, 4] = 49407
    return Batch(images=torch.randn(n, 3, 32, 32, generator=generator), tokens=tokens, keys=tuple(str(i) for i in range(n)))


def make_step(*, train: TrainConfig, optim: OptimConfig, scale: float | None = None) -> Step:
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    if scale is not None:
        model.logit_scale.data.fill_(math.log(scale))
    return Step(
        model=wrap(model.train(), train, world=ALONE, device=CPU),
        optimizer=build_optimizer(model, optim),
        loss=lambda features: losses.softmax(features, ALONE),
        guard=Guard(GuardConfig(), CPU),
        average=None,
        teacher=None,
        train=train,
        optim=optim,
        preprocess=PreprocessConfig(size=32),
    )


def stepped(*, bfloat16: bool = False, steps: int = 1, scale: float | None = None, clip_norm: float | None = None):
    train = TrainConfig(steps=1, batch_size=6, precision="bfloat16" if bfloat16 else "float32")
    optim = OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6, clip_norm=clip_norm)
    step = make_step(train=train, optim=optim, scale=scale)
    return step.model.clip, [step(make_batch(), number=number, rate=1e-3) for number in range(steps)]


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


def test_a_clipped_gradient_has_the_norm_it_may_have():
    """AdamW's first moment after one step is (1 - beta1) times the gradient it was given."""
    _, [outcome] = stepped()
    assert float(outcome.gradient_norm) > 0.2
    model, [clipped] = stepped(clip_norm=0.1)
    assert float(clipped.gradient_norm) == pytest.approx(float(outcome.gradient_norm))
    squares = sum((parameter.grad.double() ** 2).sum() for parameter in model.parameters())
    assert math.sqrt(squares) == pytest.approx(0.1, rel=1e-4)


def test_bytes_are_normalised_in_the_step():
    preprocess, batch = PreprocessConfig(size=32), make_batch()
    levels = torch.randint(0, 256, batch.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    found = []
    for images in (levels, normalize(levels, preprocess.mean, preprocess.std)):
        step = make_step(
            train=TrainConfig(steps=1, batch_size=6, precision="float32"),
            optim=OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6),
        )
        found.append((step(replace(batch, images=images), number=0, rate=1e-3).loss, step.model.clip.state_dict()))
    assert torch.equal(found[0][0], found[1][0])
    for name, value in found[0][1].items():
        assert torch.equal(value, found[1][1][name])


def test_padding_changes_neither_loss_nor_gradients():
    """Trimmed to the longest text, or padded to the whole context with any token."""
    train = TrainConfig(steps=1, batch_size=6, precision="float64")
    optim = OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6)
    found = []
    for padding in (0, 123):
        step = make_step(train=train, optim=optim)
        step.model.clip.double()
        batch = make_batch()
        batch.tokens[:, 5:] = padding
        found.append((float(step(batch, number=0, rate=1e-3).loss), dict(step.model.clip.named_parameters())))
    assert found[0][0] == found[1][0]
    for name in found[0][1]:
        assert torch.equal(found[0][1][name], found[1][1][name])


def test_a_compiled_step_is_near_the_plain_one():
    """In a process of its own: jaxtyping's checks are no code that can be compiled."""
    done = subprocess.run([sys.executable, "-c", _COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "going on without" in done.stderr:
        pytest.skip("no compiler here")
    plain, compiled = map(float, done.stdout.split())
    assert compiled == pytest.approx(plain, rel=1e-4)


_COMPILED = """
import sys
sys.path.insert(0, "tests/train")
from dataclasses import replace
from test_step import TrainConfig, OptimConfig, make_batch, make_step
for compile in (False, True):
    train = TrainConfig(steps=1, batch_size=6, precision="float32", compile=compile)
    step = make_step(train=train, optim=OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6))
    for number in range(3):
        outcome = step(make_batch(), number=number, rate=1e-3)
    print(float(outcome.loss))
"""
