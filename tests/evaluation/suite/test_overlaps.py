"""The record of overlap: which images were found, and accuracies counted again by hand."""

import json

import numpy as np
import pytest

import processes
from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.statistics.overlap import contamination
from fullclip.evaluation.suite.overlaps import overlap, overlap_settings
from fullclip.evaluation.suite.records import read_record, write_record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from overlaps import hidden, record_work, task_of
from pairs import make_shards
from tasks import mean_backbone
from tiny import tiny_encoder

ALONE = World.single()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return make_shards(tmp_path_factory.mktemp("shards"), hidden()[1], pairs_per_shard=20)


@pytest.fixture(scope="module")
def record(shards):
    return record_work(ALONE, shards)


def test_the_hidden_images_are_the_overlap(record):
    copied = {*hidden()[2].values()}
    keys, values = record.arrays["keys"], record.arrays["values"]
    assert "torn" not in keys
    assert {str(key) for key in keys[values == 1]} == copied
    first = record.results[0]
    assert (first.metric, first.value, first.n) == ("overlap", len(copied) / 12, 12)
    assert (record.details["num_overlap"], record.details["num_clean"]) == (6, 6)
    assert record.details["skipped"]["unreadable image"]["count"] == 1
    assert {(pair["training_key"], pair["key"]) for pair in record.details["pairs"]} <= set(hidden()[2].items())
    assert sum(record.details["histogram"]["counts"]) == 12


def test_accuracies_are_those_of_zero_shot(record):
    subject = Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=None, world=ALONE)
    answered = zero_shot(subject, task=task_of(hidden()[0], torn=True))
    right = answered.arrays["labels"] == answered.arrays["predictions"]
    np.testing.assert_array_equal(record.arrays["right"], right)
    found = record.arrays["values"] == 1
    told = contamination(right, found)
    values = {result.metric: result.value for result in record.results}
    assert values == {
        "overlap": 0.5,
        "accuracy on all": right.mean(),
        "accuracy on clean": right[~found].mean(),
        "accuracy on overlap": right[found].mean(),
        "accuracy, all - clean": pytest.approx(right.mean() - right[~found].mean()),
    }
    details = record.details
    assert (details["p_value"], details["difference"], details["gain"]) == (told.p_value, told.difference, told.gain)
    assert details["difference_interval"] == list(told.difference_interval)


def test_where_nothing_is_found_accuracy_stands_alone(shards):
    subject = Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=None, world=ALONE)
    found = overlap(subject, task=task_of(hidden()[0]), shards=shards, threshold=1.0)
    assert [result.metric for result in found.results] == ["overlap", "accuracy on all"]
    assert found.results[0].value == 0.0
    assert found.details["pairs"] == []
    assert found.details["threshold"] == 1.0


def test_a_model_without_words_has_the_share_alone(shards):
    subject = Subject(backbone=mean_backbone(), cache=None, world=ALONE)
    found = overlap(subject, task=task_of(hidden()[0]), shards=shards)
    assert [(result.metric, result.value) for result in found.results] == [("overlap", 0.5)]
    assert found.details["accuracy"] == {}


def test_a_record_is_kept_as_all_are(record, tmp_path):
    write_record(tmp_path, record)
    found = read_record(tmp_path, "photos", "overlap")
    assert found.details == json.loads(json.dumps(record.details))
    assert found.results == record.results


def test_settings_follow_the_shards_and_the_threshold(tmp_path):
    (shard,) = make_shards(tmp_path, hidden()[1][:3])
    told = [overlap_settings([str(tmp_path)]), overlap_settings([str(tmp_path)], 0.9)]
    with open(shard, "ab") as file:
        file.write(bytes(512))
    told.append(overlap_settings([shard]))
    assert len({json.dumps(one) for one in told}) == 3
    with pytest.raises(ValueError, match=r"no \.tar files match"):
        overlap_settings([str(tmp_path / "other")])


@pytest.mark.dist
def test_two_processes_give_the_record_of_one(record, shards, tmp_path):
    for told in processes.run(record_work, 2, shards, str(tmp_path)):
        assert told.results == record.results
        assert told.details == record.details
