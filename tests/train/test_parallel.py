"""One process = many: the same loss curve and the same weights, whichever way the model is spread."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fullclip.models.clip import build
from fullclip.models.config import PRESETS, EfficientNetConfig
from fullclip.train.parallel import blocks_of
from training import assert_close, curve, run_in_processes, run_to_end, same_weights

EXACT = ("train.precision=float64", "train.steps=5", "train.checkpoint_every=2")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A run of one process in float64; no test changes it."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    run_to_end(out, *EXACT)
    return out


@pytest.mark.dist
@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (2, ("train.micro_batch=3",)),
        (4, ("train.parallel=fsdp",)),
        (2, ("train.parallel=fsdp", "train.micro_batch=4", "loss.kind=tiled_softmax")),
        (2, ("train.checkpoint_image_tower=true", "train.checkpoint_text_tower=true", "train.parallel=fsdp")),
        (4, ("data.workers=2", "loss.kind=tiled_softmax")),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, tuple) else str(value),
)
def test_many_processes_are_one(alone, tmp_path, size, settings):
    same = tuple(s for s in settings if s.startswith(("train.micro", "loss", "train.checkpoint_")))
    run_in_processes(size, tmp_path / "run", *EXACT, *settings)
    if same:
        run_to_end(tmp_path / "alone", *EXACT, *same)
        assert_close(tmp_path / "alone", alone, tolerance=1e-9)
    assert_close(tmp_path / "run", alone, tolerance=1e-9)


@pytest.mark.dist
def test_the_sigmoid_loss_with_clipping_averaging_and_decay_by_layer(tmp_path):
    settings = (*EXACT, "loss.kind=sigmoid", "model.logit_bias=-10", "optim.clip_norm=0.5", "optim.average=0.9")
    settings = (*settings, "optim.layer_decay=0.7")
    run_to_end(tmp_path / "alone", *settings)
    for way in ("ddp", "fsdp"):
        run_in_processes(2, tmp_path / way, *settings, f"train.parallel={way}")
        assert_close(tmp_path / way, tmp_path / "alone", tolerance=1e-9)


@pytest.mark.dist
@pytest.mark.parametrize(("before", "after", "way"), [(1, 4, "fsdp"), (4, 2, "fsdp"), (2, 1, "fsdp"), (4, 2, "ddp")])
def test_another_number_of_processes_goes_on(alone, tmp_path, before, after, way):
    out = tmp_path / "run"
    whole_run = (*EXACT, f"train.parallel={way}")
    _run(before, out, *whole_run)
    for checkpoint in (out / "checkpoints").iterdir():
        if int(checkpoint.name) > 2:
            shutil.rmtree(checkpoint)
    shutil.rmtree(out / "model")
    _run(after, out, *whole_run, resume=True)
    assert_close(out, alone, tolerance=1e-9)


@pytest.mark.dist
def test_an_efficientnet_is_the_same_however_it_is_spread(tmp_path):
    """Not the same as alone: each process normalises its own part of a batch."""
    narrow = {"image_size": 32, "stem": 4, "blocks": [1, 2], "channels": [4, 6], "kernels": [3, 5], "strides": [1, 2]}
    vision = json.dumps({"kind": "efficientnet", **narrow, "expansions": [1, 4], "width": 16})
    settings = (*EXACT, f"model.vision={vision}", "train.checkpoint_image_tower=true")
    for way in ("ddp", "fsdp"):
        run_in_processes(2, tmp_path / way, *settings, f"train.parallel={way}")
    assert_close(tmp_path / "fsdp", tmp_path / "ddp", tolerance=1e-9)


def test_all_blocks_of_an_efficientnet_are_wrapped_by_themselves():
    with torch.device("meta"):
        clip = build(replace(PRESETS["tiny"], vision=EfficientNetConfig()))
    names = {id(module): name for name, module in clip.named_modules()}
    found = [names[id(block)] for block in blocks_of(clip)]
    of_image = [f"visual.stages.{stage}.{i}" for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1)) for i in range(blocks)]
    assert found == [*of_image, "text.transformer.resblocks.0", "text.transformer.resblocks.1"]


@pytest.mark.dist
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_three_processes_resume_to_the_bit(tmp_path, way):
    """In float32, where another order of sums shows: DDP's after its first step is not that of the first."""
    settings = ("train.batch_size=18", "train.steps=6", f"train.parallel={way}")
    run_in_processes(3, tmp_path / "straight", *settings)
    shutil.copytree(tmp_path / "straight", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/model")
    shutil.rmtree(tmp_path / "run/checkpoints/00000006")
    run_in_processes(3, tmp_path / "run", *settings, resume=True)
    assert curve(tmp_path / "run") == curve(tmp_path / "straight")
    assert same_weights(tmp_path / "run", tmp_path / "straight")


def _run(size: int, out: Path, *settings: str, resume: bool = False) -> None:
    if size == 1:
        run_to_end(out, *settings, resume=resume)
    else:
        run_in_processes(size, out, *settings, resume=resume)
