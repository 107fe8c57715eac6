"""Training: resumed = straight, interruptions, and refusals before the first step."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import fullclip
from fullclip.core.distributed import World
from fullclip.core.logs import read_metrics
from fullclip.train import checkpoint as checkpoints
from fullclip.train.config import Run
from fullclip.train.loop import train
from tiny import SETTINGS, tiny_run

CPU = torch.device("cpu")


def run_to_end(run: Run, out: Path, *, resume: bool = False):
    return train(run, out, resume=resume, world=World.single(), device=CPU)


def losses(out: Path) -> list[tuple[int, float]]:
    return [(int(line["step"]), line["loss"]) for line in read_metrics(out / "metrics.jsonl")]


def same_weights(a: Path, b: Path) -> bool:
    left, right = load_file(a / "model/model.safetensors"), load_file(b / "model/model.safetensors")
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """An uninterrupted run; no test changes it."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    run_to_end(tiny_run(), out)
    return out


def test_what_a_run_leaves(straight):
    assert sorted(path.name for path in (straight / "model").iterdir()) == [
        "fullclip.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert [step for step, _ in losses(straight)] == list(range(1, 9))
    assert [path.name for path in sorted((straight / "checkpoints").iterdir())] == ["00000003", "00000006", "00000008"]
    assert fullclip.load(straight / "model").encode_texts(["a dog"]).shape == (1, 32)


@pytest.mark.parametrize("step", [3, 6])
def test_resumed_is_straight_to_the_bit(straight, tmp_path, step):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    shutil.rmtree(out / "model")
    for checkpoint in (out / "checkpoints").iterdir():
        if int(checkpoint.name) > step:
            shutil.rmtree(checkpoint)
    run_to_end(tiny_run(), out, resume=True)
    assert losses(out) == losses(straight)
    assert same_weights(out, straight)


def test_another_seed_is_another_run(straight, tmp_path):
    run_to_end(tiny_run("train.seed=1"), tmp_path / "run")
    assert losses(tmp_path / "run")[0] != losses(straight)[0]


def test_checkpointed_towers_give_the_same_weights(straight, tmp_path):
    run_to_end(tiny_run("train.checkpoint_image_tower=true", "train.checkpoint_text_tower=true"), tmp_path / "run")
    left, right = (load_file(out / "model/model.safetensors") for out in (straight, tmp_path / "run"))
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-5)


def command(out: Path, *more: str) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    tiny = [
        'model.vision={"kind":"vit","image_size":32,"patch_size":8,"width":64,"layers":2,"heads":1,"mlp_width":256}',
        "model.text.width=64",
        "model.text.heads=1",
        "model.text.mlp_width=256",
        "model.embed=32",
        "preprocess.size=32",
    ]
    tiny = [word for setting in tiny for word in ("--set", setting)]
    return [sys.executable, "-m", "fullclip", "train", "demo", "--out", str(out), *tiny, *settings, *more]


