"""Calibration of zero-shot answers: how far confidence can be trusted, and a temperature that mends it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fullclip.core.config import to_dict
from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.evaluation.statistics.calibration import (
    Bin,
    confidence_of,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from fullclip.evaluation.statistics.intervals import bootstrap_mean
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Chosen, Task
from fullclip.zeroshot.classifier import LOGIT_SCALE

_ENOUGH = 5000
_AT_THE_LIMIT = "the temperature has no best value: the answers that it is fitted on are all right, or their order says nothing"


def calibration(subject: Subject, *, task: Task) -> Record:
    """Expected calibration error and negative log-likelihood of the answers under the scale that the model learned; the same
    after a temperature fitted on the validation split, or on train, which zero-shot answers have not seen either: on 5,000 of
    its images where it has more. A task of a test split alone has its temperature fitted on every other image and is measured
    on the rest.

    All processes call this together.
    """
    found, logits = zero_shot_logits(subject, task)
    other = next((split for split in ("validation", "train") if split in task.splits), None)
    fitted_on, fitting = (found, logits) if other is None else zero_shot_logits(subject, _few_of(task, other), other)
    scale = subject.clip.encoder.scale / LOGIT_SCALE

    def answer() -> Record:
        half = np.arange(len(found)) % 2 == 1
        if other is None and len(found) < 2:
            raise ValueError(f"{task.name}: one image is not enough to fit a temperature and measure it")
        kept = half if other is None else np.ones(len(found), dtype=bool)
        chosen = ~half if other is None else np.ones(len(fitted_on), dtype=bool)
        temperature = fit_temperature(scale * fitting[chosen], fitted_on.classes[chosen])
        scores, labels = scale * logits[kept], found.classes[kept]
        before, curve, confidence = _told(scores, labels, task.name, "")
        after, mended, _ = _told(scores / temperature.value, labels, task.name, " after temperature")
        details = {
            "temperature": temperature.value,
            "is_bounded": temperature.is_bounded,
            "note": _AT_THE_LIMIT if temperature.is_bounded else "",
            "scale": subject.clip.encoder.scale,
            "fitted_on": other or "every other image of the test split",
            "reliability": {"before": _plain(curve), "after": _plain(mended)},
            "skipped": found.drops.report(),
        }
        arrays = {"keys": np.array(found.keys)[kept], "values": confidence, "right": scores.argmax(axis=1) == labels}
        return Record(task=task.name, protocol="calibration", results=(*before, *after), details=details, arrays=arrays)

    return on_leader(answer, subject.world)


def _few_of(task: Task, split: str) -> Task:
    """The task with no more of a split than one number needs to be fitted, chosen at random, the same ones every time."""
    whole = task.splits[split]
    return task if len(whole) <= _ENOUGH else replace(task, splits={**task.splits, split: Chosen(whole, _ENOUGH)})


def _told(logits: np.ndarray, labels: np.ndarray, task: str, when: str) -> tuple[list[Result], tuple[Bin, ...], np.ndarray]:
    """(ECE and negative log-likelihood, the reliability curve, each example's confidence)."""
    confidence, right = confidence_of(logits), logits.argmax(axis=1) == labels
    losses = negative_log_likelihood(logits, labels)
    error = expected_calibration_error(confidence, right, task=task)
    results = [
        Result(task=task, metric=f"ECE{when}", value=error.value, interval=error.interval, n=error.n),
        Result(task=task, metric=f"NLL{when}", value=float(losses.mean()), interval=bootstrap_mean(losses), n=len(losses)),
    ]
    return results, reliability(confidence, right), confidence


def _plain(curve: Sequence[Bin]) -> list[dict[str, Any]]:
    return [to_dict(one) for one in curve]
