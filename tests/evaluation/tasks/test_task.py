"""What a task is, whatever its layout: refusals, subsets, digests that change with the data and with nothing else."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fullclip.core.types import Pair
from fullclip.data.shards import write_shards
from fullclip.evaluation.tasks import digests
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import METRICS_OF, Chosen, check_classes, limited, runs
from tasks import Listed, colour_task, examples


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"splits": {"train": Listed(examples(2, 1))}}, "there is no test split, only train"),
        ({"splits": {}}, "there is no test split, only nothing"),
        ({"splits": {"test": Listed([])}}, "the split 'test' is empty; leave it out or fill it"),
        ({"splits": {"test": Listed(examples(2, 1)), "train": Listed([])}}, "the split 'train' is empty"),
        ({"classes": (("a",),)}, "1 classes; a classification needs at least two"),
        ({"classes": ()}, "0 classes"),
        ({"classes": (("a",), ())}, "class 1 has an empty name"),
        ({"classes": (("a",), ("b", " "))}, "class 1 has an empty name"),
        ({"classes": (("a",), ("b", "a"))}, "classes 0 and 1 are both called 'a'; rename one"),
        ({"classes": (("Polar bear",), ("polar  Bear",))}, "both called 'polar  Bear'"),
        ({"metric": "recall@1"}, "recall@1 is no metric of a classification task; there are: accuracy, mean_per_class"),
        ({"metric": "roc_auc"}, "3 classes; roc_auc is of two"),
        ({"name": ""}, "'' cannot be the name of a task"),
        ({"name": "a/../b"}, "'a/../b' cannot be the name"),
        ({"name": "/a"}, "'/a' cannot be"),
        ({"name": "a\nb"}, "cannot be"),
        ({"name": "x" * 101}, "cannot be"),
    ],
)
def test_what_is_no_task(change, part):
    with pytest.raises(ValueError) as found:
        replace(colour_task(), **change)
    assert part in str(found.value)
    assert "\n" not in str(found.value)


def test_imagenets_two_pairs_of_one_name_are_taken_as_published():
    names = [(f"thing {i}",) for i in range(998)]
    check_classes((*names, ("missile",), ("missile",)), "t")
    with pytest.raises(ValueError, match="classes 998 and 999 are both called 'rocket'"):
        check_classes((*names, ("rocket",), ("rocket",)), "t")
    with pytest.raises(ValueError, match="classes 997 and 998 are both called 'missile'"):
        check_classes((*names[:997], ("missile",), ("missile",)), "t")


def test_every_kind_has_its_metrics():
    assert {kind: metrics[0] for kind, metrics in METRICS_OF.items()} == {
        "classification": "accuracy",
        "multilabel": "map_11_point",
        "retrieval": "recall@1",
    }


def test_runs_are_the_consecutive_places():
    places = [0, 1, 2, 5, 7, 8, 20]
    assert list(runs(places)) == [range(3), range(5, 6), range(7, 9), range(20, 21)]
    assert [place for run in runs(places) for place in run] == places
    assert list(runs([])) == []


class Counted(Listed):
    """Counts how often it is asked."""

    asked = 0

    def read(self, places):
        self.asked += 1
        return super().read(places)


def test_a_subset_is_the_same_every_time_and_is_read_in_runs():
    whole = Counted(examples(4, 250))
    chosen = Chosen(whole, 900)
    keys = [one.key for one in chosen.read(range(900))]
    assert whole.asked < 150  # a tenth is left out, so that a run has about ten places
    assert len(set(keys)) == 900
    assert [one.key for one in Chosen(Listed(examples(4, 250)), 900).read(range(900))] == keys
    assert [one.key for one in chosen.read(range(100, 130))] == keys[100:130]
    order = [one.key for one in whole.examples]
    assert keys == sorted(keys, key=order.index)


def test_a_subset_has_about_its_share_of_each_class():
    labels = [one.labels[0] for one in Chosen(Listed(examples(4, 250)), 200).read(range(200))]
    # hypergeometric: 50 expected of each, a standard deviation of 5.5
    assert all(abs(count - 50) < 4 * 5.5 for count in np.bincount(labels))


def test_a_limit():
    task = colour_task(splits=("train", "test"), per_class=6)
    small = limited(task, 10)
    assert {name: len(split) for name, split in small.splits.items()} == {"train": 10, "test": 10}
    assert small.note == "At most 10 images of a split, chosen at random."
    assert limited(task, 18) is task
    assert len({split.digest() for split in (*small.splits.values(), *task.splits.values())}) == 4
    with pytest.raises(ValueError, match="0 images of each split; at least 1 is needed"):
        limited(task, 0)


# Digests


def digest(folder: Path, split: str = "test") -> str:
    return find_task(str(folder)).splits[split].digest()


def settle(folder: Path) -> None:
    """As if the files were older than the clock of a file system is coarse."""
    long_ago = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)


FILES = {"test/cat/1.png": 1, "test/cat/2.png": 2, "test/dog/3.png": 3, "train/cat/1.png": 4, "train/dog/1.png": 5}


def test_a_digest_is_of_what_is_there_not_of_where_and_when(tree, tmp_path):
    folder = tree(FILES)
    shutil.copytree(folder, tmp_path / "copy")
    settle(tmp_path / "copy")
    assert digest(folder) == digest(tmp_path / "copy") == digest(folder)
    assert digest(folder) != digest(folder, "train")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "test/cat/2.png").write_bytes((f / "test/dog/3.png").read_bytes()),
        lambda f: (f / "test/cat/2.png").rename(f / "test/dog/2.png"),
        lambda f: (f / "test/cat/2.png").unlink(),
        lambda f: (f / "test/cat/4.png").write_bytes(b"x"),
        lambda f: (f / "test/9.png").write_bytes(b"x"),
        lambda f: (f / "task.toml").write_text("[classes]\ndog = 'dog'\ncat = 'cat'"),
    ],
    ids=["image", "label", "less", "more", "skipped", "order of classes"],
)
def test_a_digest_changes_with_what_is_there(tree, change):
    folder = tree(FILES)
    before = digest(folder)
    change(folder)
    assert digest(folder) != before


def test_a_digest_changes_with_the_facts_of_a_table(tree):
    rows = "image,label,offset\ntest/cat/1.png,a,0\ntest/cat/2.png,b,1\n"
    folder = tree({**FILES, "labels.csv": rows, "task.toml": "labels = 'labels.csv'"})
    found = {digest(folder)}
    for change in (rows.replace(",1\n", ",2\n"), rows.replace(",a,", ",b,").replace(",b,1", ",a,1")):
        (folder / "labels.csv").write_text(change)
        found.add(digest(folder))
    assert len(found) == 3


def test_a_digest_changes_with_a_caption_and_an_image_of_pairs(tree, tmp_path, picture):
    folder = tree({"1.png": 1, "1.txt": "a dog", "task.toml": "kind = 'retrieval'"})
    found = [digest(folder), digest(folder)]
    (folder / "1.txt").write_text("a cat")
    found.append(digest(folder))
    (folder / "1.png").write_bytes(picture(2))
    found.append(digest(folder))
    shards = tmp_path / "shards"
    write_shards([Pair(key="1", image=picture(1), texts=("a dog",))], shards)
    found += [digest(shards), digest(shards)]
    assert len(set(found)) == 4


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that are read to be hashed."""
    found: list[str] = []
    really = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: found.append(path.name) or really(path))
    return found


