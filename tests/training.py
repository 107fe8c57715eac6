"""Tiny runs, in one process or several, and what they leave."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import fullclip
import processes
from fullclip.core.distributed import World
from fullclip.core.logs import read_metrics
from fullclip.evaluation.during_training import ask
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.webdataset import read_pairs
from fullclip.train.loop import Trained, train
from tiny import tiny_run

CPU = torch.device("cpu")


def run_to_end(out: Path, *settings: str, resume: bool = False, evaluators: Any = ()) -> Trained:
    """A tiny run in this process."""
    return train(tiny_run(*settings), out, resume=resume, world=World.single(), device=CPU, evaluators=evaluators)


def run_in_processes(size: int, out: Path, *settings: str, resume: bool = False) -> None:
    """The same run in `size` gloo processes."""
    processes.run(train_work, size, str(out), settings, resume)


def train_work(world: World, out: str, settings: tuple[str, ...], resume: bool) -> str:
    train(tiny_run(*settings), Path(out), resume=resume, world=world, device=CPU)
    return ""


def curve(out: Path) -> list[tuple[int, float]]:
    """(step, loss) of every step that was logged."""
    return [(int(line["step"]), line["loss"]) for line in read_metrics(out / "metrics.jsonl") if "loss" in line]


def weights(out: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return load_file(out / name / "model.safetensors")


def same_weights(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def assert_close(ours: Path, theirs: Path, *, tolerance: float) -> None:
    """The same loss curve and the same weights."""
    assert [step for step, _ in curve(ours)] == [step for step, _ in curve(theirs)]
    for (step, one), (_, other) in zip(curve(ours), curve(theirs), strict=True):
        assert abs(one - other) <= tolerance * abs(other), (step, one, other)
    left, right = weights(ours), weights(theirs)
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], rtol=tolerance, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )


def evaluation_work(world: World, model: str, shards: list[str], classes: str) -> dict[str, float]:
    """What a finished model is found to know, each process looking at its share."""
    encoder = fullclip.load(model, precision="float32")
    evaluators = ask([find_task(classes), read_pairs(shards, name="pairs")])
    return {name: value for evaluate in evaluators for name, value in evaluate(encoder, world).items()}
