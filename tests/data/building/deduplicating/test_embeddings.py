import json

import numpy as np
import pytest

from copies import contents, jpeg, killed, row, scene, write_stage
from fullclip.data.building.deduplicating import embeddings
from fullclip.data.building.deduplicating.deduplicate import deduplicate
from fullclip.data.building.deduplicating.embeddings import Embedding, _near
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions


def by_size(images):
    """A model that finds pictures alike whose files' last bytes say so."""
    return np.eye(8, dtype=np.float32)[[image[-1] for image in images]]


def rows():
    """Different pictures, of which number i is like number i + 4 to the model."""
    return [row(f"k{i}", jpeg(scene(i)) + bytes([i % 4]), "a text" if i > 3 else "a longer text") for i in range(8)] + [
        row("k0-copy", jpeg(scene(0), 50) + bytes([7]))
    ]


def run(folder, out, **options):
    embedding = Embedding(name="last byte", threshold=0.98, function=by_size)
    return deduplicate(partitions([str(folder)]), out=str(out), engine=Pool(1), embedding=embedding, **options)


def test_what_a_model_finds_alike_is_a_reason_of_its_own(tmp_path):
    report = run(write_stage(tmp_path / "in", rows(), num_parts=2), tmp_path / "out")
    assert {one.reason: one.count for one in report.dropped} == {"near copy (embedding)": 4, "near copy (picture)": 1}
    groups = [json.loads(line) for line in (tmp_path / "out/groups.jsonl").read_text().splitlines()]
    assert {one["kept"]: {gone["key"] for gone in one["removed"]} for one in groups}["k0"] == {"k0-copy", "k4"}


def test_only_the_first_of_a_group_is_embedded(tmp_path):
    run(write_stage(tmp_path / "in", rows()), tmp_path / "out")
    assert np.load(tmp_path / "out/embeddings/000000.npy").shape == (8, 8)


@pytest.mark.faults
def test_killed_it_goes_on_to_the_same_bytes(tmp_path):
    folder = write_stage(tmp_path / "in", rows(), num_parts=3)
    run(folder, tmp_path / "straight")
    kills = 0
    while killed(2 + 3 * kills, run, folder, tmp_path / "killed"):
        kills += 1
        assert kills < 20
    assert kills >= 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


def test_a_table_s_pictures_cannot_be_embedded(tmp_path):
    table = tmp_path / "rows.jsonl"
    table.write_text('{"url": "u", "text": "t"}\n')
    with pytest.raises(ValueError, match="leave out --embed"):
        run(table, tmp_path / "out")


def clouds(number, cosine, *, dim=64, seed=0):
    """Pairs of vectors with this cosine, all of them about a common mean as a model's are."""
    random = np.random.default_rng(seed)
    first = random.normal(size=(number, dim)) + 0.5
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    other = random.normal(size=(number, dim))
    other -= (other * first).sum(axis=1, keepdims=True) * first
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    second = cosine * first + np.sqrt(1 - cosine**2) * other
    return np.concatenate([first, second]).astype(np.float16)


def near_pairs(vectors, threshold):
    return {pair for a, b in _near(vectors, threshold) for pair in zip(a.tolist(), b.tolist(), strict=True)}


def test_few_pictures_are_all_compared():
    vectors = clouds(200, 0.985)
    wide = vectors.astype(np.float32)
    naive = {(i, j) for i, j in zip(*np.nonzero(np.triu(wide @ wide.T, 1) >= 0.98), strict=True)}
    assert near_pairs(vectors, 0.98) == naive
    assert len(naive) >= 195


def test_bands_find_nearly_all_pairs_of_many(monkeypatch):
    monkeypatch.setattr(embeddings, "_ALL_PAIRS", 0)
    vectors = clouds(2000, 0.99)
    found = {tuple(sorted(pair)) for pair in near_pairs(vectors, 0.98)}
    assert np.mean([(i, i + 2000) in found for i in range(2000)]) > 0.99
    assert len(found) == 2000
