"""EfficientNet-Lite: padding against TensorFlow's rule, the tower against itself written out, counts against formulas.

Against another package's network: tests/runs/test_trunk.py.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import peers
from fullclip.inference import Encoder
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.config import ClipConfig, EfficientNetConfig, TextConfig
from fullclip.models.efficientnet import SamePadding
from fullclip.preprocess.image import PreprocessConfig, eval_transform

TEXT = TextConfig(context_length=8, vocab_size=50, width=16, layers=2, heads=2, mlp_width=16, end_id=49)
SMALL = EfficientNetConfig(
    image_size=32,
    stem=6,
    blocks=(1, 2, 2),
    channels=(4, 6, 8),
    kernels=(3, 5, 3),
    strides=(1, 2, 2),
    expansions=(1, 6, 2),
    width=20,
)
CONFIG = ClipConfig(embed=12, vision=SMALL, text=TEXT)


def made(config: ClipConfig = CONFIG) -> Clip:
    """A model in float64 in which nothing is at a special value."""
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return peers.perturbed(model, seed=1).double()


def padded(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """TensorFlow's documentation of padding="SAME", side by side: what is odd comes last."""
    for axis in (2, 3):
        rest = x.shape[axis] % stride
        total = max(kernel - (rest or stride), 0)
        shape = list(x.shape)
        before, after = ([*shape[:axis], number, *shape[axis + 1 :]] for number in (total // 2, total - total // 2))
        x = torch.cat([x.new_zeros(before), x, x.new_zeros(after)], dim=axis)
    return x


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_padding_is_tensorflows(kernel, stride):
    generator = torch.Generator().manual_seed(0)
    layer = SamePadding(4, 6, kernel, stride=stride, groups=2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    for height, width in ((1, 1), (1, 4), (2, 7), (5, 5), (6, 9), (8, 3)):
        x = torch.randn(2, 4, height, width, generator=generator, dtype=torch.float64)
        found = layer(x)
        assert found.shape[2:] == (-(-height // stride), -(-width // stride))
        torch.testing.assert_close(found, F.conv2d(padded(x, kernel, stride), layer.weight, stride=stride, groups=2))


def test_a_place_of_the_padding_by_hand():
    """A side of 4 in steps of 2 under a kernel of 3: nothing is added before, one zero behind."""
    layer = SamePadding(1, 1, 3, stride=2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0, 0], [1, 10, 100], [0, 0, 0]]))
    x = torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0], [5, 6, 7, 8]])
    assert layer(x[None, None]).squeeze().tolist() == [[321, 43], [765, 87]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (31, 33), (32, 32), (40, 9)])
