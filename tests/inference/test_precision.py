"""Which precision is chosen, what that costs in likeness, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import fullclip
import peers
import tiny
from fullclip.core import processor
from fullclip.inference.precision import in_precision
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.config import PRESETS, ResNetConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer

TINY = PRESETS["tiny"]
RESNET = replace(TINY, vision=ResNetConfig(image_size=32, blocks=(1, 1, 1, 1), width=8, heads=4))
EFFICIENTNET = replace(TINY, vision=tiny.NARROW)


def made(config) -> Clip:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return peers.perturbed(model, seed=1).eval()


def with_flags(monkeypatch, *flags: str) -> None:
    monkeypatch.setattr(processor, "flags", lambda: frozenset(flags))


def types(model: Clip) -> tuple[torch.dtype, torch.dtype]:
    """What the towers multiply in: of images, of texts."""
    return model.visual.conv1.weight.dtype, model.text.dtype


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
def test_transformers_are_in_bfloat16_where_the_processor_has_it(monkeypatch, flag):
    with_flags(monkeypatch, "avx2", flag)
    assert types(in_precision(made(TINY), None)) == (torch.bfloat16, torch.bfloat16)
    for config in (RESNET, EFFICIENTNET):  # 8 bits are too few for many thin convolutions
        assert types(in_precision(made(config), None)) == (torch.float32, torch.bfloat16)


def test_everything_is_in_float32_elsewhere(monkeypatch):
    with_flags(monkeypatch, "avx2", "avx512f")
    for config in (TINY, RESNET, EFFICIENTNET):
        assert types(in_precision(made(config), None)) == (torch.float32, torch.float32)


def test_what_is_asked_for_wins(monkeypatch):
    with_flags(monkeypatch, "avx512_bf16", "avx512_fp16")
    for precision in ("float32", "bfloat16", "float16"):
        for config in (TINY, RESNET):
            assert types(in_precision(made(config), precision)) == (getattr(torch, precision),) * 2


def test_a_precision_that_the_processor_lacks(monkeypatch, tmp_path):
    checkpoint = Checkpoint(config=TINY, state=made(TINY).state_dict(), preprocess=PreprocessConfig(size=32))
    write_checkpoint(checkpoint, tmp_path / "m", tokenizer=None)
    with_flags(monkeypatch, "avx512_bf16")
    message = r"'float16': this processor \(none of .*avx512_fp16.*\) does not multiply it .*; here there is float32, bfloat16"
    with pytest.raises(ValueError, match=message):
        fullclip.load(tmp_path / "m", "float16", "cpu")
    with_flags(monkeypatch)
    with pytest.raises(ValueError, match=r"precision 'bfloat16': .*; here there is float32$"):
        fullclip.load(tmp_path / "m", "bfloat16", "cpu")


def test_what_linux_says_of_the_processor(monkeypatch, tmp_path):
    told = tmp_path / "cpuinfo"
    for text, flags in (
        ("processor\t: 0\nflags\t\t: fpu avx512_bf16 sse\n\nprocessor\t: 1\nflags\t\t: fpu\n", {"fpu", "avx512_bf16", "sse"}),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("nothing of the kind\n", set()),
    ):
        told.write_text(text)
        monkeypatch.setattr(processor, "_CPUINFO", told)
        processor.flags.cache_clear()
        assert processor.flags() == flags
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    processor.flags.cache_clear()
    assert processor.flags() == frozenset()
    processor.flags.cache_clear()


@pytest.mark.parametrize("device", ["no GPU", "mps"])
def test_a_device_that_is_not_there(tmp_path, device):
    checkpoint = Checkpoint(config=TINY, state=made(TINY).state_dict(), preprocess=PreprocessConfig(size=32))
    write_checkpoint(checkpoint, tmp_path / "m", tokenizer=None)
    with pytest.raises(ValueError, match=rf"device '{device}': not to be had here .*; leave it out, or give cpu"):
        fullclip.load(tmp_path / "m", device=device)


@pytest.mark.skipif(not processor.multiplies("bfloat16"), reason="this processor has no bfloat16")
def test_bfloat16_is_near_float32(tmp_path):
    """A ViT of some depth, random weights of a trained one's size: the cosines that are promised."""
    config = replace(
        TINY,
        vision=replace(TINY.vision, width=64, layers=12, heads=2, mlp_width=256, image_size=64),
        text=replace(TINY.text, width=64, layers=12, heads=2, mlp_width=256),
    )
    checkpoint = Checkpoint(config=config, state=made(config).state_dict(), preprocess=PreprocessConfig(size=64))
    write_checkpoint(checkpoint, tmp_path / "m", tokenizer=Tokenizer.clip(context_length=config.text.context_length))
    images = [np.random.default_rng(seed).integers(0, 256, (80, 90, 3), dtype=np.uint8) for seed in range(40)]
    texts = [f"a photo of {'a very ' * (n % 9)}large thing number {n}" for n in range(40)]
    exact, fast = fullclip.load(tmp_path / "m", "float32", "cpu"), fullclip.load(tmp_path / "m", device="cpu")
    assert types(fast.clip) == (torch.bfloat16, torch.bfloat16)
    assert (exact.encode_images(images) * fast.encode_images(images)).sum(axis=1).min() > 0.999
    assert (exact.encode_texts(texts) * fast.encode_texts(texts)).sum(axis=1).min() > 0.999
