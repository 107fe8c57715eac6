"""Calibration of a task against formulas of its logits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.statistics.paired import compare
from fullclip.evaluation.suite import reliability
from fullclip.evaluation.suite.reliability import calibration
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Task
from tasks import Listed, colour_task, examples
from tiny import tiny_encoder


def subject(*, scale: float = 40.0) -> Subject:
    encoder = tiny_encoder()
    with torch.no_grad():
        encoder.model.logit_scale.fill_(np.log(scale))
    return Subject(backbone=ClipBackbone(encoder, name="tiny"), cache=None, world=World.single())


def told(record) -> dict[str, float]:
    return {result.metric: result.value for result in record.results}


def believed(who: Subject, task: Task, *, share: float = 1.0) -> Task:
    """The task whose labels are, for this share of its images, what the model answers."""
    random, splits = np.random.default_rng(0), {}
    for name, split in task.splits.items():
        _, logits = zero_shot_logits(who, task, name)
        splits[name] = Listed(
            [
                replace(example, labels=(int(answer),)) if random.random() < share else example
                for example, answer in zip(split.examples, logits.argmax(axis=1), strict=True)
            ]
        )
    return replace(task, splits=splits)


@pytest.mark.parametrize("splits", [("test",), ("test", "train"), ("test", "train", "validation")])
def test_the_temperature_is_fitted_on_what_nothing_is_measured_on(splits):
    who = subject()
    task = believed(who, colour_task(3, 30, splits=splits), share=0.5)
    record = calibration(who, task=task)
    found, logits = zero_shot_logits(who, task)
    logits = 0.4 * logits.astype(np.float64)  # the learned scale of 40 in place of 100
    if len(splits) == 1:
        fitted, labels, rest = logits[::2], found.classes[::2], slice(1, None, 2)
        assert record.details["fitted_on"] == "every other image of the test split"
    else:
        examples, fitted = zero_shot_logits(who, task, splits[-1])
        fitted, labels, rest = 0.4 * fitted.astype(np.float64), examples.classes, slice(None)
        assert record.details["fitted_on"] == splits[-1]

    def loss(logits: np.ndarray, labels: np.ndarray) -> float:
        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()

    best = minimize_scalar(lambda one: loss(fitted / np.exp(one), labels), bounds=(-6, 6), method="bounded").x
    assert np.log(record.details["temperature"]) == pytest.approx(best, abs=1e-3)
    values = told(record)
    assert values["NLL"] == pytest.approx(loss(logits[rest], found.classes[rest]), abs=1e-5)
    assert values["NLL after temperature"] == pytest.approx(loss(logits[rest] / np.exp(best), found.classes[rest]), abs=1e-4)
    assert record.arrays["keys"].tolist() == np.array(found.keys)[rest].tolist()
    confidence, right = record.arrays["values"], record.arrays["right"]
    np.testing.assert_allclose(confidence, np.exp(log_softmax(logits[rest], axis=1)).max(axis=1), atol=1e-5)
    np.testing.assert_array_equal(right, logits[rest].argmax(axis=1) == found.classes[rest])
    bins = np.ceil(confidence * 15)
    error = sum(abs((confidence - right)[bins == one].sum()) for one in np.unique(bins)) / len(right)
    assert values["ECE"] == pytest.approx(error)
    assert compare(record.arrays, record.arrays, task="t", metric="ECE").first == pytest.approx(error)


def test_a_large_split_is_fitted_on_part_of_it(monkeypatch):
    monkeypatch.setattr(reliability, "_ENOUGH", 20)
    task = colour_task(3, 30, splits=("test", "train"))
    calibration(subject(), task=task)
    assert (task.splits["test"].num_read, task.splits["train"].num_read) == (90, 20)


def test_a_temperature_at_its_limit_is_said():
    who = subject()
    record = calibration(who, task=believed(who, colour_task(3, 8)))
    assert record.details["is_bounded"]
    assert record.details["temperature"] == 1 / 1000
    assert record.details["note"].startswith("the temperature has no best value")
    assert told(record)["NLL after temperature"] == pytest.approx(0, abs=1e-6)
    assert calibration(who, task=believed(who, colour_task(3, 30), share=0.5)).details["note"] == ""


def test_one_image_is_not_enough():
    task = replace(colour_task(), splits={"test": Listed(examples(1, 1))})
    with pytest.raises(ValueError, match="colours: one image is not enough to fit a temperature and measure it"):
        calibration(subject(), task=task)
