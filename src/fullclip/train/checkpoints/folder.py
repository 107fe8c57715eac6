"""Where checkpoints lie: `<folder>/<step>/`, local or remote. A checkpoint is one when its progress.json is there, which is
written last and names every other file with its SHA-256; a local one gets its name only then, too.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from fullclip.core.folders import appeared, names_in, read_text, remove, upload
from fullclip.core.storage import complain_of_a_full_disk, fsync, is_remote, sha256

PROGRESS = "progress.json"
_PATIENCE = 1800.0  # seconds that the leader waits for the other processes' files
_LOOK_EVERY = 0.05


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one run."""

    path: str

    def all(self) -> list[str]:
        """Finished checkpoints, oldest first."""
        names = [name for name in names_in(self.path) if name.isdigit() and appeared(f"{self._named(name)}/{PROGRESS}")]
        return [self._named(name) for name in sorted(names, key=int)]

    def at(self, step: int) -> str:
        """The checkpoint of a step, there or not."""
        return self._named(f"{step:08d}")

    def _named(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def write(
        self,
        step: int,
        files: Mapping[str, Callable[[Path], None]],
        progress: Mapping[str, Any],
        *,
        place: "Place",
        given_up: Event | None = None,
    ) -> str:
        """Write this process's `files` (name -> what writes it) and, as the leader, finish the checkpoint when the files of
        all processes are there. `given_up`: set from elsewhere when they will never be.
        """
        target = self.at(step)
        draft = target if is_remote(target) else self._named(f".{step:08d}.partial")
        if is_remote(target) and place.rank == 0 and is_checkpoint(target):  # a run that went back comes by this step again
            remove_checkpoint(target)
        try:
            hashes = _put(draft, files)
            _put(draft, {_receipt(place.rank): lambda path: path.write_text(json.dumps(hashes), encoding="utf-8")})
            if place.rank == 0:
                content = {**progress, "files": _collect(draft, place.size, given_up or Event())}
                _put(draft, {PROGRESS: lambda path: path.write_text(json.dumps(content), encoding="utf-8")})
                if not is_remote(target):
                    _finish(Path(draft), Path(target))
        except Exception:
            if not is_remote(target):
                try:
                    complain_of_a_full_disk(Path(draft))
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
            raise
        return target

    def try_to_write(self) -> None:
        """ValueError where a remote folder cannot be written to, before there is anything to lose."""
        if not is_remote(self.path):
            return
        probe = f"{self.path.rstrip('/')}/.probe"
        try:
            _put(self.path, {".probe": lambda path: path.write_text("can this be written?", encoding="utf-8")})
            remove(probe)
        except Exception as error:  # each store has its own words
            raise ValueError(f"train.checkpoints={self.path} cannot be written to ({error}); name a place that can") from None

    def prune(self, *, keep: int, milestone_every: int | None) -> None:
        """Remove all but the newest `keep` and those whose step is a multiple of `milestone_every`."""
        for old in self.all()[:-keep]:
            step = int(old.rpartition("/")[2])
            if milestone_every is None or step % milestone_every:
                remove_checkpoint(old)

    def remove_unfinished(self) -> None:
        """Remove what a killed process was writing."""
        finished = {path.rpartition("/")[2] for path in self.all()}
        for name in names_in(self.path):
            if (name.isdigit() and name not in finished) or name.endswith(".partial"):
                remove(self._named(name))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of the writing processes this is."""

    rank: int
    size: int


def is_checkpoint(path: str) -> bool:
    """Whether a run in training wrote this folder."""
    return appeared(f"{path}/{PROGRESS}")


def damage(checkpoint: str) -> str | None:
    """What is wrong with a checkpoint's files, or None where all are as they were written. OSError where a remote store does
    not answer, which says nothing of the files.
    """
    try:
        progress = read_progress(checkpoint)
        for name, digest in progress["files"].items():
            if sha256(f"{checkpoint}/{name}") != digest:
                return f"{name} is not what was written"
    except OSError as error:
        if is_remote(checkpoint) and not isinstance(error, FileNotFoundError):
            raise
        return str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def read_progress(checkpoint: str) -> dict[str, Any]:
    """What progress.json holds."""
    return dict(json.loads(read_text(f"{checkpoint}/{PROGRESS}")))


def remove_checkpoint(checkpoint: str) -> None:
    """Remove a checkpoint; progress.json first, so that half a removal leaves none that looks whole."""
    remove(f"{checkpoint}/{PROGRESS}")
    remove(checkpoint)


def put_aside(checkpoint: str) -> None:
    """Have a damaged checkpoint not be one any more: a local one keeps its files under another name."""
    if is_remote(checkpoint):
        remove_checkpoint(checkpoint)
    else:
        os.rename(checkpoint, f"{checkpoint}.damaged-{time.time_ns()}")


def _receipt(rank: int) -> str:
    return f"written-{rank:05d}.json"


def _put(folder: str, files: Mapping[str, Callable[[Path], None]]) -> dict[str, str]:
    """Write files into a folder, each whole or not at all; their hashes."""
    hashes = {}
    with _local(folder) as local:
        for name, write in files.items():
            draft = Path(local) / f".{name}"
            write(draft)
            fsync(draft)
            hashes[name] = sha256(draft)
            if is_remote(folder):
                upload(draft, f"{folder}/{name}")
                draft.unlink()
            else:
                os.replace(draft, Path(local) / name)
    return hashes


def _local(folder: str) -> AbstractContextManager[str]:
    """Where files are written first: the folder itself, or, for a remote one, a place to upload from."""
    if is_remote(folder):
        return tempfile.TemporaryDirectory(prefix="fullclip-")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return nullcontext(folder)


def _collect(folder: str, size: int, given_up: Event) -> dict[str, str]:
    """Everyone's hashes, waited for; the receipts are then removed."""
    hashes: dict[str, str] = {}
    until = time.monotonic() + _PATIENCE
    for path in (f"{folder}/{_receipt(rank)}" for rank in range(size)):
        while not appeared(path):
            if given_up.is_set() or time.monotonic() > until:
                raise TimeoutError(f"{path}: another process has not written it, so this checkpoint is none")
            time.sleep(_LOOK_EVERY)
        hashes |= json.loads(read_text(path))
    for rank in range(size):
        remove(f"{folder}/{_receipt(rank)}")
    return hashes


def _finish(draft: Path, target: Path) -> None:
    if target.exists():  # a run that went back comes by this step again
        shutil.rmtree(target)
    os.rename(draft, target)
    fsync(target.parent)
