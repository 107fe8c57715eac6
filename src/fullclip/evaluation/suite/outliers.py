"""Rejection: are the pictures of one task seen to be none of another one's classes?"""

from typing import Any

import numpy as np

from fullclip.core.distributed import on_leader
from fullclip.core.types import Result
from fullclip.evaluation.features.words import weights_of
from fullclip.evaluation.statistics.rejection import auroc, fpr_at_95
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import templates_of
from fullclip.evaluation.tasks.task import Task
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.outlier import METHODS, OutlierDetector

_NUM_BINS = 40


def rejection(subject: Subject, *, inside: Task, outside: Task) -> Record:
    """AUROC and FPR@95 of each score of `zeroshot/outlier.py`: between the test pictures of `inside`, which are of its classes,
    and those of `outside`, which are of none of them. All processes call this together.
    """
    clip, name = subject.clip, f"{inside.name} vs {outside.name}"
    weights = weights_of(inside.classes, templates_of(inside), clip, cache=subject.cache, world=subject.world)
    own, strange = subject.features(inside), subject.features(outside)

    def answer() -> Record:
        labels, scale = inside.class_names, clip.encoder.scale
        classifier = ZeroShotClassifier(clip.encoder, labels, templates_of(inside), scale=scale, weights=weights)
        embeddings = [clip.encoder.project(found.features) for found in (own, strange)]
        results = list[Result]()
        methods, arrays = dict[str, Any](), dict[str, np.ndarray]()
        for method in METHODS:
            detector = OutlierDetector(classifier, method)
            ours, theirs = (detector.scores(part) for part in embeddings)
            said = method.replace("_", " ")
            results += [auroc(ours, theirs, task=name, metric=f"AUROC ({said})")]
            results += [fpr_at_95(ours, theirs, task=name, metric=f"FPR@95 ({said})")]
            edges = np.histogram_bin_edges(np.concatenate([ours, theirs]), bins=_NUM_BINS)
            counts = {side: np.histogram(part, edges)[0].tolist() for side, part in (("in", ours), ("out", theirs))}
            methods[said] = {**counts, "edges": edges.tolist()}
            arrays[method] = np.concatenate([ours, theirs])
        keys = [f"{inside.name}/{key}" for key in own.keys] + [f"{outside.name}/{key}" for key in strange.keys]
        told: dict[str, np.ndarray] = {"keys": np.array(keys), "values": arrays[METHODS[0]], **arrays}
        skipped = {task.name: found.drops.report() for task, found in ((inside, own), (outside, strange)) if found.drops.counts}
        details = {"methods": methods, "in": inside.name, "out": outside.name, "skipped": {}, "left_out": skipped}
        return Record(task=name, protocol="rejection", results=tuple(results), details=details, arrays=told)

    return on_leader(answer, subject.world)
