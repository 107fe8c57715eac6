"""What must not be trained on, by name: a task's test split, a folder of pictures, or shards of them -> a split to look for."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fullclip.core.storage import is_remote, sha256
from fullclip.data.groups import parse_group
from fullclip.data.shards import find_shards
from fullclip.evaluation.datasets import DATASETS
from fullclip.evaluation.overlap.training import sample_image
from fullclip.evaluation.tasks.files import File, FileSplit, images_in
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.groups import ShardGroups
from fullclip.evaluation.tasks.task import Example, Skipped, Split


def wanted_split(name: str, *, root: Path | None = None) -> tuple[str, Split]:
    """(the set's name, its pictures). ValueError where there are none, or the set is not here.

    A name of `fullclip evaluate --list` or a task's folder stands for its test split; any other folder for all images in it,
    at any depth; .tar files, globs and folders of them for all pictures in those shards.
    """
    if name.endswith(".tar") or any(letter in name for letter in "*?{"):
        return name.rstrip("/").rpartition("/")[2].removesuffix(".tar"), ShardPictures(find_shards([name]))
    try:
        task = find_task(name, root=root)
    except ValueError as error:
        images = images_in(Path(name)) if name not in DATASETS and not is_remote(name) and Path(name).is_dir() else []
        if not images:
            raise ValueError(f"{error}; or give a folder of images, or .tar shards") from None
        files = [File(path=path, key=path.relative_to(name).as_posix(), labels=()) for path in images]
        return Path(name).resolve().name, FileSplit(files)
    return task.name, task.splits["test"]


class ShardPictures(Split):
    """The pictures of shards, whatever else their samples hold."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._groups = ShardGroups(paths)

    def __len__(self) -> int:
        return len(self._groups)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place, data in self._groups.read(places):
            yield self._example(data, place)

    def digest(self) -> str:
        return hashlib.sha256(" ".join(sha256(path) for path in self._groups.paths).encode()).hexdigest()

    def _example(self, data: bytes | None, place: str) -> Example | Skipped:
        group = None if data is None else parse_group(data)
        if group is None:
            return Skipped(key=place, reason="torn sample")
        image = sample_image(group[1])
        key = f"{place}:{group[0]}"  # keys of shards that were written apart may be alike
        return Skipped(key=key, reason="sample without image") if image is None else Example(key=key, image=image)