def wait_for_step(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(process.stderr.read())
        if (out / "metrics.jsonl").exists() and any(at >= step for at, _ in losses(out)):
            return
        time.sleep(0.02)
    raise AssertionError(f"step {step} was not reached")


@pytest.mark.faults
def test_killed_and_resumed_is_straight(tmp_path):
    """Killed (-9) in the middle, then the same command with --resume: the same curve and weights as without the kill."""
    steps = ["--set", "train.steps=30", "--device", "cpu"]
    subprocess.run(command(tmp_path / "straight", *steps), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "killed", *steps), stderr=subprocess.PIPE, text=True)
    wait_for_step(tmp_path / "killed", 8, process)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed/model").exists()
    subprocess.run(command(tmp_path / "killed", *steps, "--resume"), check=True, capture_output=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    assert same_weights(tmp_path / "killed", tmp_path / "straight")


@pytest.mark.faults
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(out, "--set", "train.steps=5000", "--set", "train.checkpoint_every=100000"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    wait_for_step(out, 3, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    saved = checkpoints.latest(out / "checkpoints")
    assert saved is not None
    assert int(saved.name) == losses(out)[-1][0]


@pytest.mark.faults
def test_a_torn_checkpoint_is_never_taken(straight, tmp_path):
    """A folder that was being written when the process died has a name that no reader looks at."""
    out = tmp_path / "checkpoints"
    shutil.copytree(straight / "checkpoints", out)
    os.rename(out / "00000008", out / ".00000008.partial-abc")
    assert checkpoints.latest(out) == out / "00000006"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.shards="], "no data"),
        (["data.shards=/nowhere/*.tar"], "no .tar files match"),
        (["train.batch_size=1"], "at least 2 pairs"),
        (["train.steps=0"], "train.steps is 0"),
        (["train.log_every=0"], "train.log_every is 0"),
        (["train.minutes=-1"], "train.minutes is -1"),
        (["optim.warmup=-5"], "optim.warmup is -5"),
        (["optim.learning_rate=0"], "optim.learning_rate is 0"),
        (["data.shuffle_size=0"], "data.shuffle_size is 0"),
        (["data.crop.scale=0.5"], "two numbers above 0"),
        (["data.crop.flip=7"], "data.crop.flip is 7"),
        (["preprocess.mean=0.5"], "three means"),
        (["model.text.heads=0"], "0 attention heads"),
        (["preprocess.size=64"], "set both"),
        (["model.text.vocab_size=100", "model.text.end_id=99"], "vocab_size is 100"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run_to_end(tiny_run(*settings), tmp_path / "run")
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_a_folder_that_holds_a_run_is_not_written_over(straight):
    with pytest.raises(ValueError, match="add --resume"):
        run_to_end(tiny_run(), straight)


def test_resuming_with_other_settings_names_the_first(straight, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    with pytest.raises(ValueError, match=r"optim\.learning_rate is 0\.5, but the run"):
        run_to_end(tiny_run("optim.learning_rate=0.5"), tmp_path / "run", resume=True)


def test_several_processes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="without torchrun"):
        train(tiny_run(), tmp_path, resume=False, world=World(rank=0, size=2), device=CPU)


def test_a_limit_of_time_ends_the_run_with_a_small_learning_rate(tmp_path):
    done = run_to_end(tiny_run("train.steps=100000", "train.minutes=0.03"), tmp_path / "run")
    last = read_metrics(tmp_path / "run/metrics.jsonl")[-1]
    assert done.steps < 100000
    assert last["learning_rate"] < 0.2 * tiny_run().optim.learning_rate
    assert (tmp_path / "run/model/model.safetensors").exists()


def test_run_json_gives_the_run_back(straight):
    from fullclip.core.config import from_dict

    assert from_dict(Run, json.loads((straight / "run.json").read_text())) == tiny_run()


def test_a_loss_that_is_no_number_ends_the_run_without_a_model(tmp_path):
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step \d+: a smaller optim\.learning_rate"):
        run_to_end(tiny_run("optim.learning_rate=1e30", "optim.warmup=0"), tmp_path / "run")
    assert not (tmp_path / "run/model").exists()


@pytest.mark.faults
@pytest.mark.parametrize("file", ["model.safetensors", "training.pt", "progress.json"])
def test_a_damaged_checkpoint_is_named_and_says_how_to_go_on(straight, tmp_path, file):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    newest = out / "checkpoints/00000008"
    (newest / file).write_bytes((newest / file).read_bytes()[:20])
    with pytest.raises(ValueError, match=r"00000008 is damaged .* remove it"):
        run_to_end(tiny_run(), out, resume=True)
    shutil.rmtree(newest)
    shutil.rmtree(out / "model")
    run_to_end(tiny_run(), out, resume=True)
    assert same_weights(out, straight)


def test_what_a_killed_save_left_is_removed(straight, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    (out / "checkpoints/.00000009.partial-abc").mkdir()
    run_to_end(tiny_run(), out, resume=True)
    assert not list((out / "checkpoints").glob(".*"))
