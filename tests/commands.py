"""A tiny run as a user types it, in a process that can be killed."""

import subprocess
import sys
import time
from pathlib import Path

from tiny import SETTINGS
from training import curve


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
        if (out / "metrics.jsonl").exists() and any(at >= step for at, _ in curve(out)):
            return
        time.sleep(0.02)
    raise AssertionError(f"step {step} was not reached")
