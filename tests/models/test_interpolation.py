"""Between two checkpoints: the formula, its ends to the bit, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch

import peers
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.models.interpolation import interpolate
from fullclip.models.weights import to_module
from fullclip.preprocess.image import PreprocessConfig

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=1, heads=4, mlp_width=64, end_id=49)
VIT = ClipConfig(embed=24, vision=VitConfig(image_size=32, patch_size=8, width=48, layers=2, heads=3, mlp_width=96), text=TEXT)
RESNET = ClipConfig(embed=24, vision=ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=8, heads=4), text=TEXT)


def checkpoint(config: ClipConfig = RESNET, *, seed: int, dtype: torch.dtype = torch.float32) -> Checkpoint:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(seed))
    state = peers.perturbed(model, seed=seed).state_dict()
    return Checkpoint(
        config=config,
        state={name: tensor.to(dtype) if tensor.is_floating_point() else torch.tensor(seed) for name, tensor in state.items()},
        preprocess=PreprocessConfig(size=config.vision.image_size),
        provenance=Provenance(source=f"model {seed}", licence="MIT", sha256=f"0{seed}"),
    )


def test_every_weight_lies_between():
    a, b = checkpoint(seed=1), checkpoint(seed=2)
    mixed = interpolate(a, b, 0.25)
    assert mixed.state.keys() == b.state.keys()
    for name, tensor in mixed.state.items():
        expected = 0.75 * a.state[name] + 0.25 * b.state[name] if tensor.is_floating_point() else b.state[name]
        assert torch.equal(tensor, expected), name
    assert (mixed.config, mixed.preprocess) == (a.config, a.preprocess)
    scales = [math.exp(found.state["logit_scale"].item()) for found in (a, b, mixed)]
    assert scales[2] == pytest.approx(scales[0] ** 0.75 * scales[1] ** 0.25)
    to_module(mixed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_ends_are_the_models_themselves(dtype):
    a, b = checkpoint(seed=1, dtype=dtype), checkpoint(seed=2, dtype=dtype)
    for alpha, end in ((0.0, a), (1.0, b)):
        mixed = interpolate(a, b, alpha).state
        assert all(torch.equal(mixed[name], end.state[name]) for name in mixed if mixed[name].is_floating_point())
        assert all(mixed[name].dtype == end.state[name].dtype for name in mixed)


def test_half_precision_is_mixed_in_float32():
    a, b = (checkpoint(seed=seed, dtype=torch.float16) for seed in (1, 2))
    mixed = interpolate(a, b, 1 / 3).state
    for name, tensor in mixed.items():
        if tensor.is_floating_point():
            expected = (2 / 3 * a.state[name].float() + 1 / 3 * b.state[name].float()).half()
            assert torch.equal(tensor, expected), name
    wide = interpolate(a, checkpoint(seed=2), 0.5).state
    assert all(tensor.dtype == torch.float32 for tensor in wide.values() if tensor.is_floating_point())


def test_what_was_mixed_is_said():
    found = interpolate(checkpoint(seed=1), checkpoint(seed=2), 0.3).provenance
    assert found.note == "0.7 x model 1 (sha256 01) + 0.3 x model 2 (sha256 02)"
    assert (found.licence, found.sha256) == ("MIT", "")


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan, math.inf])
def test_shares_outside_of_0_to_1(alpha):
    with pytest.raises(ValueError, match=r"alpha is .*: from 0 "):
        interpolate(checkpoint(seed=1), checkpoint(seed=2), alpha)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (VIT, "model.vision.kind is resnet in the first, vit in the second"),
        (replace(RESNET, embed=40), "model.embed is 24 in the first, 40 in the second"),
        (replace(RESNET, text=replace(TEXT, heads=2)), "model.text.heads is 4 in the first, 2 in the second"),
        (replace(RESNET, text=replace(TEXT, activation="gelu")), "model.text.activation is quick_gelu in the first, gelu"),
        (replace(RESNET, logit_bias=-10.0), "the first has no logit_bias"),
    ],
)
def test_another_architecture(other, message):
    with pytest.raises(ValueError, match=message):
        interpolate(checkpoint(seed=1), checkpoint(other, seed=2), 0.5)


def test_another_preprocessing():
    a, b = checkpoint(seed=1), checkpoint(seed=2)
    with pytest.raises(ValueError, match=r"preprocess.mean is \[0.48.* in the second"):
        interpolate(a, replace(b, preprocess=replace(b.preprocess, mean=(0.5, 0.5, 0.5))), 0.5)


def test_weights_that_do_not_fit_each_other():
    a, b = checkpoint(seed=1), checkpoint(seed=2)
    with pytest.raises(ValueError, match=r"the second has no text\.ln_final\.bias"):
        interpolate(a, replace(b, state={k: v for k, v in b.state.items() if k != "text.ln_final.bias"}), 0.5)
    with pytest.raises(ValueError, match=r"logit_scale is \[\] in the first, \[1\] in the second"):
        interpolate(a, replace(b, state={**b.state, "logit_scale": torch.zeros(1)}), 0.5)


def test_what_makes_no_other_architecture():
    trained = replace(VIT, vision=replace(VIT.vision, patch_dropout=0.5))
    a, b = checkpoint(VIT, seed=1), checkpoint(trained, seed=2)
    b = replace(b, preprocess=replace(b.preprocess, rgb_first=True))
    assert interpolate(a, b, 0.5).config == VIT
    a, b = checkpoint(seed=1), checkpoint(seed=2)
    older = replace(a, state={name: tensor for name, tensor in a.state.items() if "num_batches" not in name})
    to_module(interpolate(older, b, 0.5))
