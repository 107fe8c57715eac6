"""What the two towers promise: causality, the end of a text, other image sizes, checkpointing, half precision."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fullclip.models.clip import Clip, build, cast_matrices, initialize
from fullclip.models.config import ClipConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.models.positions import positions_for
from tiny import NARROW

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=2, heads=4, mlp_width=64, end_id=49)
VIT = ClipConfig(embed=24, vision=VitConfig(image_size=32, patch_size=8, width=48, layers=2, heads=3, mlp_width=96), text=TEXT)
RESNET = ClipConfig(embed=24, vision=ResNetConfig(image_size=64, blocks=(1, 2, 1, 1), width=8, heads=4), text=TEXT)
LITE = ClipConfig(embed=24, vision=NARROW, text=TEXT)
END = TEXT.end_id


def made(config: ClipConfig, seed: int = 0) -> Clip:
    """A model in which nothing is at a special value any more."""
    model, generator = build(config), torch.Generator().manual_seed(seed)
    initialize(model, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def pictures(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(n + height))


def texts(n: int = 6, context: int = 12) -> torch.Tensor:
    """Random texts of random lengths, zero after their end."""
    generator = torch.Generator().manual_seed(n)
    tokens = torch.randint(1, END, (n, context), generator=generator)
    ends = torch.randint(1, context, (n,), generator=generator)
    positions = torch.arange(context)
    return torch.where(positions < ends[:, None], tokens, torch.where(positions == ends[:, None], END, 0))


def test_what_follows_the_end_changes_nothing():
    model, tokens = made(VIT), texts()
    after = (tokens == END).int().cumsum(dim=1) - (tokens == END).int() > 0
    assert after.any()
    for filling in (1, 7, END):
        changed = torch.where(after, filling, tokens)
        assert torch.allclose(model.encode_text(changed), model.encode_text(tokens), atol=1e-6)


def test_what_precedes_the_end_changes_the_features():
    model, tokens = made(VIT), texts()
    changed = tokens.clone()
    changed[:, 0] = (changed[:, 0] + 1) % END
    assert ((model.encode_text(changed) - model.encode_text(tokens)).abs().amax(dim=1) > 1e-3).all()


def test_rows_may_be_cut_after_the_last_end():
    model, tokens = made(VIT), texts()[:, :]
    longest = int((tokens == END).int().argmax(dim=1).max()) + 1
    padded = F.pad(tokens[:, :longest], (0, TEXT.context_length - longest))
    assert torch.allclose(model.encode_text(tokens[:, :longest]), model.encode_text(padded), atol=1e-6)


def test_texts_are_independent_of_their_batch():
    model, tokens = made(VIT), texts()
    alone = torch.cat([model.encode_text(row[None]) for row in tokens])
    assert torch.allclose(model.encode_text(tokens), alone, atol=1e-6)


def test_a_text_without_an_end():
    tokens = texts()
    tokens[3] = 5
    with pytest.raises(ValueError, match="text 3 has no end-of-text token \\(49\\)"):
        made(VIT).encode_text(tokens)


def test_a_text_over_the_context():
    with pytest.raises(ValueError, match="13 tokens: this model's context holds 12"):
        made(VIT).encode_text(torch.full((1, 13), END))


@pytest.mark.parametrize("config", [VIT, RESNET, LITE], ids=["vit", "resnet", "efficientnet"])
def test_features_are_normalised_and_scaled(config):
    model, size = made(config), config.vision.image_size
    images, tokens = pictures(3, size, size), texts(3)
    features = model(images, tokens)
    image, text = model.encode_image(images), model.encode_text(tokens)
    assert torch.allclose(features.image, image / image.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(features.text, text / text.norm(dim=1, keepdim=True), atol=1e-6)
    assert features.scale.item() == pytest.approx(math.exp(model.logit_scale.item()), rel=1e-6)
    assert features.bias is None


def gradients(model: Clip, images: torch.Tensor, tokens: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    features = model(images, tokens)
    loss = F.cross_entropy(features.scale * features.image @ features.text.T, torch.arange(len(images)))
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("config", [VIT, RESNET, LITE], ids=["vit", "resnet", "efficientnet"])
def test_checkpointing_changes_memory_only(config):
    size = config.vision.image_size
    images, tokens = pictures(4, size, size), texts(4)
    plain, saving = made(config).train(), made(config).train()
    saving.checkpoint_towers(image=True, text=True)
    loss, expected = gradients(plain, images, tokens)
    other_loss, found = gradients(saving, images, tokens)
    assert other_loss == loss
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-7), name
    for name, buffer in plain.named_buffers():
        assert torch.equal(dict(saving.named_buffers())[name], buffer), name


@pytest.mark.parametrize("config", [VIT, RESNET, LITE], ids=["vit", "resnet", "efficientnet"])
def test_checkpointing_computes_blocks_twice(config):
    """Or else the test above would compare a thing with itself."""
    model, size = made(config).train(), config.vision.image_size
    blocks = {VIT: "transformer.resblocks.0", RESNET: "layer1.0", LITE: "stages.1.1"}
    block = model.visual.get_submodule(blocks[config])
    calls = []
    block.register_forward_pre_hook(lambda *_: calls.append(1))  # the second time stops early
    for checkpointed, expected in ((False, 1), (True, 2)):
        calls.clear()
        model.checkpoint_towers(image=checkpointed, text=False)
        gradients(model, pictures(2, size, size), texts(2))
        assert len(calls) == expected


@pytest.mark.parametrize(("config", "name", "share"), [(RESNET, "layer2.0.bn2", 0.1), (LITE, "stages.1.0.bn1", 0.01)])
def test_running_statistics_move_once_by_the_formula(config, name, share):
    model = made(config).train()
    model.checkpoint_towers(image=True, text=True)
    norm = model.visual.get_submodule(name)
    norm.reset_running_stats()
    inputs = []
    norm.register_forward_hook(lambda _, args, __: inputs.append(args[0].detach()))
    gradients(model, pictures(4, 64, 64), texts(4))
    assert norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, share * inputs[0].mean(dim=(0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var, 1 - share + share * inputs[0].var(dim=(0, 2, 3)), atol=1e-6)
    assert norm.momentum == share


def test_positions_of_the_learned_grid_are_untouched():
    positions = torch.randn(17, 5)
    assert positions_for(positions, (4, 4), 4) is positions


def test_positions_are_interpolated_row_by_row():
    """Rows and columns keep their meaning: a slope along one axis stays a slope along that axis."""
    rows = torch.arange(4.0).repeat_interleave(4)
    columns = torch.arange(4.0).repeat(4)
    learned = torch.cat([torch.full((1, 2), 9.0), torch.stack([rows, columns], dim=1)])
    found = positions_for(learned, (4, 8), 4)
    assert found.shape == (33, 2)
    assert found[0].tolist() == [9.0, 9.0]
    grid = found[1:].reshape(4, 8, 2)
    assert torch.allclose(grid[..., 0], torch.arange(4.0)[:, None].expand(4, 8), atol=1e-5)
    assert (grid[..., 1].diff(dim=1) > 0).all()
    assert torch.allclose(grid[0, :, 1], grid[3, :, 1], atol=1e-6)


def test_positions_of_half_precision_stay_so():
    assert positions_for(torch.randn(17, 6).half(), (3, 5), 4).dtype == torch.float16


@pytest.mark.parametrize(("config", "unit"), [(VIT, 8), (RESNET, 32), (LITE, 5)], ids=["vit", "resnet", "efficientnet"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 4), (7, 3), (2, 6)])
def test_other_image_sizes(config, unit, shape):
    images = pictures(2, shape[0] * unit, shape[1] * unit)
    features = made(config).encode_image(images)
    assert features.shape == (2, 24)
    assert torch.isfinite(features).all()
    assert not torch.allclose(features, made(config).encode_image(images.transpose(2, 3))) or shape == (1, 1)


@pytest.mark.parametrize(
    ("config", "message"), [(VIT, "whole patches of 8"), (RESNET, "a multiple of 32 is needed")], ids=["vit", "resnet"]
)
def test_images_of_broken_patches(config, message):
    with pytest.raises(ValueError, match=message):
        made(config).encode_image(pictures(1, 36, 64))


@pytest.mark.parametrize(("given", "kept"), [(-1.0, 0.0), (2.0, 2.0), (9.0, math.log(100))])
def test_clip_scale(given, kept):
    model = made(VIT)
    with torch.no_grad():
        model.logit_scale.fill_(given)
    model.clip_scale()
    assert model.logit_scale.item() == pytest.approx(kept)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("config", [VIT, RESNET, LITE], ids=["vit", "resnet", "efficientnet"])
def test_cast_matrices(config, dtype):
    """As openai/CLIP's convert_weights: convolutions, linear layers, attention, projections; nothing else."""
    model, size = made(config), config.vision.image_size
    images, tokens = pictures(3, size, size), texts(3)
    exact = model.encode_image(images), model.encode_text(tokens)
    cast_matrices(model, dtype)
    half = {name for name, tensor in model.state_dict().items() if tensor.dtype == dtype}
    norms = {id(p) for m in model.modules() if isinstance(m, (nn.LayerNorm, nn.BatchNorm2d)) for p in m.parameters()}
    for name, parameter in model.named_parameters():
        kept = id(parameter) in norms or name.endswith(("embedding", "embedding.weight", "logit_scale"))
        assert (name in half) != kept, name
    for found, expected in zip((model.encode_image(images), model.encode_text(tokens)), exact, strict=True):
        assert found.dtype == dtype
        assert F.cosine_similarity(found.float(), expected).min() > 0.995


def test_gradients_reach_every_weight():
    for config in (VIT, RESNET, LITE):
        size = config.vision.image_size
        _, found = gradients(made(config).train(), pictures(4, size, size), texts(4))
        assert all(gradient.abs().max() > 0 for gradient in found.values())