def test_files_are_hashed_again_only_where_they_may_have_changed(tree, hashed, monkeypatch):
    now = time.time_ns()
    folder = tree(FILES)
    assert digest(folder) == digest(folder)
    assert len(hashed) == 2 * 3  # just written: a second write within the same tick would go unseen
    monkeypatch.setattr(digests.time, "time_ns", lambda: now + 3600 * 10**9)
    first = digest(folder)
    hashed.clear()
    assert digest(folder) == first
    assert hashed == []
    old = (folder / "test/cat/1.png").stat()
    data = bytearray((folder / "test/cat/1.png").read_bytes())
    data[-20] ^= 1
    time.sleep(0.05)  # longer than a tick of the file system's clock
    (folder / "test/cat/1.png").write_bytes(bytes(data))
    os.utime(folder / "test/cat/1.png", ns=(old.st_atime_ns, old.st_mtime_ns))  # as rsync and unpackers do
    assert digest(folder) != first
    assert sorted(hashed) == ["1.png", "2.png"]  # its folder's, and not the dog's


def test_what_is_kept_of_a_table_is_kept_by_folder_whatever_its_order(tree, monkeypatch, tmp_path):
    now = time.time_ns()
    monkeypatch.setattr(digests.time, "time_ns", lambda: now + 3600 * 10**9)
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    rows = [f"{side}/{i}.png,{side}" for i in range(20) for side in ("left", "right")]
    pictures = {f"{side}/{i}.png": i for i in range(20) for side in ("left", "right")}
    folder = tree({**pictures, "labels.csv": "\n".join(["image,label", *rows]), "task.toml": "labels = 'labels.csv'"})
    first = digest(folder)
    assert len([path for path in (tmp_path / "cache/digests").rglob("*") if path.is_file()]) == 2
    shutil.rmtree(tmp_path / "cache")
    assert digest(folder) == first


def test_a_shard_is_hashed_once(tmp_path, hashed, monkeypatch, picture):
    now = time.time_ns()
    monkeypatch.setattr(digests.time, "time_ns", lambda: now + 3600 * 10**9)
    pairs = [Pair(key=str(i), image=picture(i), texts=(f"picture {i}",)) for i in range(6)]
    write_shards(pairs, tmp_path / "s", pairs_per_shard=2)
    first = digest(tmp_path / "s")
    assert len(hashed) == 3
    assert digest(tmp_path / "s") == first
    assert len(hashed) == 3


@pytest.mark.faults
def test_what_is_kept_of_digests_may_be_damaged_or_not_written(tree, monkeypatch, tmp_path):
    now = time.time_ns()
    monkeypatch.setattr(digests.time, "time_ns", lambda: now + 3600 * 10**9)
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    folder = tree(FILES)
    first = digest(folder)
    kept = [path for path in (tmp_path / "cache/digests").rglob("*") if path.is_file()]
    assert len(kept) == 2
    for content in (b"", b"\xff" * 64, b"0" * 63):
        for path in kept:
            path.write_bytes(content)
        assert digest(folder) == first
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "file"))
    assert digest(folder) == first
