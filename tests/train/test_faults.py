"""What a run does when numbers, disks and machines fail."""

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors.torch import load_file

from commands import command, wait_for_step
from fullclip.core import remote
from fullclip.core.distributed import World
from fullclip.core.logs import read_metrics
from fullclip.core.types import Batch
from fullclip.data.loader import Loader
from fullclip.train import loop
from fullclip.train.checkpoints.claim import held
from fullclip.train.checkpoints.contents import Progress
from fullclip.train.checkpoints.folder import CheckpointFolder, damage
from fullclip.train.checkpoints.saver import Saver
from fullclip.train.signals import Interrupted
from stores import s3_store
from tiny import tiny_run
from training import curve, run_to_end, same_weights, weights


def spoil(monkeypatch: pytest.MonkeyPatch, is_bad: Callable[[int], bool]) -> list[tuple[str, ...]]:
    """Let the images of some batches be no numbers, by how many batches came before; the keys of all batches that came."""
    seen: list[tuple[str, ...]] = []

    class Spoiled(Loader):
        def __iter__(self) -> Iterator[Batch]:
            for batch in super().__iter__():
                seen.append(batch.keys)
                yield replace(batch, images=batch.images * math.nan) if is_bad(len(seen) - 1) else batch

    monkeypatch.setattr(loop, "Loader", Spoiled)
    return seen


