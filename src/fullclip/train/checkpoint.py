"""The state of a run on disk: whole or not there at all. `checkpoints/<step>/` holds all that the next step depends on."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fullclip.core.config import from_dict, to_dict
from fullclip.core.storage import atomic_file, atomic_folder
from fullclip.models.clip import Clip
from fullclip.train.config import Run

_RUN_NAME = "run.json"
# May differ between a run and its resumption. A limit of time moves the schedule, so that such a run is never repeated to
# the bit; the rest change nothing that a step computes.
_FREE = ("train.checkpoint_every", "train.log_every", "train.keep", "train.minutes")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands: steps done, the loader's position behind the last batch, seconds spent."""

    step: int
    position: Mapping[str, int]
    seconds: float


def save(folder: Path, *, model: Clip, optimizer: torch.optim.Optimizer, progress: Progress, keep: int) -> Path:
    """Write `folder/<step>/` atomically, then remove all but the newest `keep`."""
    target = folder / f"{progress.step:08d}"
    with atomic_folder(target) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, temporary / "model.safetensors")
        torch.save({"optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}, temporary / "training.pt")
        state = {"step": progress.step, "position": dict(progress.position), "seconds": progress.seconds}
        (temporary / "progress.json").write_text(json.dumps(state), encoding="utf-8")
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def latest(folder: Path) -> Path | None:
    """The newest checkpoint, or None."""
    found = _all(folder)
    return found[-1] if found else None


def _all(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; unfinished ones have names that begin with a dot."""
    return sorted((path for path in folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))


def restore(checkpoint: Path, *, model: Clip, optimizer: torch.optim.Optimizer, device: torch.device) -> Progress:
    """Put a checkpoint's weights, optimizer state and random state in place; ValueError where a file of it is damaged."""
    try:
        state = json.loads((checkpoint / "progress.json").read_text(encoding="utf-8"))
        progress = Progress(step=state["step"], position=state["position"], seconds=state["seconds"])
        weights = load_file(checkpoint / "model.safetensors", device=str(device))
        training = torch.load(checkpoint / "training.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own ways to say that a file is torn
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{checkpoint} is damaged ({reason}); remove it to go on from the checkpoint before it") from None
    model.load_state_dict(weights)
    optimizer.load_state_dict(training["optimizer"])
    torch.set_rng_state(training["random"])
    return progress


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing."""
    for unfinished in folder.glob(".*.partial-*"):
        shutil.rmtree(unfinished)


def write_run(folder: Path, run: Run) -> None:
    """Keep the run's config beside its checkpoints."""
    with atomic_file(folder / _RUN_NAME, "w") as file:
        json.dump(to_dict(run), file, indent=1)


def check_same_run(folder: Path, run: Run) -> None:
    """ValueError where the run in `folder` was started with other settings than `run`, naming the first that differs."""
    path = folder / _RUN_NAME
    if not path.exists():
        return
    try:
        before = _flat(to_dict(from_dict(Run, json.loads(path.read_text(encoding="utf-8")))))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to go on with the settings that you give") from None
    now = _flat(to_dict(run))
    for name in sorted(before.keys() | now.keys()):
        if name not in _FREE and before.get(name) != now.get(name):
            raise ValueError(
                f"{name} is {now.get(name)!r}, but the run in {folder} was started with {before.get(name)!r};"
                " resume with the same settings, or give another --out"
            )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
