"""Patches left out in training: how many, which, and that only training does it."""

import json
from dataclasses import replace

import pytest
import torch

from fullclip.core.config import from_dict, to_dict
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, TextConfig, VitConfig
from fullclip.models.openclip import config_from_openclip, config_to_openclip
from fullclip.models.vit import VisionTransformer, drop_patches, kept_patches

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=1, heads=4, mlp_width=64, end_id=49)
VIT = VitConfig(image_size=32, patch_size=8, width=48, layers=2, heads=3, mlp_width=192, patch_dropout=0.5)


def tower(config: VitConfig = VIT) -> VisionTransformer:
    model = build(ClipConfig(embed=24, vision=config, text=TEXT)).double()
    initialize(model, torch.Generator().manual_seed(0))
    return model.visual


def pictures(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize(("share", "kept"), [(0.25, 12), (0.5, 8), (0.75, 4), (0.9, 1), (0.99, 1), (0.0, 16)])
def test_the_number_of_kept_patches(share, kept):
    assert kept_patches(16, share) == kept
    x = torch.arange(17.0).expand(5, 17)[..., None]
    found = drop_patches(x, share)
    assert found.shape == (5, 1 + kept, 1)
    assert (found[:, 0] == 0).all()
    for row in found[:, 1:, 0].tolist():
        assert len(set(row)) == kept
        assert 0 not in row


def test_each_image_has_its_own_subset_and_all_patches_are_as_likely():
    torch.manual_seed(0)
    n = 4000
    found = drop_patches(torch.arange(17.0).expand(n, 17)[..., None], 0.5)[:, 1:, 0].long()
    assert len({tuple(sorted(row)) for row in found[:100].tolist()}) > 90
    counts = torch.bincount(found.flatten(), minlength=17)[1:]
    assert ((counts - n / 2).abs() < 5 * (n * 0.25) ** 0.5).all()  # five standard deviations of a binomial


def test_training_sees_the_patches_with_their_own_positions():
    """All patches but the chosen ones taken out by hand, at the place where the tower drops them."""
    visual, images = tower().train(), pictures()
    torch.manual_seed(7)
    found = visual(images)
    torch.manual_seed(7)
    chosen = torch.rand(3, 16).topk(8, dim=1).indices
    patches = visual.conv1(images).flatten(2).transpose(1, 2) + visual.positional_embedding[1:]
    rows = [
        torch.cat([visual.class_embedding[None] + visual.positional_embedding[:1], patches[i, chosen[i]]]) for i in range(3)
    ]
    x = visual.transformer(visual.ln_pre(torch.stack(rows)))[:, 0]
    assert torch.allclose(found, visual.ln_post(x) @ visual.proj, rtol=0, atol=1e-12)
    assert not torch.allclose(found, visual(images))


def test_evaluation_sees_all_patches():
    visual, images = tower().eval(), pictures()
    plain = tower(replace(VIT, patch_dropout=0.0))
    assert torch.equal(visual(images), plain.eval()(images))
    assert torch.equal(visual(images), plain.train()(images))


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_an_impossible_share(share):
    with pytest.raises(ValueError, match=f"patch_dropout is {share}: at least 0 and below 1"):
        replace(VIT, patch_dropout=share)


def test_configs_of_before():
    settings = to_dict(VIT)
    del settings["patch_dropout"]
    assert from_dict(VitConfig, json.loads(json.dumps(settings))) == replace(VIT, patch_dropout=0.0)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_openclip_has_the_same_word_for_it(share):
    text = replace(TEXT, mlp_width=128)
    config = ClipConfig(embed=24, vision=replace(VIT, patch_dropout=share), text=text)
    written = config_to_openclip(config)
    assert written["vision_cfg"].get("patch_dropout") == (share or None)
    assert config_from_openclip(json.loads(json.dumps(written))) == config
