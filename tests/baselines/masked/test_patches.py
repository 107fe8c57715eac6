"""Masked patches: colours against a loop over pixels, shares of what is drawn within their chances, the tower as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.stats import binom

from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import image_tower
from fullclip.baselines.masked.patches import (
    NUM_COLOURS,
    MaskedPatches,
    corrupt,
    drawn,
    encoded,
    mean_colours,
)
from fullclip.models.config import VitConfig
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.levels import normalize

VIT = VitConfig(image_size=16, patch_size=4, width=16, layers=2, heads=2, mlp_width=32)
SETTINGS = Settings(vision=VIT, embed=8)
CPU = torch.device("cpu")


def built(**more):
    way = MaskedPatches(image_tower(SETTINGS, seed=0), **more)
    way.initialize(torch.Generator().manual_seed(0))
    return way.double()


def pictures(number):
    return torch.rand(number, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


def naive_colours(pixels, patch):
    """Loops over patches and pixels of [3, height, width]."""
    found = []
    for top in range(0, pixels.shape[1], patch):
        for left in range(0, pixels.shape[2], patch):
            number = 0
            for colour in range(3):
                total = sum(pixels[colour, top + down, left + across] for down in range(patch) for across in range(patch))
                number = 8 * number + min(int(total / patch**2 * 8), 7)
            found.append(number)
    return found


@given(seed=st.integers(0, 1000), patch=st.sampled_from([1, 2, 4]), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_colours_are_those_of_a_loop_over_pixels(seed, patch, rows, columns):
    pixels = torch.rand(2, 3, rows * patch, columns * patch, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert mean_colours(pixels, patch).tolist() == [naive_colours(image.numpy(), patch) for image in pixels]


def test_black_white_and_pure_colours():
    corners = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    assert mean_colours(corners[:, :, None, None], 1).flatten().tolist() == [0, 511, 7 * 64, 7 * 8, 7]


def test_colours_are_those_of_the_picture_before_it_was_normalised():
    levels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    config = PreprocessConfig(size=16, mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 0.4))
    images = normalize(torch.from_numpy(levels).permute(2, 0, 1), config.mean, config.std)[None].double()
    found = mean_colours(built(mean=config.mean, std=config.std).pixels(images), 4)
    assert found.tolist() == [naive_colours(levels.transpose(2, 0, 1) / 255, 4)]


@given(patches=st.integers(1, 60), share=st.floats(0.01, 0.99), seed=st.integers(0, 100))
def test_of_every_picture_the_same_number_of_patches_is_drawn(patches, share, seed):
    torch.manual_seed(seed)
    chosen = drawn(5, patches, share, device=CPU)
    assert (chosen.sum(dim=1) == max(1, round(share * patches))).all()


def test_every_patch_is_drawn_as_often_as_any_other():
    torch.manual_seed(0)
    times = drawn(4000, 16, 0.5, device=CPU).sum(dim=0)
    low, high = binom.interval(1 - 1e-6, 4000, 0.5)
    assert ((times >= low) & (times <= high)).all()


def test_the_three_fates_come_as_often_as_they_should():
    torch.manual_seed(0)
    patches = torch.arange(1.0, 8001.0).view(500, 16, 1)
    chosen = drawn(500, 16, 0.5, device=CPU)
    found = corrupt(patches, chosen, torch.zeros(1))
    assert torch.equal(found[~chosen], patches[~chosen])
    masked, stays = (found == 0)[..., 0], (found == patches)[..., 0]
    swapped = chosen & ~masked & ~stays
    for fate, share in ((masked, 0.8), (swapped, 0.1), (chosen & stays, 0.1)):
        low, high = binom.interval(1 - 1e-6, 4000, share)
        assert low <= int((fate & chosen).sum()) <= high
    assert torch.isin(found[swapped], patches).all()
    assert len(found[swapped].unique()) > 0.9 * int(swapped.sum())  # from everywhere


def test_a_lone_patch_has_no_other_to_be_swapped_with():
    patches = torch.full((1, 1, 3), 5.0)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        seen.add(corrupt(patches, torch.ones(1, 1, dtype=torch.bool), torch.zeros(3)).sum().item())
    assert seen == {0.0, 15.0}


def test_patches_that_are_not_corrupted_give_what_the_tower_gives():
    way, images = built(), pictures(3)
    tokens = encoded(way.tower, *way.tower.embedded_patches(images))
    torch.testing.assert_close(tokens[:, 0], way.tower.before_projection(images), rtol=0, atol=0)
    assert tokens.shape == (3, 17, 16)


def test_the_loss_is_the_cross_entropy_of_the_corrupted_patches_colours():
    way, images = built(), pictures(2)
    torch.nn.init.normal_(way.head.weight, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(7)
    loss = way.loss(images, ["", ""]).item()
    torch.manual_seed(7)
    patches, grid = way.tower.embedded_patches(images)
    chosen = drawn(2, 16, 0.5, device=CPU)
    spoilt = corrupt(patches, chosen, way.mask)
    scores = way.head(encoded(way.tower, spoilt, grid)[:, 1:])
    losses = []
    for row, image in enumerate(way.pixels(images)):
        for place, colour in enumerate(naive_colours(image.detach().numpy(), 4)):
            if chosen[row, place]:
                losses.append(-scores[row, place].log_softmax(dim=0)[colour].item())
    assert len(losses) == 16
    assert loss == pytest.approx(sum(losses) / 16)


def test_the_first_loss_is_that_of_guessing():
    assert built().loss(pictures(4), [""] * 4).item() == pytest.approx(np.log(NUM_COLOURS))


def test_gradients_reach_the_mask_and_the_tower_but_not_the_projection():
    way = built()
    torch.nn.init.normal_(way.head.weight, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    way.loss(pictures(4), [""] * 4).backward()
    without = {name for name, parameter in way.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert without == {"tower.proj"}


def test_a_single_picture_is_learned_by_heart():
    way, images = built().train(), pictures(1)
    optimizer = torch.optim.AdamW(way.parameters(), lr=1e-2)
    for step in range(150):
        torch.manual_seed(step)
        optimizer.zero_grad()
        way.loss(images, [""]).backward()
        optimizer.step()
    torch.manual_seed(1000)
    assert way.loss(images, [""]).item() < 1.0


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_spoils_none_or_all_is_refused(share):
    with pytest.raises(ValueError, match=r"the share of corrupted patches is .*: above 0 and below 1, such as 0\.5"):
        built(corrupted=share)


def test_a_resnet_has_no_patches_to_mask():
    with pytest.raises(ValueError, match="a ResNet has no patches to mask: a ViT is needed"):
        MaskedPatches(image_tower(Settings(), seed=0))


def test_a_tower_that_drops_patches_is_refused():
    settings = replace(SETTINGS, vision=replace(SETTINGS.vision, patch_dropout=0.5))
    with pytest.raises(ValueError, match=r"patch_dropout is 0\.5: masked patches are told from all others; set it to 0"):
        MaskedPatches(image_tower(settings, seed=0))
