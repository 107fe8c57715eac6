"""Operations by formula against PyTorch's own count, and against OpenCLIP's published table."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ClipConfig, EfficientNetConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.models.flops import forward_flops, image_flops, text_flops

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=3, heads=4, mlp_width=80, end_id=49)
VIT = ClipConfig(embed=24, vision=VitConfig(image_size=32, patch_size=8, width=48, layers=2, heads=3, mlp_width=100), text=TEXT)
RESNET = ClipConfig(embed=40, vision=ResNetConfig(image_size=64, blocks=(1, 2, 3, 1), width=8, heads=4), text=TEXT)
LITE0 = ClipConfig(embed=40, vision=EfficientNetConfig(image_size=32), text=TEXT)
ODD = replace(LITE0, vision=EfficientNetConfig(image_size=45, stem=8))
DROPPED = replace(VIT, vision=replace(VIT.vision, patch_dropout=0.4))

# Billions of operations by tower (image, text): OpenCLIP's docs/model_profile.csv, two for each multiply-add.
BILLIONS = {
    "RN50": (12.22, 5.96),
    "RN101": (19.54, 5.96),
    "RN50x4": (42.56, 9.27),
    "RN50x16": (149.39, 13.3),
    "RN50x64": (529.11, 23.55),
    "ViT-B-32": (8.82, 5.96),
    "ViT-B-16": (35.13, 5.96),
    "ViT-L-14": (162.03, 13.3),
    "ViT-L-14-336": (381.92, 13.3),
}


def counted(config: ClipConfig, *, tokens: int, training: bool) -> tuple[int, int]:
    """(image, text) as PyTorch counts them while they are computed, for one pair. Attention as plain matrix products: the
    count knows the fused kernels of a GPU, not that of a CPU.
    """
    model = build(config).train(training)
    initialize(model, torch.Generator().manual_seed(0))
    images, texts = torch.randn(2, 3, config.vision.image_size, config.vision.image_size), torch.full((2, tokens), 3)
    texts[:, -1] = TEXT.end_id
    found = []
    for encode, given in ((model.encode_image, images), (model.encode_text, texts)):
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            encode(given)
        found.append(counter.get_total_flops() // 2)
    return found[0], found[1]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("config", [VIT, RESNET, LITE0, ODD, DROPPED], ids=["vit", "resnet", "lite0", "odd", "patch dropout"])
def test_pytorch_counts_the_same(config, training):
    assert (image_flops(config, training=training), text_flops(config)) == counted(config, tokens=12, training=training)
    assert forward_flops(config, training=training) == sum(counted(config, tokens=12, training=training))


def test_shorter_texts():
    assert text_flops(VIT, tokens=5) == counted(VIT, tokens=5, training=False)[1]
    assert forward_flops(VIT) - forward_flops(VIT, text_tokens=5) == text_flops(VIT) - text_flops(VIT, tokens=5)


@pytest.mark.parametrize("tokens", [0, 13])
def test_texts_that_do_not_fit(tokens):
    with pytest.raises(ValueError, match=f"texts of {tokens} tokens: this model's context holds 1 to 12"):
        text_flops(VIT, tokens=tokens)


@pytest.mark.parametrize("name", BILLIONS)
def test_the_published_table(name):
    """To its last digit. OpenCLIP's attention pooling computes the answer to every place's query and keeps the first;
    openai/CLIP and we ask once. The table has what is thrown away: query, scores, weighted sum and projection of each place.
    """
    config = PRESETS[name]
    image, text = image_flops(config), text_flops(config)
    if isinstance(config.vision, ResNetConfig):
        dim, places = 32 * config.vision.width, (config.vision.image_size // 32) ** 2
        image += places * (2 * dim * dim + 4 * (places + 1) * dim + 2 * dim * config.embed)
    assert (image / 1e9, text / 1e9) == pytest.approx(BILLIONS[name], abs=0.0051)
