"""Networks that learned from ImageNet's labels alone, better and worse ones, for `fullclip evaluate --features`: the line of
the CLIP paper's Figure 13 goes through their probes.

They are EfficientNet-Lite0 (`examples/supervised_peer.py`) on smaller pictures, and what it has after its first blocks.
"""

import sys
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from fullclip.preprocess.image import PreprocessConfig

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from supervised_peer import efficientnet_lite0

Peer = tuple[nn.Module, PreprocessConfig]


class FirstBlocks(nn.Module):
    """The network up to its first `count` blocks: a map [batch, channels, rows, columns]."""

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.Sequential(*network._blocks[:count])

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.blocks(self.stem(images))
        return found


def lite0_96() -> Peer:
    return _smaller(96)


def lite0_64() -> Peer:
    return _smaller(64)


def lite0_48() -> Peer:
    return _smaller(48)


def lite0_96_blocks_11() -> Peer:
    return _first(11, side=96)


def lite0_96_blocks_5() -> Peer:
    return _first(5, side=96)


def _smaller(side: int) -> Peer:
    network, preprocess = efficientnet_lite0()
    return network, replace(preprocess, size=side)


def _first(count: int, *, side: int) -> Peer:
    whole, preprocess = _smaller(side)
    return FirstBlocks(whole.network, count), preprocess
