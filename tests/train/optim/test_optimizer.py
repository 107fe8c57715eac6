"""The optimizer's groups and schedule against their formulas."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ClipConfig, FeaturesConfig, ResNetConfig
from fullclip.train.config import OptimConfig
from fullclip.train.optim.half_adamw import HalfAdamW
from fullclip.train.optim.lock import lock
from fullclip.train.optim.optimizer import build_optimizer, learning_rate, step_unless
from tiny import NARROW

CONFIG = OptimConfig(learning_rate=0.01, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=10)
TINY = replace(PRESETS["tiny"], text=replace(PRESETS["tiny"].text, vocab_size=50, end_id=49))
RESNET = ClipConfig(embed=24, vision=ResNetConfig(image_size=64, blocks=(1, 2, 1, 1), width=8, heads=4), text=TINY.text)
LITE = ClipConfig(embed=24, vision=NARROW, text=TINY.text)
FEATURES = ClipConfig(embed=24, vision=FeaturesConfig(width=40), text=TINY.text)


def test_only_matrices_are_decayed():
    model = build(PRESETS["tiny"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, kept = build_optimizer(model, CONFIG).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.2, 0.0)
    assert {names[id(p)].rsplit(".")[-1] for p in kept["params"]} >= {"bias", "logit_scale", "class_embedding", "in_proj_bias"}
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def scales(config: ClipConfig, decay: float) -> dict[str, float]:
    model = build(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(model, replace(CONFIG, layer_decay=decay)).param_groups
    assert all(group["weight_decay"] == (0.2 if p.ndim >= 2 else 0.0) for group in groups for p in group["params"])
    found = [(names[id(p)], group["scale"]) for group in groups for p in group["params"]]
    assert sorted(name for name, _ in found) == sorted(names.values())
    return dict(found)


@pytest.mark.parametrize("config", [TINY, RESNET, LITE, FEATURES], ids=["vit", "resnet", "efficientnet", "features"])
def test_without_layer_decay_all_rates_are_alike(config):
    assert set(scales(config, 1.0).values()) == {1.0}


def test_rates_fall_towards_the_input_of_a_transformer():
    found = scales(replace(TINY, vision=replace(TINY.vision, layers=3), logit_bias=-10.0), 0.5)
    expected = {"logit_scale": 1, "logit_bias": 1, "visual.proj": 1, "visual.ln_post.weight": 1, "text.text_projection": 1}
    expected |= {"text.ln_final.bias": 1, "visual.transformer.resblocks.2.mlp.c_fc.weight": 1 / 2}
    expected |= {"visual.transformer.resblocks.0.attn.in_proj_bias": 1 / 8, "visual.conv1.weight": 1 / 16}
    expected |= {"visual.positional_embedding": 1 / 16, "visual.class_embedding": 1 / 16, "visual.ln_pre.weight": 1 / 16}
    expected |= {"text.transformer.resblocks.1.ln_1.weight": 1 / 2, "text.transformer.resblocks.0.ln_2.bias": 1 / 4}
    expected |= {"text.token_embedding.weight": 1 / 8, "text.positional_embedding": 1 / 8}
    assert {name: found[name] for name in expected} == expected


def test_rates_fall_towards_the_input_of_a_resnet():
    found = scales(RESNET, 0.5)
    expected = {"visual.conv1.weight": 1 / 32, "visual.bn3.weight": 1 / 32, "visual.layer1.0.conv1.weight": 1 / 16}
    expected |= {"visual.layer2.1.bn2.bias": 1 / 8, "visual.layer4.0.downsample.0.weight": 1 / 2}
    expected |= {"visual.attnpool.positional_embedding": 1, "visual.attnpool.c_proj.weight": 1}
    assert {name: found[name] for name in expected} == expected


def test_rates_fall_towards_the_input_of_an_efficientnet_by_stages():
    found = scales(LITE, 0.5)
    expected = {"visual.conv1.weight": 1 / 16, "visual.bn1.weight": 1 / 16, "visual.stages.0.0.depthwise.weight": 1 / 8}
    expected |= {"visual.stages.1.0.expand.0.weight": 1 / 4, "visual.stages.1.1.bn2.bias": 1 / 4}
    expected |= {"visual.stages.2.1.project.weight": 1 / 2, "visual.stages.2.0.expand.1.weight": 1 / 2}
    expected |= {"visual.conv2.weight": 1, "visual.bn2.bias": 1, "visual.ln_post.weight": 1, "visual.proj": 1}
    assert {name: found[name] for name in expected} == expected


def test_features_have_no_blocks_below_them():
    found = scales(FEATURES, 0.5)
    assert {scale for name, scale in found.items() if name.startswith("visual.")} == {1}
    assert found["text.token_embedding.weight"] == 1 / 8


@pytest.mark.parametrize("which", ["image", "text"])
def test_locked_weights_are_left_out(which):
    model = build(TINY)
    config = replace(CONFIG, lock=which, layer_decay=0.5)
    with pytest.raises(AssertionError, match="lock first"):
        build_optimizer(model, config)
    lock(model, which)
    given = {id(p) for group in build_optimizer(model, config).param_groups for p in group["params"]}
    prefix = {"image": "visual.", "text": "text."}[which]
    assert given == {id(p) for name, p in model.named_parameters() if not name.startswith(prefix)}


def trained(moments: str, dtype: torch.dtype, *, warm: int):
    """A model and its optimizer after so many steps."""
    model = build(TINY)
    initialize(model, torch.Generator().manual_seed(0))
    model.to(dtype)
    optimizer = build_optimizer(model, replace(CONFIG, moments=moments, layer_decay=0.7))
    assert isinstance(optimizer, HalfAdamW if moments == "bfloat16" else torch.optim.AdamW)
    for step in range(warm):
        give_gradients(model, step)
        step_unless(optimizer, torch.tensor(0.0))
    return model, optimizer


def give_gradients(model: torch.nn.Module, seed: int, *, bad: float = 0.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype) + bad


def everything(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    states = [optimizer.state[parameter] for parameter in model.parameters()]
    return [*model.parameters(), *(state[name] for state in states for name in ("step", "exp_avg", "exp_avg_sq"))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_left_out_leaves_no_trace(moments, dtype, bad):
    model, optimizer = trained(moments, dtype, warm=2)
    before = [tensor.detach().clone() for tensor in everything(model, optimizer)]
    give_gradients(model, 9, bad=bad)
    step_unless(optimizer, torch.tensor(1.0, dtype=dtype))
    assert all(torch.equal(*pair) for pair in zip(everything(model, optimizer), before, strict=True))
    assert optimizer.found_inf is None
    give_gradients(model, 3)
    step_unless(optimizer, torch.tensor(0.0, dtype=dtype))
    assert all(state["step"] == 3 for state in optimizer.state.values())
    assert not any(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=False))


@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_the_first_step_may_be_left_out(moments):
    model, optimizer = trained(moments, torch.float32, warm=0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    give_gradients(model, 0, bad=math.nan)
    step_unless(optimizer, torch.tensor(1.0))
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))
    assert not any(tensor.any() for state in optimizer.state.values() for tensor in state.values())


@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_a_step_that_is_not_left_out_is_an_ordinary_one(moments):
    (model, optimizer), (other, plain) = (trained(moments, torch.float32, warm=2) for _ in range(2))
    give_gradients(model, 5)
    step_unless(optimizer, torch.tensor(0.0))
    give_gradients(other, 5)
    plain.step()
    for found, expected in zip(everything(model, optimizer), everything(other, plain), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_the_state_survives_to_the_bit(moments):
    model, optimizer = trained(moments, torch.float32, warm=3)
    state = copy.deepcopy(optimizer.state_dict())
    other, again = trained(moments, torch.float32, warm=0)
    other.load_state_dict(model.state_dict())
    again.load_state_dict(state)
    assert [group["scale"] for group in again.param_groups] == [group["scale"] for group in optimizer.param_groups]
    for module, stepped in ((model, optimizer), (other, again)):
        give_gradients(module, 7)
        step_unless(stepped, torch.tensor(0.0))
    for found, expected in zip(everything(other, again), everything(model, optimizer), strict=True):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


@pytest.mark.parametrize("step", [0, 4, 9])
def test_warm_up_is_linear(step):
    assert learning_rate(CONFIG, step=step, progress=0.0) == pytest.approx(0.01 * (step + 1) / 10)


@pytest.mark.parametrize("step", [10, 11, 25, 39])
def test_then_a_half_cosine_as_openclip_has_it(step):
    """0.5 (1 + cos(pi (step - warmup) / (steps - warmup))), in a run of 40 steps."""
    expected = 0.5 * (1 + math.cos(math.pi * (step - 10) / (40 - 10))) * 0.01
    assert learning_rate(CONFIG, step=step, progress=step / 40) == pytest.approx(expected)


def test_where_time_is_further_on_than_steps_the_cosine_follows_it():
    rates = [learning_rate(CONFIG, step=50, progress=progress) for progress in (0.5, 0.6, 0.9, 1.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_past_the_end_it_stays_at_zero():
    assert learning_rate(CONFIG, step=99, progress=1.7) == pytest.approx(0.0)
