"""Kinds as pairs of their own: whose views show them, and that each class has its share."""

import numpy as np
import pytest
from kinds import classes_by_kind, shown_by, views_by_class

from fullclip.core.types import Pair
from fullclip.data.shards import write_shards
from fullclip.preprocess.features import pack_features

VIEWS = {name: np.full((4, 2), value, dtype=np.float32) for value, name in enumerate("abc")}


@pytest.mark.parametrize("count", [3, 7, 12])
def test_each_class_has_its_share(count):
    shown = shown_by(list("abc"), VIEWS, count=count, random=np.random.default_rng(0))
    counts = np.bincount(shown[:, 0].astype(int), minlength=3)
    assert shown.shape == (count, 2)
    assert counts.max() - counts.min() <= 1


def test_views_are_collected_by_class(tmp_path):
    pairs = [
        Pair(key=str(i), image=pack_features(np.full((2, 3), float(i))), texts=("x",), meta={"wnid": f"n0000000{i % 2}"})
        for i in range(6)
    ]
    write_shards(pairs, tmp_path / "shards")
    found = views_by_class([str(tmp_path / "shards")])
    assert {wnid: views[:, 0].tolist() for wnid, views in found.items()} == {
        "n00000000": [0, 0, 2, 2, 4, 4],
        "n00000001": [1, 1, 3, 3, 5, 5],
    }


class Above:
    """Stands in for ClassTexts: what each class is a kind of, by name."""

    def __init__(self, above: dict[str, list[str]]) -> None:
        self.above = above

    def hypernyms(self, wnid: str) -> list[tuple[object, str]]:
        synset = type("Synset", (), {})
        return [(type("Named", (synset,), {"wnid": kind})(), kind) for kind in self.above[wnid]]


def test_a_kind_has_all_classes_below_it():
    above = Above({"sorrel": ["horse", "animal"], "zebra": ["animal"], "jeep": ["car", "car"]})
    assert classes_by_kind(["sorrel", "zebra", "jeep"], above) == {
        "animal": ["sorrel", "zebra"],
        "car": ["jeep"],
        "horse": ["sorrel"],
    }
