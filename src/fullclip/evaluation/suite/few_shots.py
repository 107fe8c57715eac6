"""Few-shot probes: fitted on 1, 2, 4, ... examples of each class, beside the zero-shot answer (section 3.1.5)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fullclip.core.config import to_dict
from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.probe.sweep import Examples, fit_best
from fullclip.evaluation.statistics.intervals import percentiles, widened
from fullclip.evaluation.statistics.metrics import Measured
from fullclip.evaluation.statistics.shots import draws_of_curve, equal
from fullclip.evaluation.suite.probing import Training, as_examples, fitted, measure, training
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Task

_MOST_TO_VALIDATE = 4  # examples of a class: choosing a penalty on more than the shots themselves would be no few-shot learning


def few_shot(subject: Subject, *, task: Task, shots: Sequence[int], seeds: int) -> Record:
    """A probe for each number of shots and each seed; the shots of a seed are the first of one random order of each class, so
    that more shots add to fewer.

    The penalty is chosen by the sweep of appendix A.3 on at most 4 and at most as many other examples of each class (as in
    Zhou et al. 2022, Learning to prompt for vision-language models), which are not trained on. Numbers of shots that some class
    does not have are left out. All processes call this together; the leader fits.
    """
    given = training(subject, task)
    found = subject.features(task)
    logits = zero_shot_logits(subject, task)[1] if isinstance(subject.backbone, ClipBackbone) else None

    def answer() -> Record:
        fewest = int(np.bincount(given.train.classes, minlength=len(task.classes)).min())
        possible = [number for number in shots if number <= fewest]
        if not possible:
            raise ValueError(f"{task.name}: a class has {fewest} training images; few-shot probes begin with {min(shots)}")
        measured = [[_fitted(task, given, found, number, seed, subject.device) for seed in range(seeds)] for number in possible]
        whole = measure(task, fitted(task, given, subject).probe.scores(found.features), found.classes)
        zero_shot = None if logits is None else measure(task, logits, found.classes)
        return _record(task, possible, measured, whole, zero_shot, given, found)

    return on_leader(answer, subject.world)


def _fitted(task: Task, given: Training, found: Extracted, number: int, seed: int, device: str | None) -> Measured:
    train = _first(as_examples(task, given.train), number, seed)
    validation = _first(as_examples(task, given.validation), min(number, _MOST_TO_VALIDATE), seed)

    def value(scores: np.ndarray) -> float:
        return measure(task, scores, validation.targets).result.value

    best = fit_best(train, validation, len(task.classes), value=value, device=device, on_both=False)
    return measure(task, best.probe.scores(found.features), found.classes)


def _first(examples: Examples, number: int, seed: int) -> Examples:
    """The first `number` of each class in the seed's order; all of a class that has fewer."""
    order = np.random.default_rng(seed).permutation(len(examples))
    ordered = examples.targets[order]
    places = [order[ordered == label][:number] for label in np.unique(ordered)]
    chosen = np.concatenate(places)
    return Examples(features=examples.features[chosen], targets=examples.targets[chosen])


def _record(
    task: Task,
    shots: Sequence[int],
    measured: Sequence[Sequence[Measured]],
    whole: Measured,
    zero_shot: Measured | None,
    given: Training,
    found: Extracted,
) -> Record:
    values = np.array([[one.values for one in row] for row in measured], dtype=np.float64)
    metric = whole.result.metric
    weights = _weights(metric, found.classes)
    by_seed = [[one.result.value for one in row] for row in measured]
    n, curve = len(found), np.mean(by_seed, axis=1)
    every = (
        values if zero_shot is None else np.concatenate([values, np.repeat(zero_shot.values[None, None], values.shape[1], 1)])
    )
    draws = draws_of_curve(every, weights)
    results = [
        Result(
            task=task.name,
            metric=f"{metric} at {number} shot{'' if number == 1 else 's'}",
            value=float(curve[place]),
            interval=widened(percentiles(draws[:, place]), float(curve[place]), n),
            n=n,
        )
        for place, number in enumerate(shots)
    ]
    per_class = len(given.train) / len(task.classes) + len(given.validation) / len(task.classes)
    details: dict[str, Any] = {
        "metric": metric,
        "shots": list(shots),
        "seeds": values.shape[1],
        "by_seed": by_seed,
        "full": whole.result.value,
        "full_shots": per_class,
        "zero_shot": None,
        "zero_shot_interval": None,
        "zero_shot_equals": None,
        "validation": given.origin,
        "skipped": found.drops.report(),
    }
    if zero_shot is not None:
        details |= {"zero_shot": zero_shot.result.value, "zero_shot_interval": list(zero_shot.result.interval)}
        same = equal(shots, curve, zero_shot.result.value, draws=draws[:, :-1], wanted_draws=draws[:, -1])
        details["zero_shot_equals"] = to_dict(same)
        if same.shots is not None and same.interval is not None:
            said = Result(task=task.name, metric="shots that zero-shot equals", value=same.shots, interval=same.interval, n=n)
            results.append(said)
    arrays = {"keys": np.array(found.keys), "values": values[0].mean(axis=0), "by_shots": values.mean(axis=1)}
    if metric in ("mean_per_class", "roc_auc"):
        arrays["labels"] = found.classes
    return Record(task=task.name, protocol="few-shot", results=tuple(results), details=details, arrays=arrays)


def _weights(metric: str, labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "groups n"]:
    """So that the sum of examples' values times a row is the metric: one row; of a ROC curve one of each side."""
    numbers = np.bincount(labels)
    if metric == "mean_per_class":
        weights: np.ndarray = (1 / numbers[labels] / (numbers > 0).sum())[None]
    elif metric == "roc_auc":
        weights = np.stack([(labels == side) / np.float64(numbers[side]) for side in (1, 0)])
    else:
        weights = np.full((1, len(labels)), 1 / len(labels))
    return weights
