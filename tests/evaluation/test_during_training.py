"""Questions to a model in training: the same answer from one process and from several."""

from pathlib import Path

import numpy as np
import pytest

import processes
from fullclip.core.distributed import World
from fullclip.evaluation.during_training import retrieval, zero_shot
from fullclip.inference import Encoder
from pairs import make_pairs, make_shards, picture
from training import evaluation_work, run_to_end


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "trained"
    run_to_end(out)
    return out


@pytest.fixture
def classes(tmp_path) -> Path:
    for label in ("red_car", "dog"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for seed in range(5):
            (tmp_path / "classes" / label / f"{seed}.png").write_bytes(picture(seed + len(label)))
    return tmp_path / "classes"


class Oracle(Encoder):
    """An encoder that knows: the keys' order is the only thing that its embeddings show."""

    def __init__(self, n: int, *, wrong: int = 0) -> None:
        self.rows, self.wrong, self.n = np.eye(n, dtype=np.float32), wrong, n

    def encode_readable_images(self, images):
        return self.rows[: len(images)], list(range(len(images))), []

    def encode_texts(self, texts, *, truncate=False):
        rows = self.rows[: len(texts)].copy()
        rows[: self.wrong] = rows[np.roll(np.arange(self.wrong), 1)]
        return rows


def test_recall_counts_whose_own_comes_first(tmp_path):
    shards = make_shards(tmp_path, make_pairs(10))
    found = retrieval(shards)(Oracle(10, wrong=3), World.single())
    assert found["image_to_text_recall@1"] == pytest.approx(0.7)
    assert found["text_to_image_recall@1"] == pytest.approx(0.7)
    assert retrieval(shards)(Oracle(10), World.single())["image_to_text_recall@1"] == 1


def test_embeddings_that_are_all_alike_find_nothing(tmp_path):
    class Blind(Oracle):
        def encode_texts(self, texts, *, truncate=False):
            return np.ones_like(self.rows[: len(texts)])

    found = retrieval(make_shards(tmp_path, make_pairs(10)))(Blind(10), World.single())
    assert found["image_to_text_recall@1"] == 0


@pytest.mark.dist
def test_three_processes_find_what_one_finds(trained, classes, tmp_path):
    shards = make_shards(tmp_path / "shards", make_pairs(11))
    alone = evaluation_work(World.single(), str(trained / "model"), shards, str(classes))
    for told in processes.run(evaluation_work, 3, str(trained / "model"), shards, str(classes)):
        assert told == pytest.approx(alone)
    assert 0 <= alone["zero_shot_top1"] <= 1


def test_a_run_logs_what_its_evaluators_find(tmp_path, classes):
    from fullclip.core.logs import read_metrics

    run_to_end(tmp_path / "run", "train.evaluate_every=4", evaluators=[zero_shot(classes)])
    lines = [line for line in read_metrics(tmp_path / "run/metrics.jsonl") if "evaluation/zero_shot_top1" in line]
    assert [line["step"] for line in lines] == [4, 8]


def test_evaluating_changes_nothing_of_the_run(tmp_path, classes):
    from training import curve, same_weights

    run_to_end(tmp_path / "asked", "train.evaluate_every=2", evaluators=[zero_shot(classes)])
    run_to_end(tmp_path / "left alone")
    assert curve(tmp_path / "asked") == curve(tmp_path / "left alone")
    assert same_weights(tmp_path / "asked", tmp_path / "left alone")


def test_too_little_to_measure_is_refused(tmp_path):
    (tmp_path / "only").mkdir()
    with pytest.raises(ValueError, match="0 folders with images"):
        zero_shot(tmp_path)
    with pytest.raises(ValueError, match="1 pairs; retrieval needs at least two"):
        retrieval(make_shards(tmp_path / "shards", make_pairs(1)))
