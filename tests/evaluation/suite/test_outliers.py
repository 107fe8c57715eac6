"""Rejection of one task's pictures by another one's words: scikit-learn's numbers, thresholds that keep their promise."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

import processes
from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.outliers import RATE, rejection
from fullclip.evaluation.suite.records import Record, read_record, write_record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Example, Skipped, Task
from fullclip.inference import Encoder
from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights
from fullclip.zeroshot.negatives import default_negatives
from fullclip.zeroshot.outlier import METHODS, OutlierDetector
from tasks import Listed, as_extracted, colour_task
from tiny import tiny_encoder

SAID = [method.replace("_", " ") for method in METHODS]


def strangers() -> Task:
    """Noise, which is no colour."""
    random = np.random.default_rng(7)
    pictures = [random.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(40)]
    split = Listed([Example(key=f"{i}", image=image, labels=(i % 2,)) for i, image in enumerate(pictures)])
    classes = (("fine noise",), ("coarse noise",))
    return Task(name="strangers", kind="classification", metric="accuracy", splits={"test": split}, classes=classes)


def rejection_work(world: World, cache: str) -> dict[str, float]:
    """What each process is told."""
    asked = Subject(backbone=ClipBackbone(tiny_encoder(), name="t"), cache=Path(cache) / str(world.size), world=world)
    return values(rejection(asked, inside=colour_task(3, 100, splits=("test", "validation")), outside=strangers()))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Where the thousand other words are embedded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def subject(cache) -> Subject:
    return Subject(backbone=ClipBackbone(tiny_encoder(), name="t"), cache=cache, world=World.single())


@pytest.fixture(scope="module")
def colours() -> Task:
    return colour_task(3, 20, splits=("test", "train"))


@pytest.fixture(scope="module")
def record(subject, colours) -> Record:
    return rejection(subject, inside=colours, outside=strangers())


def values(record: Record) -> dict[str, float]:
    return {result.metric: result.value for result in record.results}


def test_auroc_and_fpr_are_scikit_learns(record):
    strange = np.arange(60 + 40) >= 60
    for method, said in zip(METHODS, SAID, strict=True):
        scores = record.arrays[method]
        assert values(record)[f"AUROC ({said})"] == pytest.approx(roc_auc_score(strange, scores))
        kept, inside_kept, _ = roc_curve(~strange, -scores, drop_intermediate=False)  # what is kept is "positive"
        assert values(record)[f"FPR@95 ({said})"] == pytest.approx(kept[inside_kept >= 0.95 - 1e-9].min())


def test_scores_are_the_detectors_own(record, colours):
    encoder = tiny_encoder()
    classifier = ZeroShotClassifier(encoder, colours.class_names, colours.templates)
    images = [example.image for task in (colours, strangers()) for example in as_extracted(task.splits["test"])]
    for method in METHODS:
        expected = OutlierDetector(classifier, method).scores(encoder.encode_images(images))
        np.testing.assert_allclose(record.arrays[method], expected, rtol=1e-3, atol=1e-6)


def test_no_name_of_a_class_is_held_against_it(subject, colours):
    words = default_negatives()
    named = replace(colours, classes=(("red", words[3], words[5]), ("green",), ("blue",)))
    encoder = tiny_encoder()
    weights = class_weights(encoder, named.classes, named.templates)
    classifier = ZeroShotClassifier(encoder, named.class_names, named.templates, weights=weights)
    others = [word for word in words if word not in (words[3], words[5])]
    images = [example.image for task in (named, strangers()) for example in as_extracted(task.splits["test"])]
    expected = OutlierDetector(classifier, negatives=others).scores(encoder.encode_images(images))
    found = rejection(subject, inside=named, outside=strangers()).arrays["negative_labels"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert not np.allclose(expected, OutlierDetector(classifier).scores(encoder.encode_images(images)), rtol=1e-5, atol=0)


def test_a_threshold_is_fitted_on_train_and_measured_on_test(record, colours):
    encoder = tiny_encoder()
    classifier = ZeroShotClassifier(encoder, colours.class_names, colours.templates)
    fitting = encoder.encode_images([example.image for example in colours.splits["train"].examples])
    for method, said in zip(METHODS, SAID, strict=True):
        detector = OutlierDetector(classifier, method).fit(fitting, false_positive_rate=RATE)
        threshold = record.details["thresholds"][said]
        assert threshold == pytest.approx(detector.threshold, rel=1e-3, abs=1e-6)
        inside, outside = np.split(record.arrays[method] > threshold, [60])
        assert values(record)[f"rejected of in at 5% ({said})"] == inside.mean()
        assert values(record)[f"rejected of out at 5% ({said})"] == outside.mean()
    assert record.details["fitted_on"] == "train"


def test_a_test_split_alone_is_halved(subject, colours):
    whole = replace(colours, splits={"test": colours.splits["test"]})
    record = rejection(subject, inside=whole, outside=strangers())
    assert record.details["fitted_on"] == "every other image of the test split"
    for method, said in zip(METHODS, SAID, strict=True):
        scores = record.arrays[method][:60]
        threshold = record.details["thresholds"][said]
        fitted, fresh = scores[::2], scores[1::2]
        assert threshold == np.sort(fitted)[int(np.ceil(0.95 * 31)) - 1]
        (found,) = [result for result in record.results if result.metric == f"rejected of in at 5% ({said})"]
        assert (found.value, found.n) == ((fresh > threshold).mean(), 30)
        assert found.interval[0] <= found.value <= found.interval[1]


def test_planted_strangers_are_all_found():
    """An encoder that shows a class's own word for a picture of the class, and another word for all others."""
    inside, outside = colour_task(3, 40), strangers()

    class Planted(Encoder):
        def readable_image_features(self, images):
            rows = [self._row(image) for image in images]
            return np.stack(rows), list(range(len(images))), []

        def project(self, features):
            return features

        def _row(self, image):
            labels = [example.labels[0] for example in inside.splits["test"].examples if np.array_equal(example.image, image)]
            text = f"a photo of {inside.class_names[labels[0]]}." if labels else "a photo of a toilet paper."
            return self.encode_texts([text])[0]

    plain = tiny_encoder()
    encoder = Planted(plain.model, preprocess=plain.preprocess, tokenizer=plain.tokenizer)
    planted = Subject(backbone=ClipBackbone(encoder, name="p"), cache=None, world=World.single())
    found = values(rejection(planted, inside=inside, outside=outside))
    assert found["AUROC (energy)"] == 1
    assert found["FPR@95 (energy)"] == 0
    assert (found["rejected of in at 5% (energy)"], found["rejected of out at 5% (energy)"]) == (0, 1)


