import io

import numpy as np
import pytest
from PIL import Image

from copies import jpeg, png, row, scene, write_stage
from fullclip.data.building.deduplicating.candidates import count_bits
from fullclip.data.building.deduplicating.looks import FLAT, LIVELY, NO_PICTURE, UNREADABLE, hashes_of, levels_of, look_at_part
from fullclip.data.building.rows import partitions
from fullclip.preprocess.descriptor import describe
from overlaps import CHANGES, drawings


def look(tmp_path, rows):
    (work,) = partitions([str(write_stage(tmp_path / "in", rows))])
    return look_at_part(work)


def hash_of(image):
    return hashes_of(describe(image)[None])[0]


@pytest.mark.parametrize("change", ["recompressed", "64 pixels", "squashed", "larger", "brighter", "darker", "grey"])
def test_copies_differ_in_few_bits(change):
    bits = [int(count_bits(np.array([hash_of(CHANGES[change](one)) ^ hash_of(one)]))[0]) for one in drawings()]
    assert np.quantile(bits, 0.95) <= 12


def test_different_pictures_differ_in_many_bits():
    hashes = np.array([hash_of(scene(seed)) for seed in range(150)])
    differing = count_bits((hashes[:, None] ^ hashes[None])[np.triu_indices(150, 1)])
    assert 30 < differing.mean() < 34
    assert differing.min() > 8


def test_a_part_of_a_picture_has_the_hash_of_the_picture_that_is_cut():
    image = scene(3, size=(320, 320))
    part = hashes_of(describe(image)[None], (0.1, 0.9), (0.2, 1.0))
    cut = hash_of(image.crop((32, 64, 288, 320)))
    assert count_bits(part ^ cut)[0] <= 5


def test_levels_are_means(tmp_path):
    image = scene(1)
    descriptor = describe(image)[None]
    expected = [round(part.mean()) for part in (descriptor[0, :1024], descriptor[0, 1024:1040], descriptor[0, 1040:])]
    assert levels_of(descriptor)[0].tolist() == expected


def test_each_row_is_looked_at(tmp_path):
    image = scene(0)
    rows = [
        row("a", jpeg(image), "two words"),
        row("b", png(Image.new("RGB", (40, 40), "white"))),
        row("c", jpeg(image)[:200]),
        row("d", None),
        row("e", b"<svg/>"),
    ]
    done = look(tmp_path, rows)
    assert done.num_in == 5
    assert not done.drops.counts
    assert done.counts == {"pictures": 2, "flat_pictures": 1}
    table = done.table.to_pylist()
    assert [one["kind"] for one in table] == [LIVELY, FLAT, UNREADABLE, NO_PICTURE, UNREADABLE]
    assert [one["pixels"] for one in table] == [96 * 72, 1600, 0, 0, 0]
    assert [one["length"] for one in table] == [9, 6, 6, 6, 6]
    assert np.frombuffer(table[0]["descriptor"], np.uint8).tolist() == describe(Image.open(io.BytesIO(jpeg(image)))).tolist()
    assert len({one["digest"] for one in table}) == 5


def test_without_keys_it_is_no_stage_s_part(tmp_path):
    (work,) = partitions([str(write_stage(tmp_path / "in", [{"url": "u", "text": "t"}]))])
    with pytest.raises(ValueError, match="no column key among"):
        look_at_part(work)
