"""A curve: what its rows are, and that all ways learn."""

import json
from dataclasses import replace

import pytest

from fullclip.baselines.learning.curve import curve, described
from fullclip.baselines.ways.methods import METHODS, vocabularies
from learning import SETTINGS, colour_pairs, colour_question


@pytest.mark.parametrize("method", METHODS)
def test_every_way_learns_what_its_captions_say(method):
    settings = replace(SETTINGS, images=1280, every=1280)
    way = METHODS[method].build(settings, vocabularies(colour_pairs(), settings), 0)
    rows = curve(way, colour_pairs(), [colour_question()], settings, method=method, seed=0)
    best = max(row["value"] for row in rows)
    assert best > 0.7, rows  # chance is 25%
    assert [row["rule"] for row in rows] == (["similarity"] if "contrastive" in method else ["likelihood", "ratio"])
    assert all(row["interval"][0] <= row["value"] <= row["interval"][1] for row in rows)


def test_each_question_is_asked_as_if_it_were_alone():
    other = replace(colour_question(), name="others", classes=(("red",), ("green",), ("blue",), ("mauve",)))

    def rows(*questions):
        way = METHODS["bag-of-words"].build(SETTINGS, vocabularies(colour_pairs(), SETTINGS), 0)
        found = curve(way, colour_pairs(), questions, SETTINGS, method="bag-of-words", seed=0)
        return [{name: value for name, value in row.items() if name != "seconds"} for row in found]

    both = rows(colour_question(), other)
    assert [row for row in both if row["task"] == "walls"] == rows(colour_question())
    assert [row for row in both if row["task"] == "others"] == rows(other)
    assert [(row["images"], row["task"], row["unknown_classes"]) for row in both[::2]] == [
        (160, "walls", 0),
        (160, "others", 1),
        (320, "walls", 0),
        (320, "others", 1),
    ]


def test_what_decides_the_numbers_is_told_without_folders():
    told = described(["/some/where/train"], colour_pairs(), colour_question(), SETTINGS)
    assert json.loads(json.dumps(told))["shards"] == ["train"]
    assert told["pairs"] == 64
