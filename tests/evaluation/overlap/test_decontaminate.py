"""Shards in, shards without the hidden copies out: whole or not at all, once, and never over what is there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import processes
from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.evaluation.overlap import decontaminate as module
from fullclip.evaluation.overlap.decontaminate import PAGE, REPORT, Wanted, decontaminate
from fullclip.evaluation.overlap.wanted import wanted_split
from overlaps import clean_work, hidden, jpeg, task_of
from pairs import make_pairs, make_shards

ALONE = World.single()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return make_shards(tmp_path_factory.mktemp("shards"), hidden()[1], pairs_per_shard=15)


def photos(*, threshold: float | None = 0.8) -> Wanted:
    return Wanted(name="photos", split=task_of(hidden()[0], torn=True).splits["test"], threshold=threshold)


def clean(shards, out, *wanted):
    return decontaminate(wanted or [photos()], shards, out=out, cache=None, world=ALONE)


def test_the_hidden_copies_are_gone_and_the_rest_is_there(tmp_path, shards):
    _, pairs, copies = hidden()
    told = clean(shards, tmp_path / "out")
    left = [pair for shard in find_shards([str(tmp_path / "out")]) for pair in read_shard(shard, Drops(strict=True))]
    assert left == [pair for pair in pairs if pair.key not in copies]
    found = told["sets"]["photos"]
    assert {pair["training_key"]: pair["key"] for pair in found["pairs"]} == copies
    assert [pair["similarity"] for pair in found["pairs"]] == sorted((p["similarity"] for p in found["pairs"]), reverse=True)
    assert (told["num_removed"], found["num_training"], found["num_found"]) == (12, 12, 6)
    assert found["not_looked_at"]["unreadable image"]["count"] == 1
    kept = json.loads((tmp_path / "out" / REPORT).read_text())
    assert kept == {**told, "num_left": len(left)}


def test_the_page_shows_every_pair_and_needs_nothing_beside_it(tmp_path, shards):
    clean(shards, tmp_path / "out")
    page = (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    shown = re.findall(r'alt="training picture (\w+)"', page)
    assert sorted(shown) == sorted(hidden()[2])
    assert page.count('src="data:image/jpeg;base64,') == 24
    assert not re.search(r'(src|href)="(?!data:)', page)
    similarities = [float(number) for number in re.findall(r"<figcaption><b>([\d.]+)", page)]
    assert similarities == sorted(similarities, reverse=True)


def test_the_same_call_again_only_tells(tmp_path, shards, monkeypatch):
    first = clean(shards, tmp_path / "out")
    monkeypatch.setattr(module, "find_overlaps", None)
    assert {**first, "num_left": 28} == clean(shards, tmp_path / "out")


def test_another_call_is_refused(tmp_path, shards):
    clean(shards, tmp_path / "out")
    with pytest.raises(ValueError, match=r"out holds the result of other shards, tasks or thresholds; give another --out"):
        clean(shards, tmp_path / "out", photos(threshold=0.9))
    (tmp_path / "out" / REPORT).write_text("{")
    with pytest.raises(ValueError, match=r"decontamination.json: damaged; give another --out"):
        clean(shards, tmp_path / "out")


def test_nothing_is_written_over(tmp_path, shards):
    with pytest.raises(ValueError, match="holds the shards that are read; give another --out"):
        clean(shards, Path(shards[0]).parent)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="mine is not empty and no decontamination; give another --out"):
        clean(shards, tmp_path / "mine")
    with pytest.raises(ValueError, match="is a file; --out is a folder"):
        clean(shards, tmp_path / "mine/letter.txt")


@pytest.mark.faults
def test_an_interrupted_call_leaves_nothing_and_can_be_made_again(tmp_path, shards, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_page", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            clean(shards, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert clean(shards, tmp_path / "out")["num_removed"] == 12


def test_without_out_nothing_is_written(tmp_path, shards):
    before = sorted(tmp_path.iterdir())
    assert clean(shards, None)["num_removed"] == 12
    assert sorted(tmp_path.iterdir()) == before


def test_two_sets_of_one_name_are_an_error(shards):
    with pytest.raises(ValueError, match="two sets have one name"):
        clean(shards, None, photos(), photos())


def test_a_torn_shard_is_an_error(tmp_path):
    (shard,) = make_shards(tmp_path / "in", make_pairs(4))
    Path(shard).write_bytes(Path(shard).read_bytes()[:3000])
    with pytest.raises(ValueError, match="is torn from byte"):
        clean([shard], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.dist
def test_two_processes_write_what_one_writes(tmp_path, shards):
    alone = clean(shards, tmp_path / "one")
    told = processes.run(clean_work, 2, shards, str(tmp_path / "two"))
    assert told == [alone, alone]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_what_is_wanted_may_be_a_task_a_folder_or_shards(tmp_path, shards):
    ours = hidden()[0]
    for i, image in enumerate(ours[:4]):
        for place in (f"flat/{i}.jpg", f"classes/{'ab'[i % 2]}/{i}.jpg"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_bytes(jpeg(image))
    for name, keys in (
        ("flat", ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]),
        ("classes", ["a/0.jpg", "a/2.jpg", "b/1.jpg", "b/3.jpg"]),
    ):
        found, split = wanted_split(str(tmp_path / name))
        assert (found, [example.key for example in split.read(range(len(split)))]) == (name, keys)
    found, split = wanted_split(shards[1])
    assert (found, len(split)) == ("000001", 15)
    example = next(split.read(range(3, 4)))
    assert example.key == f"000001.tar:3:{hidden()[1][18].key}"
    assert example.image == hidden()[1][18].image


def test_what_is_wanted_has_to_be_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), str(tmp_path / "nowhere"), "cifar11"):
        with pytest.raises(ValueError, match=r"or give a folder of images, or \.tar shards"):
            wanted_split(name)


def test_grey_levels_and_small_pictures_are_shown_too(tmp_path):
    from fullclip.evaluation.overlap.page import _data_url

    for image in (np.zeros((1, 1, 3), dtype=np.uint8), jpeg(Image.new("L", (900, 3)))):
        assert _data_url(image).startswith("data:image/jpeg;base64,")
