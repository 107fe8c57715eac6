"""A compiled image tower: the same embeddings, one size of batch, and what is refused."""

import os
import shutil
import subprocess
import sys

import pytest

import fullclip
from embedded import write_model

# in a process of its own: the checks of annotations that tests turn on are not for a compiler
SCRIPT = """
import sys
import numpy as np, torch
import fullclip
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ResNetConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from dataclasses import replace

folder = sys.argv[1]
config = replace(PRESETS["tiny"], vision=ResNetConfig(image_size=32, blocks=(1, 1, 1, 1), width=8, heads=4))
clip = build(config)
initialize(clip, torch.Generator().manual_seed(0))
checkpoint = Checkpoint(config=config, state=clip.state_dict(), preprocess=PreprocessConfig(size=32))
write_checkpoint(checkpoint, folder, tokenizer=None)
images = [np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8) for seed in range(5)]
plain = fullclip.load(folder, "float32", "cpu", batch_size=2).encode_images(images)
compiled = fullclip.load(folder, "float32", "cpu", batch_size=2, compiled=True)
found = compiled.encode_images(images)
sizes = torch._dynamo.utils.counters["stats"]["unique_graphs"]
print(np.abs(found - plain).max() < 1e-6, sizes)
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_tower_gives_the_same(tmp_path):
    environment = os.environ | {"FULLCLIP_CACHE": str(tmp_path / "cache")}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)  # PyTorch leaves one behind where something was compiled before
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "1"]  # the last batch, of one image, was filled
    assert any((tmp_path / "cache/compiled").iterdir())


def test_an_export_is_not_compiled_again(tmp_path):
    model = write_model(tmp_path / "m")
    (tmp_path / "m" / "export.json").write_text("{}")
    with pytest.raises(ValueError, match="compiled by its own runtime; leave compiled out"):
        fullclip.load(model, device="cpu", compiled=True)
