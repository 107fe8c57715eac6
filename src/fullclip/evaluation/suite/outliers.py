"""Rejection: are the pictures of one task seen to be none of another one's classes?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.evaluation.features.extract import Extracted, extract
from fullclip.evaluation.features.words import weights_of
from fullclip.evaluation.statistics.intervals import clopper_pearson
from fullclip.evaluation.statistics.metrics import rank_auc
from fullclip.evaluation.statistics.rejection import auroc, fpr_at_95
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import templates_of
from fullclip.evaluation.tasks.task import Chosen, Task
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.negatives import FEWEST, NEGATIVE_TEMPLATES, default_negatives, other_than
from fullclip.zeroshot.outlier import METHODS, OutlierDetector, conformal_threshold, fewest_pictures

RATE = 0.05  # the false-positive rate that thresholds are fitted for
_NUM_BINS = 40
_MOST_FITTED = 2000  # a threshold becomes no better by a pass over a million


def rejection(subject: Subject, *, inside: Task, outside: Task) -> Record:
    """How well each score of `zeroshot/outlier.py` tells the test pictures of `inside`, which are of its classes, from those of
    `outside`, which are of none of them: AUROC and FPR@95; and, with a threshold fitted for a false-positive rate of 5%, the
    share of `inside` that is rejected all the same and the share of `outside` that is.

    The threshold is fitted on at most 2,000 pictures of the validation split, or of train, which zero-shot has not seen either;
    where `inside` has a test split alone, on every other picture of it, and the rate is measured on the rest. All processes
    call this together.
    """
    clip, name, words = subject.clip, f"{inside.name} vs {outside.name}", default_negatives()
    strangers = other_than([own for names in inside.classes for own in names], words)  # than any name of a class
    weights = weights_of(inside.classes, templates_of(inside), clip, cache=subject.cache, world=subject.world)
    others = weights_of([(word,) for word in words], NEGATIVE_TEMPLATES, clip, cache=subject.cache, world=subject.world)
    own, strange = subject.features(inside), subject.features(outside)
    split = next((split for split in ("validation", "train") if split in inside.splits), None)
    fitting = own if split is None else _for_fitting(subject, inside, split)

    enough = len(strangers) >= FEWEST  # too few where `inside` is ImageNet itself
    methods = [method for method in METHODS if enough or method != "negative_labels"]

    def answer() -> Record:
        classifier = ZeroShotClassifier(clip.encoder, inside.class_names, templates_of(inside), weights=weights)
        parts = _Parts.of(*(clip.encoder.project(found.features) for found in (own, strange, fitting)), apart=split is not None)
        told = []
        for method in methods:
            detector = OutlierDetector(
                classifier,
                method,
                negatives=[words[place] for place in strangers],
                negative_weights=others[strangers],
            )
            told.append(_told(detector, parts, name))
        keys = [f"{inside.name}/{key}" for key in own.keys] + [f"{outside.name}/{key}" for key in strange.keys]
        left_out = {
            task.name: found.drops.report() for task, found in ((inside, own), (outside, strange)) if found.drops.counts
        }
        details = {
            "methods": {one.said: one.histogram for one in told},
            "thresholds": {one.said: one.threshold for one in told},
            "in": inside.name,
            "out": outside.name,
            "fitted_on": split or "every other image of the test split",
            "fitted_for": RATE,
            "methods_left_out": [method.replace("_", " ") for method in METHODS if method not in methods],
            "skipped": {},
            "left_out": left_out,
        }
        arrays: dict[str, np.ndarray] = {method: one.scores for method, one in zip(methods, told, strict=True)}
        values, _ = rank_auc(told[0].scores, np.arange(len(keys)) >= len(own))
        return Record(
            task=name,
            protocol="rejection",
            results=tuple(result for one in told for result in one.results),
            details=details,
            arrays={"keys": np.array(keys), "values": values, **arrays},
        )

    return on_leader(answer, subject.world)


def _for_fitting(subject: Subject, inside: Task, split: str) -> Extracted:
    """At most 2,000 pictures of a split."""
    whole = inside.splits[split]
    chosen = Chosen(whole, _MOST_FITTED) if len(whole) > _MOST_FITTED else whole
    title = f"{inside.name} {split}"
    return extract(chosen, subject.backbone, cache=subject.cache, world=subject.world, title=title)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Embeddings of pictures: `inside` and `outside`, those that a threshold is `fitted` on, and the places of `inside` that
    are `fresh` to it.
    """

    inside: Float[np.ndarray, "n embed"]
    outside: Float[np.ndarray, "m embed"]
    fitted: Float[np.ndarray, "k embed"]
    fresh: np.ndarray

    @classmethod
    def of(cls, inside: np.ndarray, outside: np.ndarray, fitting: np.ndarray, *, apart: bool) -> "_Parts":
        """`apart`: the pictures for fitting are others than `inside`; else they are the same, and every other one is taken."""
        if apart:
            return cls(inside=inside, outside=outside, fitted=fitting, fresh=np.arange(len(inside)))
        return cls(inside=inside, outside=outside, fitted=fitting[::2], fresh=np.arange(1, len(inside), 2))


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What one method says: the score of each picture of `inside`, then of `outside`; the threshold that was fitted, if any."""

    said: str
    results: tuple[Result, ...]
    histogram: Mapping[str, Any]
    threshold: float | None
    scores: Float[np.ndarray, " n"]


def _told(detector: OutlierDetector, parts: _Parts, name: str) -> _Told:
    said = detector.method.replace("_", " ")
    ours, theirs = detector.scores(parts.inside), detector.scores(parts.outside)
    results = [
        auroc(ours, theirs, task=name, metric=f"AUROC ({said})"),
        fpr_at_95(ours, theirs, task=name, metric=f"FPR@95 ({said})"),
    ]
    fresh, threshold = ours[parts.fresh], None
    if len(parts.fitted) >= fewest_pictures(RATE) and len(fresh):
        threshold = conformal_threshold(detector.scores(parts.fitted), RATE)
        results += [
            _share(fresh > threshold, name, f"rejected of in at {RATE:.0%} ({said})"),
            _share(theirs > threshold, name, f"rejected of out at {RATE:.0%} ({said})"),
        ]
    edges = np.histogram_bin_edges(np.concatenate([ours, theirs]), bins=_NUM_BINS)
    counts = {side: np.histogram(part, edges)[0].tolist() for side, part in (("in", ours), ("out", theirs))}
    return _Told(
        said=said,
        results=tuple(results),
        histogram={**counts, "edges": edges.tolist()},
        threshold=threshold,
        scores=np.concatenate([ours, theirs]),
    )


def _share(rejected: np.ndarray, name: str, metric: str) -> Result:
    hits, n = int(rejected.sum()), len(rejected)
    return Result(task=name, metric=metric, value=hits / n, interval=clopper_pearson(hits, n), n=n)
