"""A threshold on disk: it comes back as it was, and not for anything else."""

import json
from pathlib import Path

import numpy as np
import pytest

from fullclip.inference import Encoder
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.outlier import METHODS, OutlierDetector
from fullclip.zeroshot.threshold import load_threshold, save_threshold
from tiny import tiny_encoder

WORDS = tuple(f"thing {chr(97 + i)}{chr(97 + j)}" for i in range(5) for j in range(5))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_encoder()


@pytest.fixture(scope="module")
def images(encoder) -> np.ndarray:
    return encoder.encode_images(list(np.random.default_rng(0).integers(0, 256, size=(40, 32, 32, 3), dtype=np.uint8)))


def classifier(encoder: Encoder, labels=("dog", "cat"), templates=("a photo of a {}.",)) -> ZeroShotClassifier:
    return ZeroShotClassifier(encoder, labels, templates)


def kept(encoder: Encoder, images: np.ndarray, path: Path, method="energy", **more) -> OutlierDetector:
    detector = OutlierDetector(classifier(encoder), method, **more).fit(images)
    save_threshold(detector, path, model="m")
    return detector


@pytest.mark.parametrize("method", METHODS)
def test_it_comes_back_as_it_was(encoder, images, tmp_path, method):
    more = {"negatives": WORDS} if method == "negative_labels" else {}
    before = kept(encoder, images, tmp_path / "t.json", method, **more)
    after = load_threshold(tmp_path / "t.json", classifier(encoder), model="m", method=method)
    assert (after.method, after.threshold, after.negatives) == (method, before.threshold, before.negatives)
    np.testing.assert_array_equal(after.predict(images), before.predict(images))


def test_the_order_of_labels_does_not_matter(encoder, images, tmp_path):
    before = kept(encoder, images, tmp_path / "t.json")
    after = load_threshold(tmp_path / "t.json", classifier(encoder, labels=("cat", "dog")), model="m")
    np.testing.assert_allclose(after.scores(images), before.scores(images))


@pytest.mark.parametrize(
    ("changed", "asked", "message"),
    [
        ({"labels": ("dog", "bird")}, {}, r"t.json: its threshold was fitted for other labels \(dog, cat\); fit it again"),
        ({"templates": ("{}",)}, {}, r"fitted for other templates \(a photo of a {}.\)"),
        ({}, {"model": "other"}, "fitted for another model"),
        ({}, {"method": "concept_matching"}, "its threshold is of energy, not of concept_matching"),
    ],
    ids=["labels", "templates", "model", "method"],
)
def test_one_for_something_else_is_refused(encoder, images, tmp_path, changed, asked, message):
    kept(encoder, images, tmp_path / "t.json")
    with pytest.raises(ValueError, match=message):
        load_threshold(tmp_path / "t.json", classifier(encoder, **changed), **{"model": "m", **asked})


@pytest.mark.faults
@pytest.mark.parametrize("text", ["", "{", "[]", '{"threshold": 1}', '{"no": 1}'])
def test_a_damaged_file_is_named(encoder, tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ValueError, match=r"t\.json: no threshold of a rejection"):
        load_threshold(tmp_path / "t.json", classifier(encoder), model="m")


def test_what_is_not_there_or_of_another_version_is_refused(encoder, images, tmp_path):
    with pytest.raises(ValueError, match="no such file; fit a threshold"):
        load_threshold(tmp_path / "none.json", classifier(encoder), model="m")
    kept(encoder, images, tmp_path / "t.json")
    told = json.loads((tmp_path / "t.json").read_text())
    (tmp_path / "t.json").write_text(json.dumps({**told, "version": 2}))
    with pytest.raises(ValueError, match="format is version 2, this is version 1"):
        load_threshold(tmp_path / "t.json", classifier(encoder), model="m")


def test_only_a_threshold_can_be_kept(encoder, tmp_path):
    with pytest.raises(ValueError, match="energy has no threshold to keep"):
        save_threshold(OutlierDetector(classifier(encoder), "energy"), tmp_path / "t.json", model="m")
    assert not (tmp_path / "t.json").exists()
