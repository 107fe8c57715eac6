"""Folders of evaluations without any model: answers drawn at random are scored as a protocol would, and kept as it would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.types import Result
from fullclip.data.drops import Drops
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.statistics.intervals import clopper_pearson
from fullclip.evaluation.suite.records import About, Record, write_about, write_record
from fullclip.evaluation.suite.scoring import scored
from fullclip.evaluation.tasks.task import Task
from tasks import Listed, examples

SHOTS = (1, 2, 4, 8, 16)


def begin(folder: Path, model: str, **facts: Any) -> Path:
    """An evaluation without a number."""
    folder.mkdir(parents=True, exist_ok=True)
    write_about(folder, About(model=model, fingerprint=model, facts=facts))
    return folder


def share(task: str, metric: str, hits: int, n: int) -> Result:
    return Result(task=task, metric=metric, value=hits / n, interval=clopper_pearson(hits, n), n=n)


def classified(
    folder: Path,
    task: str,
    skill: float,
    *,
    protocol: str = "zero-shot",
    classes: Sequence[str] = ("red", "green", "blue"),
    n: int = 120,
    seed: int = 0,
    metric: str = "accuracy",
    dataset: str = "",
) -> Record:
    """A record of answers of which about `skill` are right; the images are the same for all of one `task`."""
    labels = np.random.default_rng(7).integers(len(classes), size=n)
    random = np.random.default_rng([seed, len(task), len(protocol)])
    scores = random.normal(size=(n, len(classes)))
    scores[np.arange(n), labels] += np.where(random.random(n) < skill, 9.0, -9.0)
    drops = Drops()
    drops.drop("no image", "torn & <b>.jpg")
    found = Extracted(
        features=np.zeros((n, 1), dtype=np.float32),
        keys=tuple(f"{i}" for i in range(n)),
        labels=tuple((int(label),) for label in labels),
        texts=((),) * n,
        meta=({},) * n,
        drops=drops,
    )
    names = tuple((name,) for name in classes)
    asked = Task(name=task, kind="classification", metric=metric, splits={"test": Listed(examples(3, 1))}, classes=names)
    told = scored(asked, scores, found)
    fitted = {"lambda": 1.0, "train": 500, "dim": 64, "validation": "the validation split", "converged": True}
    details = {**told.details, "dataset": dataset, **(fitted if protocol == "probe" else {})}
    record = Record(task=task, protocol=protocol, results=told.results, details=details, arrays=told.arrays)
    write_record(folder, record)
    return record


def few_shot(folder: Path, task: str, values: Sequence[float], *, zero_shot: float | None, equals: float | None = None) -> None:
    """A curve; `equals` None: beyond it."""
    n = 200
    results = [share(task, f"accuracy at {k} shots", round(value * n), n) for k, value in zip(SHOTS, values, strict=True)]
    own = None if zero_shot is None else share(task, "accuracy", round(zero_shot * n), n)
    said = f"{equals:.1f}" if equals else "more than 16"
    details = {
        "shots": list(SHOTS),
        "seeds": 3,
        "by_seed": [[result.value] * 3 for result in results],
        "zero_shot": own and own.value,
        "zero_shot_interval": own and list(own.interval),
        "full": 0.9,
        "full_shots": 40.0,
        "zero_shot_equals": {"shots": equals, "interval": [equals / 2, equals * 2] if equals else None, "said": said},
        "metric": "accuracy",
    }
    write_record(folder, Record(task=task, protocol="few-shot", results=tuple(results), details=details))


def shifted(folder: Path, shift: str, reference: float, under: float, *, protocol: str = "robustness", n: int = 400) -> None:
    """Accuracies on a reference called "photos" and on a shift of it."""
    values = np.zeros(n)
    values[: round(under * n)] = 1
    on_shift = share(shift, "accuracy", round(under * n), n)
    before = share(shift, "accuracy on photos", round(reference * n), n)
    details = {
        "reference": "photos",
        "shift": shift,
        "classes": 5,
        "reference_accuracy": before.value,
        "shift_accuracy": on_shift.value,
    }
    arrays = {"keys": np.array([f"{i}" for i in range(n)]), "values": values}
    write_record(folder, Record(task=shift, protocol=protocol, results=(on_shift, before), details=details, arrays=arrays))


def overlapping(folder: Path, task: str, *, overlap: tuple[int, int], clean: tuple[int, int], p_value: float) -> None:
    """(right answers, images) of both parts of a set; no overlap at all where the first has no images."""
    (hits, n), (clean_hits, clean_n) = overlap, clean
    every = share(task, "accuracy on all", hits + clean_hits, n + clean_n)
    results = [share(task, "overlap", n, n + clean_n), every, share(task, "accuracy on clean", clean_hits, clean_n)]
    details: dict[str, Any] = {"threshold": 0.9, "num_overlap": n, "num_clean": clean_n, "pairs": []}
    if n:
        before, low_high = clean_hits / clean_n, clopper_pearson(hits, n, level=0.995)
        gain = every.value - before
        results.append(share(task, "accuracy on overlap", hits, n))
        results.append(Result(task=task, metric="accuracy, all - clean", value=gain, interval=(gain, gain), n=n + clean_n))
        details |= {
            "difference": hits / n - before,
            "difference_interval": [end - before for end in low_high],
            "p_value": p_value,
            "gain": gain,
        }
    write_record(folder, Record(task=task, protocol="overlap", results=tuple(results), details=details))


def calibrated(folder: Path, task: str, error: float) -> None:
    """An error before the temperature, half of it after."""
    bins = [{"confidence": x, "accuracy": x / 2, "low": x / 3, "high": x, "count": 9} for x in (0.2, 0.5, 0.9)]
    results = [
        Result(task=task, metric=metric, value=value, interval=(value * 0.9, value * 1.1), n=77)
        for when, factor in (("", 1.0), (" after temperature", 0.5))
        for metric, value in ((f"ECE{when}", error * factor), (f"NLL{when}", 1.25 * factor))
    ]
    details = {"temperature": 1.5, "is_bounded": False, "fitted_on": "train", "reliability": {"before": bins, "after": bins}}
    write_record(folder, Record(task=task, protocol="calibration", results=tuple(results), details=details))


def rejected(folder: Path, inside: str, outside: str, area: float) -> None:
    task, random = f"{inside} vs {outside}", np.random.default_rng(0)
    edges = np.linspace(0, 1, 21)
    counts = {
        side: np.histogram(random.beta(*shape, 90), edges)[0].tolist() for side, shape in (("in", (2, 4)), ("out", (4, 2)))
    }
    results = (
        Result(task=task, metric="AUROC (energy)", value=area, interval=(area - 0.02, area + 0.02), n=180),
        Result(task=task, metric="FPR@95 (energy)", value=0.444, interval=(0.4, 0.5), n=180),
        share(task, "rejected of out at 5% (energy)", 33, 90),
    )
    details = {"methods": {"energy": {**counts, "edges": edges.tolist()}}, "in": inside, "out": outside, "skipped": {}}
    write_record(folder, Record(task=task, protocol="rejection", results=results, details=details))


def retrieved(folder: Path, task: str, hits: Sequence[Sequence[int]]) -> None:
    """For each image, which of its captions find it."""
    values = np.array([float(hit) for own in hits for hit in own])
    keys = [f"image {i} {place}" for place, i in enumerate(i for i, own in enumerate(hits) for _ in own)]
    result = share(task, "text-to-image recall@1", int(values.sum()), len(values))
    arrays = {"keys": np.array(keys), "values": values, "groups": np.array([key.rsplit(" ", 1)[0] for key in keys])}
    record = Record(task=task, protocol="retrieval", results=(result,), arrays=arrays)
    write_record(folder, record)
