"""The folder of a run: whose it is, and whether it may be gone on with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fullclip.core import folders
from fullclip.core.config import first_difference, flat, from_dict, to_dict
from fullclip.core.distributed import World
from fullclip.core.say import say
from fullclip.core.storage import atomic_file
from fullclip.train.checkpoints.contents import progress_of
from fullclip.train.checkpoints.folder import CheckpointFolder, damage, put_aside
from fullclip.train.config import Run

_RUN_NAME = "run.json"
# May differ between a run and its resumption. A limit of time moves the schedule, so that such a run is never repeated to
# the bit; the rest change nothing that a step computes, or only how it is computed.
_FREE = (
    *("train.checkpoint_every", "train.checkpoint_minutes", "train.milestone_every", "train.keep", "train.checkpoints"),
    *("train.log_every", "train.evaluate_every", "train.minutes", "train.parallel", "train.compile", "data.workers"),
)


def checkpoint_folder(out: Path, run: Run) -> CheckpointFolder:
    """Where the run's checkpoints lie."""
    return CheckpointFolder(run.train.checkpoints or str(out / "checkpoints"))


def claim(out: Path, run: Run, *, resume: bool) -> str | None:
    """Take `out` for this run; the newest whole checkpoint where it is resumed. ValueError where `out` holds another run."""
    folder = checkpoint_folder(out, run)
    folder.try_to_write()
    found = folder.all()
    if not resume and (found or (out / "model").exists()):
        place = out if (out / "model").exists() else folder.path
        raise ValueError(f"{place} already holds a run; add --resume to go on with it, or give another --out")
    if resume:
        _check_same_run(out, run)
        _check_there_is_a_way(out, run, found)
    with atomic_file(out / _RUN_NAME, "w") as file:
        json.dump(to_dict(run), file, indent=1)
    folder.remove_unfinished()
    return newest_whole(folder)


@contextmanager
def held(out: Path, world: World) -> Iterator[None]:
    """Nobody else trains into `out` meanwhile; a killed process holds nothing. ValueError where somebody does."""
    if not world.leads:
        yield
        return
    with folders.held(out, doing="training"):
        yield


def newest_whole(folder: CheckpointFolder) -> str | None:
    """The newest checkpoint whose files are what was written; damaged ones behind it are put aside, saying so. ValueError
    where all are damaged.
    """
    checkpoints = folder.all()
    wrong = dict[str, str]()
    for checkpoint in reversed(checkpoints):
        reason = damage(checkpoint) or _unreadable(checkpoint)
        if reason is None:
            for damaged, its_reason in wrong.items():
                put_aside(damaged)
                say(f"{damaged} is damaged ({its_reason}); going on from the one before it")
            return checkpoint
        wrong[checkpoint] = reason
    if checkpoints:
        newest = checkpoints[-1]
        raise ValueError(f"every checkpoint is damaged, as {newest} ({wrong[newest]}); remove them to begin anew")
    return None


def _unreadable(checkpoint: str) -> str | None:
    try:
        progress_of(checkpoint)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"progress.json makes no sense: {type(error).__name__} {error}"
    return None


def _check_there_is_a_way(out: Path, run: Run, found: list[str]) -> None:
    """ValueError where a run would begin anew although it has been somewhere."""
    if found:
        return
    if (out / "model").exists():
        raise ValueError(f"{out} has a finished model and no checkpoint to go on from; give another --out")
    if (out / _RUN_NAME).exists():
        before = from_dict(Run, json.loads((out / _RUN_NAME).read_text(encoding="utf-8"))).train.checkpoints
        if before != run.train.checkpoints:
            raise ValueError(
                f"no checkpoint in train.checkpoints={run.train.checkpoints or 'none'}; the run began with {before or 'none'}"
            )


def _check_same_run(out: Path, run: Run) -> None:
    """ValueError where the run in `out` was started with other settings than `run`, naming the first that differs."""
    path = out / _RUN_NAME
    if not path.exists():
        return
    try:
        before = flat(to_dict(from_dict(Run, json.loads(path.read_text(encoding="utf-8")))))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to go on with the settings that you give") from None
    if difference := first_difference(before, flat(to_dict(run)), free=_FREE):
        name, was, now = difference
        raise ValueError(
            f"{name} is {now!r}, but the run in {out} was started with {was!r};"
            " resume with the same settings, or give another --out"
        )