@pytest.mark.faults
def test_a_step_without_a_finite_gradient_changes_nothing(tmp_path, monkeypatch):
    """Left out, it leaves weights and moments to the bit; the next step goes on with its own data."""
    settings = ("train.checkpoint_every=1", "train.keep=20", "optim.average=0.9")
    spoil(monkeypatch, lambda number: number in (3, 4))
    run_to_end(tmp_path, *settings)
    lines = {line["step"]: line for line in read_metrics(tmp_path / "metrics.jsonl")}
    assert [lines[step]["steps_left_out"] for step in range(1, 9)] == [0, 0, 0, 1, 2, 2, 2, 2]
    assert [lines[step]["loss"] is None for step in range(1, 9)] == [False, False, False, True, True, False, False, False]
    steps = [int(path.name) for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert steps == [1, 2, 3, 6, 7, 8]  # none while it is open whether the weights are at fault
    counters = {
        step: load_file(tmp_path / f"checkpoints/{step:08d}/optimizer.safetensors")["logit_scale/step"] for step in steps
    }
    assert [int(counters[step]) for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


@pytest.mark.faults
def test_after_too_many_the_run_goes_back_and_on_with_other_data(tmp_path, monkeypatch):
    seen = spoil(monkeypatch, lambda number: 4 <= number < 7)
    done = run_to_end(tmp_path, "guard.patience=3", "train.checkpoint_every=3")
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line for line in lines if "event" in line] == [
        {"step": 7, "event": "rolled back", "to": 3, "rollbacks": 1, "steps_left_out": 3}
    ]
    assert [step for step, _ in curve(tmp_path)] == list(range(1, 9))
    assert all(loss is not None for _, loss in curve(tmp_path))
    assert len(seen) >= 12  # eight steps, and the four since the checkpoint that were lost
    assert len({key for keys in seen for key in keys}) == 16 * len(seen)  # no pair came twice
    assert done.steps == 8


@pytest.mark.faults
@pytest.mark.parametrize("parts", [(), ("train.micro_batch=8",)])
def test_batch_norm_forgets_what_was_left_out(tmp_path, monkeypatch, parts):
    """Its running statistics have seen the batch before the guard could refuse it."""
    resnet = '{"kind":"resnet","image_size":32,"blocks":[1,1,1,1],"width":8,"heads":2}'
    spoil(monkeypatch, lambda number: number == 3)
    run_to_end(tmp_path, f"model.vision={resnet}", *parts)
    found = weights(tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in found.values())
    assert int(found["visual.bn1.num_batches_tracked"]) == 7


@pytest.mark.faults
@pytest.mark.parametrize("more", [(), ("train.minutes=100",)])
def test_a_run_does_not_end_with_a_step_that_was_left_out(tmp_path, monkeypatch, more):
    seen = spoil(monkeypatch, lambda number: number in (7, 8))
    done = run_to_end(tmp_path, "train.checkpoint_every=100", *more)
    assert done.steps == 8
    assert len(seen) >= 10
    assert [step for step, _ in curve(tmp_path)] == list(range(1, 9))
    assert curve(tmp_path)[-1][1] is not None


@pytest.mark.faults
def test_a_skipped_checkpoint_is_made_up_for(tmp_path, monkeypatch):
    spoil(monkeypatch, lambda number: number in (2, 3))
    run_to_end(tmp_path)
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == [5, 6, 8]


@pytest.mark.faults
def test_going_back_again_and_again_ends_the_run(tmp_path, monkeypatch):
    spoil(monkeypatch, lambda number: number >= 4)
    with pytest.raises(FloatingPointError, match="2 steps in a row up to step 5, after going back 2 times"):
        run_to_end(tmp_path, "guard.patience=2", "guard.rollbacks=2")
    assert not (tmp_path / "model").exists()
    newest = CheckpointFolder(str(tmp_path / "checkpoints")).all()[-1]
    assert newest.endswith("00000003")
    assert damage(newest) is None


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_to_the_whole_job_saves_and_has_its_own_exit_code(tmp_path, workers):
    settings = ["--set", "train.steps=5000", "--set", "train.checkpoint_every=100000"]
    settings += ["--set", f"data.workers={workers}"]
    process = subprocess.Popen(
        command(tmp_path, *settings), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    wait_for_step(tmp_path, 3, process)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "--resume" in said
    assert "Traceback" not in said
    newest = CheckpointFolder(str(tmp_path / "checkpoints")).all()[-1]
    assert int(Path(newest).name) == curve(tmp_path)[-1][0]


@pytest.mark.faults
def test_a_full_disk_is_an_error_that_leaves_the_last_good_checkpoint(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    run_to_end(tmp_path / "whole")
    one = sum(file.stat().st_size for file in (tmp_path / "whole/checkpoints/00000003").iterdir())
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(2.5 * one)}", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(OSError, match="no space left on the disk"):
            run_to_end(disk / "run", "train.keep=10", "train.checkpoint_every=2")
        checkpoints = CheckpointFolder(str(disk / "run/checkpoints")).all()
        assert [Path(path).name for path in checkpoints] == ["00000002", "00000004"]
        assert not list((disk / "run/checkpoints").glob(".*"))
        shutil.copytree(disk / "run", tmp_path / "run")
    finally:
        subprocess.run(["umount", disk], check=True)
    run_to_end(tmp_path / "run", "train.keep=10", "train.checkpoint_every=2", resume=True)
    assert same_weights(tmp_path / "run", tmp_path / "whole")


class Stopped(loop.Pace):
    """A run that is interrupted after its seventh step, without saving."""

    def ends(self, here: Progress) -> bool:
        if here.step == 7:
            raise Interrupted(None, 7)
        return super().ends(here)


def test_checkpoints_may_lie_in_a_remote_store(tmp_path):
    """The same bits come back from it, and go on to the same model."""
    settings = ("train.checkpoints=s3://kept/one", "train.keep=1", "train.milestone_every=3")
    run_to_end(tmp_path / "straight")
    with s3_store("kept"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "Pace", Stopped)
            with pytest.raises(Interrupted):
                run_to_end(tmp_path / "run", *settings)
        folder = CheckpointFolder("s3://kept/one")
        assert [path.rpartition("/")[2] for path in folder.all()] == ["00000003", "00000006"]
        run_to_end(tmp_path / "run", *settings, resume=True)
    assert same_weights(tmp_path / "run", tmp_path / "straight")
    assert curve(tmp_path / "run") == curve(tmp_path / "straight")
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.faults
def test_a_store_that_goes_away_is_one_error_and_the_run_goes_on_when_it_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(remote, "TRIES", 3)
    with s3_store("runs") as server:
        settings = ("train.checkpoints=s3://runs/one", "train.checkpoint_every=2")
        seen = spoil(monkeypatch, lambda number: number == 5 and server.stop() is None and False)
        with pytest.raises(OSError, match=r"s3://runs/one"):
            run_to_end(tmp_path / "run", *settings)
        assert len(seen) >= 6
        again = type(server)(ip_address="127.0.0.1", port=server.get_host_and_port()[1], verbose=False)
        again.start()
        run_to_end(tmp_path / "run", *settings, resume=True)
        again.stop()
    run_to_end(tmp_path / "straight")
    assert same_weights(tmp_path / "run", tmp_path / "straight")


@pytest.mark.faults
def test_where_shards_stay_away_what_was_reached_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(remote, "TRIES", 3)
    settings = ("data.shards=s3://shards/train", "data.shuffle_size=8", "train.steps=120", "train.checkpoint_every=1000")
    with s3_store("shards") as server:
        fsspec.filesystem("s3").put(f"{tiny_run().data.shards[0]}/", "shards/train/", recursive=True)
        spoil(monkeypatch, lambda number: number == 5 and server.stop() is None and False)
        with pytest.raises(OSError, match=r"s3://shards/train/00000\d\.tar: the store does not answer"):
            run_to_end(tmp_path / "run", *settings)
        reached = int(Path(CheckpointFolder(str(tmp_path / "run/checkpoints")).all()[-1]).name)
        assert reached >= 6
        again = type(server)(ip_address="127.0.0.1", port=server.get_host_and_port()[1], verbose=False)
        again.start()
        run_to_end(tmp_path / "run", *settings, resume=True)
        again.stop()
    run_to_end(tmp_path / "straight", *settings[1:])
    assert curve(tmp_path / "run") == curve(tmp_path / "straight")


def test_a_bucket_that_is_not_there_is_named_before_the_first_step(tmp_path):
    with s3_store("some"), pytest.raises(ValueError, match=r"train\.checkpoints=s3://none/run cannot be written to"):
        run_to_end(tmp_path / "run", "train.checkpoints=s3://none/run")
    assert not (tmp_path / "run/metrics.jsonl").exists()


@pytest.mark.faults
def test_two_runs_do_not_share_a_folder(tmp_path):
    with held(tmp_path, World.single()), pytest.raises(ValueError, match="another process is training into"):
        run_to_end(tmp_path)
    run_to_end(tmp_path)


def end_while_writing(saver: Saver) -> None:
    with saver:
        saver.save(Progress(step=1), {"a.bin": lambda path: path.write_text("A")})
        raise RuntimeError("another error")


@pytest.mark.faults
def test_a_leader_does_not_wait_for_processes_that_are_gone(tmp_path):
    """A checkpoint of two processes, of which the other never writes its part; the run ends with an error."""
    saver = Saver(CheckpointFolder(str(tmp_path)), tiny_run(), World(rank=0, size=2), is_sharded=True)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="another error"):
        end_while_writing(saver)
    assert time.monotonic() - began < 10
    assert CheckpointFolder(str(tmp_path)).all() == []
