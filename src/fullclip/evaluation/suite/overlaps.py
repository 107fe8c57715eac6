"""Which of a task's test images are in the training data, and what that does to the model's accuracy (paper, section 5)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.data.shards import find_shards
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.overlap.decontaminate import pair, shard_versions
from fullclip.evaluation.overlap.find import SetMatches, find_overlaps
from fullclip.evaluation.overlap.pictures import Pictures, pictures_of
from fullclip.evaluation.overlap.search import METHOD
from fullclip.evaluation.overlap.threshold import own_threshold
from fullclip.evaluation.statistics.overlap import Contamination, contamination, share
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.task import Task
from fullclip.preprocess.descriptor import VERSION

_MOST_PAIRS = 200
_EDGES = np.linspace(0, 1, 41)


def overlap_settings(shards: Sequence[str], threshold: float | None = None) -> dict[str, Any]:
    """What an overlap record depends on beside the model and the task: for a question's identity.

    ValueError where the patterns name no shards; OSError where one cannot be reached.
    """
    versions = shard_versions(find_shards(shards))
    return {"shards": versions, "threshold": threshold, "descriptor": VERSION, "search": METHOD}


def overlap(subject: Subject, *, task: Task, shards: Sequence[str], threshold: float | None = None) -> Record:
    """Look for the task's test images in training shards (files, globs, folders), from `threshold` on, or from the one that
    the set itself says. Of a classification by a CLIP also accuracy on all, on those not found and on those found, and a test.

    All processes call this together.
    """
    paths = on_leader(lambda: find_shards(shards), subject.world)
    cache = None if subject.cache is None else subject.cache / "overlap"
    pictures = pictures_of(task.splits["test"], name=task.name, cache=cache, world=subject.world)
    chosen = threshold if threshold is not None else on_leader(lambda: own_threshold(pictures), subject.world)
    overlaps = find_overlaps([(pictures, chosen)], paths, cache=cache, world=subject.world)
    right = _right(subject, task, pictures)

    def answer() -> Record:
        matches = overlaps.sets[task.name]
        similarities = matches.similarities(len(pictures))
        found = similarities >= chosen
        results = [share(int(found.sum()), len(found), task=task.name, metric="overlap")]
        told = None if right is None else contamination(right, found)
        if right is not None:
            results.append(share(int(right.sum()), len(right), task=task.name, metric="accuracy on all"))
        if told is not None and right is not None:
            results += _compared(task.name, right, found, told)
        details = {
            "threshold": chosen,
            "num_overlap": int(found.sum()),
            "num_clean": int((~found).sum()),
            **_compared_details(told, right),
            "shards": list(paths),
            "num_training": overlaps.num_pictures,
            "pairs": _pairs(pictures, matches, chosen),
            "histogram": {"edges": _EDGES.tolist(), "counts": np.histogram(similarities, _EDGES)[0].tolist()},
            "skipped": pictures.drops.report(),
            "skipped_training": overlaps.drops.report(),
        }
        arrays = {"keys": np.array(pictures.keys), "values": found.astype(np.float64), "similarities": similarities}
        if right is not None:
            arrays["right"] = right
        return Record(task=task.name, protocol="overlap", results=tuple(results), details=details, arrays=arrays)

    return on_leader(answer, subject.world)


def _right(subject: Subject, task: Task, pictures: Pictures) -> np.ndarray | None:
    """Whether each picture is answered right, bool [n]; None where the task, or the model, has no such answer."""
    if task.kind != "classification" or not isinstance(subject.backbone, ClipBackbone):
        return None
    found, logits = zero_shot_logits(subject, task)
    assert found.keys == pictures.keys  # both read the same places, and leave out what cannot be decoded
    right: np.ndarray = logits.argmax(axis=1) == found.classes
    return right


def _compared(task: str, right: np.ndarray, found: np.ndarray, told: Contamination) -> list[Result]:
    parts = [("accuracy on clean", ~found), ("accuracy on overlap", found)]
    shares = [share(int(right[part].sum()), int(part.sum()), task=task, metric=metric) for metric, part in parts]
    gain = Result(task=task, metric="accuracy, all - clean", value=told.gain, interval=told.gain_interval, n=len(found))
    return [*shares, gain]


def _compared_details(told: Contamination | None, right: np.ndarray | None) -> dict[str, Any]:
    if told is None:
        return {"accuracy": {} if right is None else {"all": float(right.mean())}}
    return {
        "accuracy": {"all": told.all, "clean": told.clean, "overlap": told.overlap},
        "difference": told.difference,
        "difference_interval": list(told.difference_interval),
        "p_value": told.p_value,
        "gain": told.gain,
    }


def _pairs(pictures: Pictures, matches: SetMatches, threshold: float) -> list[dict[str, Any]]:
    """The most alike pairs first: those that count as overlap."""
    close = [match for match in matches.nearest.values() if match.similarity >= threshold]
    return [pair(pictures, match) for match in sorted(close, key=lambda match: -match.similarity)[:_MOST_PAIRS]]
