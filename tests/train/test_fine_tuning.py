"""Runs that start from a model: its weights, its shape, a locked tower, a teacher, another resolution."""

from pathlib import Path

import pytest
import torch

import fullclip
from fullclip.core.config import override
from fullclip.core.distributed import World
from fullclip.models.weights import read_checkpoint
from fullclip.train.loop import train
from fullclip.train.start import begin, check, started_from
from tiny import tiny_run
from training import CPU, curve, run_to_end, weights

ALONE = World.single()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished run with a running average; no test changes it."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    run_to_end(out, "optim.average=0.9", "optim.learning_rate=0.01")
    return out


def tuned(trained: Path, out: Path, *settings: str) -> Path:
    run = override(started_from(tiny_run(f"train.init={trained / 'model'}")), settings)
    train(run, out, resume=False, world=ALONE, device=CPU)
    return out


def test_a_run_begins_with_the_weights_it_is_given(trained):
    run = started_from(tiny_run(f"train.init={trained / 'model'}"))
    found, expected = begin(run).model.state_dict(), weights(trained)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert run.preprocess.size == 32


def test_the_average_is_that_of_the_weights_and_is_written_beside_the_model(trained):
    average, last = weights(trained, "model-average"), weights(trained)
    assert average.keys() == last.keys()
    assert not all(torch.equal(average[name], last[name]) for name in last)
    assert fullclip.load(trained / "model-average").encode_texts(["a dog"]).shape == (1, 32)


@pytest.mark.parametrize(("lock", "moves"), [("image", "text."), ("text", "visual.")])
def test_a_locked_tower_stays_as_it_was(trained, tmp_path, lock, moves):
    out = tuned(trained, tmp_path / "run", f"optim.lock={lock}")
    before, after = weights(trained), weights(out)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith((moves, "logit")) for name in moved)


def test_the_image_tower_goes_on_at_another_resolution(trained, tmp_path):
    out = tuned(trained, tmp_path / "run", "model.vision.image_size=48", "preprocess.size=48")
    assert weights(out)["visual.positional_embedding"].shape == (37, 64)
    assert fullclip.load(out / "model").preprocess.size == 48


def test_lower_blocks_move_less_where_rates_fall_by_layer(trained, tmp_path):
    out = tuned(trained, tmp_path / "run", "optim.layer_decay=0.1", "optim.weight_decay=0")
    before, after = weights(trained), weights(out)

    def moved(name: str) -> float:
        return float((after[name] - before[name]).abs().mean())

    first, second = (moved(f"visual.transformer.resblocks.{i}.mlp.c_fc.weight") for i in (0, 1))
    assert first < 0.3 * second < 0.3 * moved("visual.proj")


def test_a_teacher_adds_its_weight_times_the_distance(trained, tmp_path):
    teacher = f"loss.teacher={trained / 'model'}"
    first = {}
    for weight in (0, 1, 20):
        run_to_end(tmp_path / str(weight), "train.steps=1", teacher, f"loss.teacher_weight={weight}")
        first[weight] = curve(tmp_path / str(weight))[0][1]
    assert first[1] - first[0] > 1  # a cross entropy over 16 pairs
    assert first[20] - first[0] == pytest.approx(20 * (first[1] - first[0]), rel=1e-4)


def test_a_taught_run_in_parts_is_the_whole(trained, tmp_path):
    settings = (f"loss.teacher={trained / 'model'}", "train.precision=float64", "train.steps=4")
    run_to_end(tmp_path / "whole", *settings)
    run_to_end(tmp_path / "parts", *settings, "train.micro_batch=5")
    for name, expected in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "parts")[name], expected, rtol=1e-9, atol=1e-12)


def test_moments_in_half_precision_follow_the_same_curve(tmp_path):
    run_to_end(tmp_path / "whole", "train.steps=20")
    run_to_end(tmp_path / "half", "train.steps=20", "optim.moments=bfloat16")
    for (_, one), (_, other) in zip(curve(tmp_path / "half"), curve(tmp_path / "whole"), strict=True):
        assert one == pytest.approx(other, rel=0.02)
    assert curve(tmp_path / "half") != curve(tmp_path / "whole")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.lock=image"], "add --init MODEL"),
        (["loss.kind=sigmoid"], r"model\.logit_bias=-10"),
        (["model.logit_bias=-10"], "no part in a softmax"),
        (["train.batch_size=15"], "2 processes cannot share it evenly; set it to 14"),
        (["data.weights=1,2"], "one for each"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        check(override(tiny_run(), settings), World(rank=0, size=2))


def test_a_model_of_another_shape_is_refused(trained, tmp_path):
    run = override(tiny_run(), [f"train.init={trained / 'model'}", "model.embed=16"])
    with pytest.raises(ValueError, match=r"visual\.proj is \[64, 32\], the config says \[64, 16\]"):
        train(run, tmp_path, resume=False, world=ALONE, device=CPU)
    assert not (tmp_path / "checkpoints").exists()


def test_a_teacher_that_reads_something_else_is_refused(trained, tmp_path):
    for setting, message in (
        ("preprocess.mean=0.5,0.5,0.5", "wants images of mean"),
        ("model.text.context_length=40", "32 tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            run_to_end(tmp_path / setting[:5], f"loss.teacher={trained / 'model'}", setting)


def test_a_checkpoint_on_the_way_becomes_a_model(trained, tmp_path):
    from typer.testing import CliRunner

    from fullclip.cli.app import app

    newest = str(trained / "checkpoints/00000008")
    result = CliRunner().invoke(app, ["models", "convert", newest, "--out", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    found, expected = read_checkpoint(tmp_path / "model"), weights(trained)
    assert all(torch.equal(found.state[name], expected[name]) for name in expected)
