"""The samples of shards, one shard after another, readable from any place on."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from fullclip.data.groups import read_groups, read_table


class ShardGroups:
    """Numbered samples of shards as bytes. ValueError for a shard that is torn."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        self._tables = [read_table(path) for path in self.paths]
        for path, table in zip(self.paths, self._tables, strict=True):
            if table.torn_at is not None:
                raise ValueError(f"{path} is torn from byte {table.torn_at:,}; fetch it again")
        self._starts = [0, *accumulate(table.num_groups for table in self._tables)]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, places: range) -> Iterator[tuple[str, bytes | None]]:
        """(the shard's name and the number in it, the sample's bytes; None where they cannot be read) of each place."""
        at = places.start
        while at < places.stop:
            shard = bisect_right(self._starts, at) - 1
            first, end = at - self._starts[shard], min(places.stop, self._starts[shard + 1]) - self._starts[shard]
            name = self.paths[shard].rpartition("/")[2]
            for number, data in enumerate(read_groups(self.paths[shard], self._tables[shard], range(first, end)), first):
                yield f"{name}:{number}", data
            at = self._starts[shard] + end
