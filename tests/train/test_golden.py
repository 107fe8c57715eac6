"""Thirty steps of the demo recipe follow the recorded curve. Recorded by: python tests/train/test_golden.py"""

import json
import tempfile
from pathlib import Path

import pytest
import torch

from fullclip.core.config import override
from fullclip.core.distributed import World
from fullclip.core.logs import read_metrics
from fullclip.train.loop import train
from fullclip.train.recipes import demo

CURVE = Path(__file__).with_name("golden.json")


def curve(out: Path) -> list[float]:
    settings = ["train.steps=30", "train.batch_size=32", "train.log_every=1", "train.minutes=none", "train.precision=float32"]
    run = override(demo(), [*settings, "optim.warmup=5"])
    done = train(run, out, resume=False, world=World.single(), device=torch.device("cpu"))
    return [line["loss"] for line in read_metrics(done.metrics)]


@pytest.mark.golden
def test_thirty_steps_follow_the_recorded_curve(tmp_path):
    """A change of data order, initial values, loss or optimizer moves it by more than rounding on another machine does."""
    assert curve(tmp_path) == pytest.approx(json.loads(CURVE.read_text()), abs=0.02)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        CURVE.write_text(json.dumps([round(loss, 5) for loss in curve(Path(folder))]) + "\n")
