"""Training: resumed = straight, interruptions, and refusals before the first step."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

import fullclip
from commands import command, wait_for_step
from fullclip.core.config import from_dict
from fullclip.core.logs import read_metrics
from fullclip.train.checkpoints.folder import CheckpointFolder
from fullclip.train.config import Run
from tiny import tiny_run
from training import curve, run_to_end, same_weights, weights


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """An uninterrupted run; no test changes it."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    run_to_end(out)
    return out


def test_what_a_run_leaves(straight):
    assert sorted(path.name for path in (straight / "model").iterdir()) == [
        "fullclip.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert [step for step, _ in curve(straight)] == list(range(1, 9))
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
    run_to_end(out, resume=True)
    assert curve(out) == curve(straight)
    assert same_weights(out, straight)


def test_another_seed_is_another_run(straight, tmp_path):
    run_to_end(tmp_path / "run", "train.seed=1")
    assert curve(tmp_path / "run")[0] != curve(straight)[0]


def test_checkpointed_towers_give_the_same_weights(straight, tmp_path):
    run_to_end(tmp_path / "run", "train.checkpoint_image_tower=true", "train.checkpoint_text_tower=true")
    left, right = weights(straight), weights(tmp_path / "run")
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-5)


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
    assert curve(tmp_path / "killed") == curve(tmp_path / "straight")
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
    newest = CheckpointFolder(str(out / "checkpoints")).all()[-1]
    assert int(Path(newest).name) == curve(out)[-1][0]


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
        (["model.text.heads=0"], "heads is 0: at least 1"),
        (["model.embed=0"], "embed is 0: at least 1"),
        (["model.text.layers=-1"], "layers is -1: at least 1"),
        (["train.seed=99999999999999999999999"], "below 2\\^63"),
        (["preprocess.size=64"], "set both"),
        (["model.text.vocab_size=100", "model.text.end_id=99"], "model.text has 100 and 99"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run_to_end(tmp_path / "run", *settings)
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_a_folder_that_holds_a_run_is_not_written_over(straight):
    with pytest.raises(ValueError, match="add --resume"):
        run_to_end(straight)


def test_resuming_with_other_settings_names_the_first(straight, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    with pytest.raises(ValueError, match=r"optim\.learning_rate is 0\.5, but the run"):
        run_to_end(tmp_path / "run", "optim.learning_rate=0.5", resume=True)


def test_a_limit_of_time_ends_the_run_with_a_small_learning_rate(tmp_path):
    done = run_to_end(tmp_path / "run", "train.steps=100000", "train.minutes=0.03")
    last = read_metrics(tmp_path / "run/metrics.jsonl")[-1]
    assert done.steps < 100000
    assert last["learning_rate"] < 0.2 * tiny_run().optim.learning_rate
    assert (tmp_path / "run/model/model.safetensors").exists()


def test_run_json_gives_the_run_back(straight):
    assert from_dict(Run, json.loads((straight / "run.json").read_text())) == tiny_run()


def test_weights_that_give_no_number_end_the_run_without_a_model(tmp_path):
    with pytest.raises(FloatingPointError, match=r"10 steps in a row up to step 8: a smaller optim\.learning_rate"):
        run_to_end(tmp_path / "run", "optim.learning_rate=1e30", "optim.warmup=0")
    assert not (tmp_path / "run/model").exists()


@pytest.mark.faults
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "progress.json"])
def test_a_damaged_checkpoint_is_passed_over(straight, tmp_path, file, capsys):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    newest = out / "checkpoints/00000008"
    (newest / file).write_bytes((newest / file).read_bytes()[:-1])
    shutil.rmtree(out / "model")
    run_to_end(out, resume=True)
    assert "00000008 is damaged" in capsys.readouterr().err
    assert same_weights(out, straight)


@pytest.mark.faults
def test_nothing_but_damaged_checkpoints_is_an_error(straight, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    for checkpoint in (out / "checkpoints").iterdir():
        (checkpoint / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"every checkpoint is damaged, as .*00000008 \(model\.safetensors is not what was written\)"
    ):
        run_to_end(out, resume=True)


@pytest.mark.faults
def test_what_a_killed_save_left_is_removed(straight, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    (out / "checkpoints/.00000009.partial").mkdir()
    run_to_end(out, resume=True)
    assert not list((out / "checkpoints").glob(".*"))


def test_other_shards_than_before_are_refused(straight, tmp_path):
    """Positions are counted in them: more shards in the folder would be another order."""
    shards = tmp_path / "shards"
    shutil.copytree(Path(tiny_run().data.shards[0]), shards)
    run_to_end(tmp_path / "run", f"data.shards={shards}", "train.steps=3")
    shutil.rmtree(tmp_path / "run/model")
    (shards / "index.json").unlink()
    next(shards.glob("*.tar")).unlink()
    with pytest.raises(ValueError, match="the shards are not those"):
        run_to_end(tmp_path / "run", f"data.shards={shards}", "train.steps=3", resume=True)


def test_resuming_does_not_begin_anew_in_silence(straight, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/model")
    with pytest.raises(ValueError, match=r"no checkpoint in train\.checkpoints=/elsewhere; the run began with none"):
        run_to_end(tmp_path / "run", "train.checkpoints=/elsewhere", resume=True)
    shutil.rmtree(tmp_path / "run/checkpoints")
    (tmp_path / "run/model").mkdir()
    with pytest.raises(ValueError, match="a finished model and no checkpoint"):
        run_to_end(tmp_path / "run", resume=True)