def test_what_a_record_averages_is_its_first_result(record):
    assert record.results[0].metric == "AUROC (negative labels)"
    assert record.arrays["values"].mean() == pytest.approx(record.results[0].value)
    assert len(record.arrays["keys"]) == len(set(record.arrays["keys"])) == 100


def test_too_few_pictures_have_no_threshold(subject):
    record = rejection(subject, inside=colour_task(3, 6), outside=strangers())
    assert [result.metric for result in record.results] == [f"{what} ({said})" for said in SAID for what in ("AUROC", "FPR@95")]
    assert set(record.details["thresholds"].values()) == {None}


def test_unreadable_pictures_are_told_of(subject, colours, tmp_path):
    torn = [*strangers().splits["test"].examples, Skipped(key="x", reason="no label"), Example(key="y", image=b"\x89PNG")]
    record = rejection(subject, inside=colours, outside=replace(strangers(), splits={"test": Listed(torn)}))
    assert {reason: told["count"] for reason, told in record.details["left_out"]["strangers"].items()} == {
        "no label": 1,
        "unreadable image": 1,
    }
    write_record(tmp_path, record)
    assert read_record(tmp_path, record.task, "rejection").results == record.results


@pytest.mark.dist
def test_two_processes_find_what_one_finds(subject, record, cache):
    for size in ("1", "2"):  # the words are known; the pictures are not
        shutil.copytree(cache / "words", cache / size / "words")
    alone = rejection_work(World.single(), str(cache))
    for told in processes.run(rejection_work, 2, str(cache)):
        assert told == alone


def test_a_set_whose_classes_are_the_other_words_is_asked_by_the_other_methods(subject, colours):
    words = default_negatives()
    known = replace(colours, name="things", classes=tuple((word,) for word in words), templates=("{}",))
    told = rejection(subject, inside=known, outside=strangers())
    assert told.details["methods_left_out"] == ["negative labels"]
    assert {result.metric.partition("(")[2] for result in told.results} == {"concept matching)", "energy)"}
    assert told.arrays["values"].shape == told.arrays["keys"].shape
