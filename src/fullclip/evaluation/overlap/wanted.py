"""What must not be trained on, by name: a task's test split, a folder of pictures, or shards of them -> a split to look for."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from fullclip.core.storage import is_remote, sha256
from fullclip.data.groups import parse_group, read_groups, read_table
from fullclip.data.shards import find_shards
from fullclip.evaluation.datasets import DATASETS
from fullclip.evaluation.overlap.training import sample_image
from fullclip.evaluation.tasks.files import File, FileSplit, images_in
from fullclip.evaluation.tasks.find import find_task
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
        self._paths = list(paths)
        self._tables = [read_table(path) for path in self._paths]
        for path, table in zip(self._paths, self._tables, strict=True):
            if table.torn_at is not None:
                raise ValueError(f"{path} is torn from byte {table.torn_at:,}; fetch it again")
        self._starts = [0, *accumulate(table.num_groups for table in self._tables)]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, places: range) -> Iterator[Example | Skipped]:
        at = places.start
        while at < places.stop:
            shard = bisect_right(self._starts, at) - 1
            first, end = self._starts[shard], min(places.stop, self._starts[shard + 1])
            groups = read_groups(self._paths[shard], self._tables[shard], range(at - first, end - first))
            for number, data in enumerate(groups, at - first):
                yield self._example(data, f"{self._paths[shard].rpartition('/')[2]}:{number}")
            at = end

    def digest(self) -> str:
        return hashlib.sha256(" ".join(sha256(path) for path in self._paths).encode()).hexdigest()

    def _example(self, data: bytes | None, place: str) -> Example | Skipped:
        group = None if data is None else parse_group(data)
        if group is None:
            return Skipped(key=place, reason="torn sample")
        image = sample_image(group[1])
        key = f"{place}:{group[0]}"  # keys of shards that were written apart may be alike
        return Skipped(key=key, reason="sample without image") if image is None else Example(key=key, image=image)
