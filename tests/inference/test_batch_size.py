"""A batch is doubled as long as that is worth it, and no further than memory goes."""

import pytest
import torch

import tiny
from fullclip.inference.batch_size import by_trying, fastest


@pytest.mark.parametrize("busy_from", [32, 128, 1000, 10**6])
def test_it_stops_where_the_device_is_busy(busy_from):
    """Up to a size a batch takes one second whatever it holds; beyond, each image takes its time."""
    tried = []

    def seconds(number: int) -> float:
        tried.append(number)
        return max(1.0, number / busy_from)

    assert by_trying(seconds) == {32: 32, 128: 128, 1000: 1024, 10**6: 1024}[busy_from]
    assert tried == [32 * 2**k for k in range(len(tried))]


def test_it_stops_where_memory_does():
    def seconds(number: int) -> float:
        if number > 100:
            raise torch.OutOfMemoryError
        return 1.0

    assert by_trying(seconds) == 64
    assert by_trying(seconds, first=256) == 256  # the caller's own first batch will say what is wrong


def test_on_a_cpu_nothing_is_tried(monkeypatch):
    encoder = tiny.tiny_encoder()
    monkeypatch.setattr(encoder.model, "encode_image", lambda pixels: pytest.fail("tried"))
    assert fastest(encoder) == 32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    encoder = tiny.tiny_encoder()
    encoder.model.cuda()
    encoder.device = torch.device("cuda")
    assert fastest(encoder) in (32, 64, 128, 256, 512, 1024)
