"""From a stage's folder to shards, all of it in an S3 store."""

from pathlib import Path

import fsspec
import pytest

from copies import contents, jpeg, row, scene, write_stage
from fullclip.data.building.deduplicating.deduplicate import deduplicate
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions
from fullclip.data.building.sharding.order import Limit
from fullclip.data.building.sharding.shard import works_of, write_all
from fullclip.data.shards import find_shards, read_index
from stores import s3_store


@pytest.fixture
def bucket():
    with s3_store("bucket"):
        yield "s3://bucket"


def build(root: str) -> None:
    deduplicate(partitions([f"{root}/in"]), out=f"{root}/unique", engine=Pool(1))
    write_all(works_of(f"{root}/unique"), out=f"{root}/shards", engine=Pool(1), limit=Limit(pairs=4), seed=0)


def test_it_is_the_same_as_on_this_machine(tmp_path, bucket):
    rows = [row(f"k{i}", jpeg(scene(i)), "a longer text") for i in range(6)] + [row("copy", jpeg(scene(0), 50))]
    write_stage(tmp_path / "in", rows, num_parts=2)
    store = fsspec.filesystem("s3")
    store.put(str(tmp_path / "in"), "bucket/in", recursive=True)
    build(str(tmp_path))
    build(bucket)
    build(bucket)
    store.get("bucket/shards", str(tmp_path / "fetched"), recursive=True)
    local, remote = contents(tmp_path / "shards"), contents(Path(tmp_path / "fetched"))
    # the plan says which files were read, and these are others
    assert {**local, "sharding.json": b""} == {**remote, "sharding.json": b""}
    assert len(find_shards([f"{bucket}/shards"])) == 2
    assert read_index(f"{bucket}/shards").num_pairs == 6
