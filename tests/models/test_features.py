"""Features in place of an image tower: a norm and a projection, and what such a model cannot do."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import peers
from fullclip.models.checkpoint import Checkpoint, CheckpointError
from fullclip.models.clip import Clip, build, cast_matrices, initialize
from fullclip.models.config import ClipConfig, FeaturesConfig, TextConfig
from fullclip.models.flops import image_flops
from fullclip.models.resolution import change_resolution
from fullclip.models.weights import read_checkpoint, to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig

TEXT = TextConfig(context_length=8, vocab_size=50, width=16, layers=2, heads=2, mlp_width=16, end_id=49)
CONFIG = ClipConfig(embed=12, vision=FeaturesConfig(width=30), text=TEXT)


def made() -> Clip:
    model = build(CONFIG)
    initialize(model, torch.Generator().manual_seed(0))
    return peers.perturbed(model, seed=1)


def features(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 30, 1, 1, generator=torch.Generator().manual_seed(n))


def checkpoint() -> Checkpoint:
    return Checkpoint(config=CONFIG, state=made().state_dict(), preprocess=PreprocessConfig(size=1))


def test_a_norm_and_a_projection():
    model, given = made(), features()
    rows, visual = given[:, :, 0, 0], model.visual
    centred = rows - rows.mean(1, keepdim=True)
    normed = centred / (rows.var(1, correction=0, keepdim=True) + 1e-5).sqrt() * visual.ln_post.weight + visual.ln_post.bias
    torch.testing.assert_close(model.encode_image(given), normed @ visual.proj)
    torch.testing.assert_close(model.project_image(rows), normed @ visual.proj)
    assert torch.equal(model.image_features(given), rows)
    assert model.image_width == 30
    both = model(given, peers.texts(4, context_length=8, vocab_size=50))
    torch.testing.assert_close(both.image, F.normalize(normed @ visual.proj, dim=1))


def test_gradients_reach_norm_and_projection():
    model = made().train()
    model.encode_image(features()).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.visual.parameters())


def test_the_projection_is_drawn_as_wide_as_it_is():
    model = build(ClipConfig(embed=300, vision=FeaturesConfig(width=400), text=TEXT))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    initialize(model, torch.Generator().manual_seed(0))
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert model.visual.proj.std().item() == pytest.approx(400**-0.5, rel=0.02)
    assert (model.visual.ln_post.weight == 1).all()


@pytest.mark.parametrize("shape", [(29, 1, 1), (3, 1, 1), (30, 1, 2), (30, 2, 1)])
def test_other_images_are_refused(shape):
    message = f"images of \\[{', '.join(map(str, shape))}\\]: this model takes features of 30 numbers"
    with peers.unchecked(), pytest.raises(ValueError, match=message):
        made().encode_image(torch.zeros(2, *shape))


def test_features_are_one_pixel():
    with pytest.raises(ValueError, match="image_size is 2: features are an image of 1 pixel"):
        FeaturesConfig(width=30, image_size=2)
    with pytest.raises(ValueError, match="width is 0: at least 1"):
        FeaturesConfig(width=0)


def test_there_is_no_tower_to_checkpoint():
    model = made()
    with pytest.raises(ValueError, match=r"no image tower to checkpoint: set train\.checkpoint_image_tower=false"):
        model.checkpoint_towers(image=True, text=False)
    model.checkpoint_towers(image=False, text=True)
    assert model.text.transformer.checkpointing


def test_there_is_no_resolution_to_change():
    with pytest.raises(ValueError, match="features of images, which have no size: give the model that they come from"):
        change_resolution(checkpoint(), 32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cast_matrices(dtype):
    model, given = made(), features()
    exact = model.encode_image(given)
    cast_matrices(model, dtype)
    assert (model.visual.proj.dtype, model.visual.ln_post.weight.dtype) == (dtype, torch.float32)
    found = model.encode_image(given)
    assert found.dtype == dtype
    assert F.cosine_similarity(found.float(), exact).min() > 0.995


def test_operations_are_the_projection_s():
    assert image_flops(CONFIG) == image_flops(CONFIG, training=True) == 2 * 30 * 12


def test_a_folder_brings_it_back_to_the_bit(tmp_path):
    written = checkpoint()
    write_checkpoint(written, tmp_path / "m", tokenizer=None)
    read = read_checkpoint(tmp_path / "m")
    assert read.config == CONFIG
    assert all(torch.equal(read.state[name], tensor) for name, tensor in written.state.items())
    assert torch.equal(to_module(read).encode_image(features()), to_module(written).encode_image(features()))


@pytest.mark.parametrize("form", ["openclip", "hf"])
def test_other_formats_have_no_word_for_it(tmp_path, form):
    gelu = replace(checkpoint(), config=replace(CONFIG, text=replace(TEXT, activation="gelu")))
    with pytest.raises(CheckpointError, match=r"has no .*features.*; write --format fullclip instead"):
        write_checkpoint(gelu, tmp_path / "m", tokenizer=None, form=form)
    assert list(tmp_path.iterdir()) == []