def test_every_side_is_a_stride_th_rounded_up(height, width):
    tower, sides = made().visual, []
    for block in tower.blocks():
        block.register_forward_hook(lambda _, given, out: sides.append((given[0].shape[2:], out.shape[2:])))
    assert tower(torch.zeros(1, 3, height, width, dtype=torch.float64)).shape == (1, 12)
    assert len(sides) == sum(SMALL.blocks)
    assert sides[0][0] == (-(-height // 2), -(-width // 2))  # the stem's stride
    strides = [stride if block == 0 else 1 for blocks, _, _, stride, _ in SMALL.stages() for block in range(blocks)]
    for (given, out), stride in zip(sides, strides, strict=True):
        assert out == (-(-given[0] // stride), -(-given[1] // stride))


def written_out(tower: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The mean over places of the last convolution, from the weights' names alone; in training with the batch's statistics."""
    state = dict(tower.state_dict())

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        if tower.training:
            var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + 1e-3).sqrt() * weight + bias

    def convolved(x: torch.Tensor, name: str, *, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(padded(x, weight.shape[-1], stride), weight, stride=stride, groups=groups)

    def relu6(x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0, 6)

    x = relu6(norm(convolved(images, "conv1", stride=2), "bn1"))
    for stage, (blocks, _, _, stride, expansion) in enumerate(SMALL.stages()):
        for block in range(blocks):
            name, before = f"stages.{stage}.{block}", x
            if expansion > 1:
                x = relu6(norm(convolved(x, f"{name}.expand.0"), f"{name}.expand.1"))
            x = convolved(x, f"{name}.depthwise", stride=stride if block == 0 else 1, groups=x.shape[1])
            x = norm(convolved(relu6(norm(x, f"{name}.bn1")), f"{name}.project"), f"{name}.bn2")
            x = x + before if block > 0 else x  # no stage here begins with as many channels as it has
    return relu6(norm(convolved(x, "conv2"), "bn2")).flatten(2).mean(2)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (17, 30)])
def test_the_tower_is_what_its_names_say(height, width, training):
    model = made().train(training)
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = written_out(model.visual, images)
    torch.testing.assert_close(model.image_features(images), expected)
    normed = F.layer_norm(expected, (20,), model.visual.ln_post.weight, model.visual.ln_post.bias)
    torch.testing.assert_close(model.encode_image(images), normed @ model.visual.proj)
    torch.testing.assert_close(model.project_image(expected), normed @ model.visual.proj)
    assert model.image_width == 20


def test_what_comes_in_is_added_where_a_stage_begins_with_as_many_channels():
    config = EfficientNetConfig(
        image_size=8, stem=4, blocks=(1,), channels=(4,), kernels=(3,), strides=(1,), expansions=(1,), width=4
    )
    tower = made(ClipConfig(embed=3, vision=config, text=TEXT)).visual
    (block,) = tower.blocks()
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    block.project.weight.data.zero_()
    shift = block.bn2.bias - block.bn2.running_mean / (block.bn2.running_var + 1e-3).sqrt() * block.bn2.weight
    torch.testing.assert_close(block(x), x + shift[:, None, None])


def numbers(config: EfficientNetConfig) -> tuple[int, int]:
    """Weights of the network up to the mean over places, and its running means and variances."""
    weights, normed, inputs = 27 * config.stem, config.stem + config.width, config.stem
    for blocks, outputs, kernel, _, expansion in config.stages():
        for _ in range(blocks):
            inner = inputs * expansion
            weights += inner * kernel**2 + inner * outputs + (inputs * inner if expansion > 1 else 0)
            normed += inner + outputs + (inner if expansion > 1 else 0)
            inputs = outputs
    return weights + inputs * config.width + 2 * normed, 2 * normed


@pytest.mark.parametrize("config", [SMALL, EfficientNetConfig()], ids=["small", "Lite0"])
def test_the_number_of_weights(config):
    with torch.device("meta"):
        visual = build(ClipConfig(embed=12, vision=config, text=TEXT)).visual
    ours = 2 * config.width + config.width * 12  # the norm and the projection behind it
    buffers = [buffer.numel() for name, buffer in visual.named_buffers() if not name.endswith("num_batches_tracked")]
    assert (sum(p.numel() for p in visual.parameters()) - ours, sum(buffers)) == numbers(config)


def test_lite0_has_the_published_number_of_weights():
    """4,652,008 with its classifier of a thousand classes: sum(p.numel() for p in
    efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0").parameters()), version 0.1.0; TensorFlow's table of
    the Lite variants says 4.7 million.
    """
    assert numbers(EfficientNetConfig())[0] + 1280 * 1000 + 1000 == 4_652_008


@pytest.mark.parametrize("changed", ["channels", "kernels", "strides", "expansions"])
def test_stages_have_one_number_of_each_kind(changed):
    with pytest.raises(ValueError, match=r"blocks is \[1, 2, 2, 3, 3, 4, 1\]: channels, kernels, strides and expansions have"):
        EfficientNetConfig(**{changed: (1, 2)})
    with pytest.raises(ValueError, match=f"{changed} is .*: at least 1"):
        EfficientNetConfig(**{changed: (0,) * 7})


def test_no_stages_at_all():
    with pytest.raises(ValueError, match=r"blocks is \[\]: "):
        EfficientNetConfig(blocks=(), channels=(), kernels=(), strides=(), expansions=())


def test_an_encoder_looks_through_it():
    model = made().float().eval()
    encoder = Encoder(model, preprocess=PreprocessConfig(size=32), tokenizer=None, batch_size=2)
    pixels = [np.random.default_rng(i).integers(0, 256, (40 + i, 50, 3), dtype=np.uint8) for i in range(3)]
    prepared = torch.stack([eval_transform(encoder.preprocess)(Image.fromarray(one)) for one in pixels])
    with torch.no_grad():
        expected, features = F.normalize(model.encode_image(prepared), dim=-1), model.image_features(prepared)
    np.testing.assert_allclose(encoder.encode_images(pixels), expected, atol=1e-5)
    found, kept, errors = encoder.readable_image_features([*pixels, b"no picture"])
    assert (kept, len(errors)) == ([0, 1, 2], 1)
    np.testing.assert_allclose(found, features, atol=1e-5)
    np.testing.assert_allclose(encoder.project(found), encoder.encode_images(pixels), atol=1e-5)


def test_features_in_a_picture_s_place_are_refused_in_one_line():
    with peers.unchecked(), pytest.raises(ValueError, match="images of 5 channels: this model looks at pictures, not at feat"):
        made().encode_image(torch.zeros(2, 5, 1, 1, dtype=torch.float64))
