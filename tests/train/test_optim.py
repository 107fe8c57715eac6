"""The optimizer's groups and schedule against their formulas."""

import math

import pytest

from fullclip.models.clip import build
from fullclip.models.config import PRESETS
from fullclip.train.config import OptimConfig
from fullclip.train.optim import build_optimizer, learning_rate

CONFIG = OptimConfig(learning_rate=0.01, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=10)


def test_only_matrices_are_decayed():
    model = build(PRESETS["tiny"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, kept = build_optimizer(model, CONFIG).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.2, 0.0)
    assert {names[id(p)].rsplit(".")[-1] for p in kept["params"]} >= {"bias", "logit_scale", "class_embedding", "in_proj_bias"}
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


@pytest.mark.parametrize("step", [0, 4, 9])
def test_warm_up_is_linear(step):
    assert learning_rate(CONFIG, step=step, progress=0.0) == pytest.approx(0.01 * (step + 1) / 10)


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 1.0])
def test_then_a_half_cosine(progress):
    assert learning_rate(CONFIG, step=10, progress=progress) == pytest.approx(0.01 * math.cos(math.pi * progress / 2) ** 2)


def test_past_the_end_it_stays_at_zero():
    assert learning_rate(CONFIG, step=99, progress=1.7) == pytest.approx(0.0)
