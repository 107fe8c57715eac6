"""Checkpoints written beside the training: the step waits for a copy in memory, and not for the disk."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from fullclip.core.distributed import World
from fullclip.train.checkpoints.contents import Progress, progress_to_dict
from fullclip.train.checkpoints.folder import CheckpointFolder, Place
from fullclip.train.config import Run


class Saver:
    """One checkpoint at a time, in a thread. What goes wrong in it is raised by the next call."""

    def __init__(self, folder: CheckpointFolder, run: Run, world: World, *, is_sharded: bool) -> None:
        self._folder, self._run = folder, run
        self._place = Place(rank=world.rank, size=world.size if is_sharded else 1)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[str] | None = None
        self._given_up = Event()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """The last checkpoint is written to its end; after an error, without waiting for processes that may be gone."""
        if kind is not None:
            self._given_up.set()
        self._pool.shutdown(wait=True)

    def save(self, progress: Progress, files: Mapping[str, Callable[[Path], None]]) -> None:
        """Begin to write; waits for the checkpoint before it."""
        self.wait()
        self._writing = self._pool.submit(self._write, progress, files)

    def _write(self, progress: Progress, files: Mapping[str, Callable[[Path], None]]) -> str:
        written = ""
        if files:
            content = progress_to_dict(progress, self._run)
            written = self._folder.write(progress.step, files, content, place=self._place, given_up=self._given_up)
        if self._place.rank == 0:
            self._folder.prune(keep=self._run.train.keep, milestone_every=self._run.train.milestone_every)
        return written

    def wait(self) -> None:
        """Until everything is written; OSError where it could not be."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def check(self) -> None:
        """Raise what went wrong in what is done by now, without waiting."""
        if self._writing is not None and self._writing.done():
            self.wait()
