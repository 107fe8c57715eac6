"""A checkpoint at another resolution is the same model, which interpolates its positions for such pictures by itself."""

from dataclasses import replace

import pytest
import torch

import peers
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.models.resolution import change_resolution
from fullclip.models.weights import read_checkpoint, to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from tiny import NARROW

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=1, heads=4, mlp_width=64, end_id=49)
VIT = ClipConfig(embed=24, vision=VitConfig(image_size=32, patch_size=8, width=48, layers=2, heads=3, mlp_width=96), text=TEXT)
RESNET = ClipConfig(embed=24, vision=ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=8, heads=4), text=TEXT)
LITE = ClipConfig(embed=24, vision=NARROW, text=TEXT)
kinds = pytest.mark.parametrize(("config", "unit"), [(VIT, 8), (RESNET, 32)], ids=["vit", "resnet"])


def checkpoint(config: ClipConfig) -> Checkpoint:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return Checkpoint(
        config=config,
        state=peers.perturbed(model, seed=1).state_dict(),
        preprocess=PreprocessConfig(size=config.vision.image_size, mean=(0.5, 0.5, 0.5)),
        provenance=Provenance(source="a test", note="random", sha256="00"),
    )


@kinds
@pytest.mark.parametrize("units", [1, 3, 6])
def test_it_is_the_same_model(config, unit, units, tmp_path):
    before, size = checkpoint(config), unit * units
    after = change_resolution(before, size)
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))
    assert torch.equal(to_module(after).encode_image(images), to_module(before).encode_image(images))
    assert after.config == replace(config, vision=replace(config.vision, image_size=size))
    assert after.preprocess == replace(before.preprocess, size=size)
    assert after.provenance.note == f"random; positions interpolated from {config.vision.image_size} to {size} pixels"
    assert after.provenance.sha256 == ""
    write_checkpoint(after, tmp_path / "m", tokenizer=None)
    assert to_module(read_checkpoint(tmp_path / "m")).encode_text(torch.tensor([[3, 49]])).shape == (1, 24)


@kinds
def test_nothing_else_changes(config, unit):
    before = checkpoint(config)
    after = change_resolution(before, 4 * unit + unit)
    changed = [name for name in before.state if not torch.equal(before.state[name], after.state[name])]
    assert [name.rsplit(".", 1)[1] for name in changed] == ["positional_embedding"]
    assert before.config == config


@kinds
def test_the_same_size_is_the_same_checkpoint(config, unit):
    before = checkpoint(config)
    assert change_resolution(before, config.vision.image_size) is before


@kinds
@pytest.mark.parametrize("off", [1, -1])
def test_impossible_sizes(config, unit, off):
    for size in (5 * unit + off, 0, -unit):
        with pytest.raises(ValueError, match=f"images of {size} pixels a side: this model takes multiples of {unit}"):
            change_resolution(checkpoint(config), size)


@pytest.mark.parametrize("size", [1, 31, 48])
def test_an_efficientnet_takes_any_size_and_keeps_its_weights(size):
    before = checkpoint(LITE)
    after = change_resolution(before, size)
    assert all(torch.equal(after.state[name], before.state[name]) for name in before.state)
    assert (after.config.vision, after.preprocess.size) == (replace(NARROW, image_size=size), size)
    assert after.provenance.note == f"random; from 32 to {size} pixels"
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))
    assert torch.equal(to_module(after).encode_image(images), to_module(before).encode_image(images))
    with pytest.raises(ValueError, match="images of 0 pixels a side: this model takes multiples of 1"):
        change_resolution(before, 0)


def test_half_precision_stays_so():
    before = checkpoint(VIT)
    half = replace(before, state={name: tensor.half() for name, tensor in before.state.items()})
    assert change_resolution(half, 40).state["visual.positional_embedding"].dtype == torch.float16
