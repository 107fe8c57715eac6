"""Every preset is built without memory, and its parameters counted against what the models are known to have."""

import dataclasses

import pytest
import torch

from fullclip.core.config import from_dict, to_dict
from fullclip.models.clip import build
from fullclip.models.config import PRESETS, ClipConfig, ResNetConfig, VitConfig
from fullclip.models.resnet import ModifiedResNet

# Millions of parameters: OpenCLIP's docs/model_profile.csv; heads: openai/CLIP's model.py, lines 258, 268 and 436.
MILLIONS = {
    "RN50": 102.0,
    "RN101": 119.7,
    "RN50x4": 178.3,
    "RN50x16": 291.0,
    "RN50x64": 623.3,
    "ViT-B-32": 151.3,
    "ViT-B-16": 149.6,
    "ViT-L-14": 427.6,
    "ViT-L-14-336": 427.9,
}
MILLIONS_BY_TOWER = {"RN50": (38.3, 63.7), "ViT-B-32": (87.9, 63.4), "ViT-L-14": (304.0, 123.7)}
HEADS = {
    "RN50": (32, 8),
    "RN101": (32, 8),
    "RN50x4": (40, 10),
    "RN50x16": (48, 12),
    "RN50x64": (64, 16),
    "ViT-B-32": (12, 8),
    "ViT-B-16": (12, 8),
    "ViT-L-14": (16, 12),
    "ViT-L-14-336": (16, 12),
}


def on_meta(config: ClipConfig):
    with torch.device("meta"):
        return build(config)


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize("name", MILLIONS)
def test_number_of_parameters(name):
    model = on_meta(PRESETS[name])
    assert millions(model) == pytest.approx(MILLIONS[name], abs=0.051)
    if name in MILLIONS_BY_TOWER:
        assert (millions(model.visual), millions(model.text)) == pytest.approx(MILLIONS_BY_TOWER[name], abs=0.051)


@pytest.mark.parametrize("name", HEADS)
def test_number_of_heads(name):
    model = on_meta(PRESETS[name])
    visual = model.visual
    image_heads = visual.attnpool.heads if isinstance(visual, ModifiedResNet) else visual.transformer.resblocks[0].attn.heads
    assert (image_heads, model.text.transformer.resblocks[0].attn.heads) == HEADS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert from_dict(ClipConfig, to_dict(PRESETS[name])) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_features_of_presets_have_the_embedding_width(name):
    config = PRESETS[name]
    model = on_meta(config)
    size = config.vision.image_size
    images = torch.empty(2, 3, size, size, device="meta")
    assert model.encode_image(images).shape == (2, config.embed)


def test_small_fits_into_32_megabytes_of_half_precision():
    assert 2 * millions(on_meta(PRESETS["small"])) <= 32


THIN = VitConfig(image_size=32, patch_size=8, width=64, layers=1, heads=1, mlp_width=64)
SHORT = ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=8, heads=4)
WRONG = {
    "patches": ({"vision": dataclasses.replace(THIN, image_size=33)}, "33 is not a multiple"),
    "vit heads": ({"vision": dataclasses.replace(THIN, heads=5)}, "64 cannot be split into 5"),
    "stages": ({"vision": dataclasses.replace(SHORT, blocks=(1, 1, 1))}, "four stages"),
    "resnet size": ({"vision": dataclasses.replace(SHORT, image_size=72)}, "72 is not a multiple of 32"),
    "end": ({"text": dataclasses.replace(PRESETS["tiny"].text, end_id=49408)}, "end_id 49408 is outside"),
}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_shapes(name):
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        on_meta(dataclasses.replace(PRESETS["tiny"], **change))
