"""Hidden copies are found in shards, once described never again, and the same by one process and by several."""

from pathlib import Path

import numpy as np
import pytest

import processes
from fullclip.core.distributed import World
from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.evaluation.overlap import training
from fullclip.evaluation.overlap.find import find_overlaps
from overlaps import as_pictures, find_work, hidden, jpeg
from pairs import make_shards

ALONE = World.single()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return make_shards(tmp_path_factory.mktemp("shards"), hidden()[1], pairs_per_shard=9)


def test_every_hidden_copy_is_found_with_its_picture(shards):
    ours, pairs, copies = hidden()
    pictures = as_pictures(ours)
    found = find_overlaps([(pictures, 0.8)], shards, cache=None, world=ALONE)
    matches = found.sets["photos"]
    assert {match.key: pictures.keys[match.row] for match in matches.copies} == copies
    assert found.num_pictures == len(pairs)
    similarities = matches.similarities(len(pictures))
    assert (similarities >= 0.8).tolist() == [f"p{i}" in copies.values() for i in range(len(pictures))]
    for row, match in matches.nearest.items():
        of_row = [one.similarity for one in matches.copies if one.row == row]
        assert match.similarity == max([match.similarity, *of_row])


def test_places_are_those_of_the_samples(shards):
    found = find_overlaps([(as_pictures(hidden()[0]), 0.8)], shards, cache=None, world=ALONE)
    keys = [pair.key for pair in hidden()[1]]
    for match in found.sets["photos"].copies:
        assert keys[9 * shards.index(match.shard) + match.sample] == match.key


def test_two_sets_are_looked_for_each_by_itself(shards):
    ours = hidden()[0]
    one, other = as_pictures(ours[:3], "one"), as_pictures(ours[3:], "other")
    found = find_overlaps([(one, 0.8), (other, 2.0)], shards, cache=None, world=ALONE)
    assert {match.row for match in found.sets["one"].copies} == {0, 1, 2}
    assert found.sets["other"].copies == ()


def test_what_was_described_is_not_decoded_again(tmp_path, shards, monkeypatch):
    sets = [(as_pictures(hidden()[0]), 0.8)]
    first = find_overlaps(sets, shards, cache=tmp_path, world=ALONE)
    decoded = []
    monkeypatch.setattr(training, "decode_image", lambda *a, **b: decoded.append(a) or (_ for _ in ()).throw(OSError))
    again = find_overlaps(sets, shards, cache=tmp_path, world=ALONE)
    assert (again.sets, again.num_pictures, decoded) == (first.sets, first.num_pictures, [])


@pytest.mark.faults
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", None])
def test_a_damaged_cache_is_made_again(tmp_path, shards, damage):
    sets = [(as_pictures(hidden()[0]), 0.8)]
    first = find_overlaps(sets, shards[:2], cache=tmp_path, world=ALONE)
    kept = sorted(tmp_path.rglob("*.npz"))[0]
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert find_overlaps(sets, shards[:2], cache=tmp_path, world=ALONE).sets == first.sets
    assert len(kept.read_bytes()) == len(whole)


def test_a_shard_that_has_changed_is_described_again(tmp_path):
    ours, pairs, _ = hidden()
    (shard,) = make_shards(tmp_path / "a", pairs[:5])
    sets = [(as_pictures(ours), 0.8)]
    find_overlaps(sets, [shard], cache=tmp_path / "cache", world=ALONE)
    (other,) = make_shards(tmp_path / "b", pairs[5:12])
    Path(shard).write_bytes(Path(other).read_bytes())
    (tmp_path / "a/000000.offsets.npy").unlink()
    assert find_overlaps(sets, [shard], cache=tmp_path / "cache", world=ALONE).num_pictures == 7


@pytest.mark.faults
def test_what_cannot_be_looked_at_is_counted(tmp_path):
    ours, pairs, _ = hidden()
    broken = Pair(key="broken", image=b"\xff\xd8\xff rubbish", texts=("x",))
    (shard,) = make_shards(tmp_path, [pairs[0], broken, *pairs[1:6]])
    data = Path(shard).read_bytes()
    Path(shard).write_bytes(data[: data.index(pairs[5].key.encode() + b".jpg") + 700])
    (tmp_path / "000000.offsets.npy").unlink()
    found = find_overlaps([(as_pictures(ours), 0.8)], [shard], cache=None, world=ALONE)
    assert found.num_pictures == 5
    assert found.drops.counts == {"unreadable image": 1, "torn shard": 1}
    assert "broken: not an image" in found.drops.examples["unreadable image"][0]


@pytest.mark.dist
@pytest.mark.parametrize("cache", [True, False])
def test_three_processes_find_what_one_finds(tmp_path, shards, cache):
    alone = find_work(ALONE, shards, None)
    assert alone.drops == Drops()
    for told in processes.run(find_work, 3, shards, str(tmp_path) if cache else None):
        assert told.sets["photos"].copies == alone.sets["photos"].copies
        assert told.num_pictures == alone.num_pictures
        one, other = (found.sets["photos"].similarities(12) for found in (told, alone))
        np.testing.assert_array_equal(one, other)


def test_pictures_of_arrays_and_of_files_are_described_alike():
    import io

    from PIL import Image

    from fullclip.evaluation.overlap.pictures import pictures_of
    from fullclip.evaluation.tasks.task import Example
    from overlaps import described
    from tasks import Listed

    image = hidden()[0][0]
    file = jpeg(image)
    decoded = Image.open(io.BytesIO(file)).convert("RGB")
    split = Listed([Example(key="a", image=file), Example(key="b", image=np.asarray(decoded)), Example(key="c", image=b"?")])
    found = pictures_of(split, name="s", cache=None, world=ALONE)
    np.testing.assert_array_equal(found.descriptors, described([decoded, decoded]))
    assert (sorted(found.keys), found.drops.counts) == (["a", "b"], {"unreadable image": 1})
