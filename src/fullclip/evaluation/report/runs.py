"""Folders of evaluations -> runs with names that tell them apart, their records looked at before anything is drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.types import Result
from fullclip.evaluation.suite.records import ABOUT_NAME, About, Record, read_about, read_records

_SHIFT = ("reference", "shift", "classes", "reference_accuracy", "shift_accuracy")
# What figures and tables read of a record: one from another hand, or of another version, may lack it
_DETAILS: Mapping[str, Sequence[str]] = {
    "zero-shot": ("classes", "kind"),
    "probe": ("classes", "kind", "lambda", "train", "dim", "validation"),
    "few-shot": ("shots", "seeds", "zero_shot", "zero_shot_interval", "full", "full_shots", "zero_shot_equals", "metric"),
    "calibration": ("temperature", "fitted_on", "reliability"),
    "robustness": _SHIFT,
    "adapted-robustness": _SHIFT,
    "rejection": ("in", "out", "methods"),
    "overlap": ("threshold", "num_overlap", "num_clean"),
}
_NUM_RESULTS: Mapping[str, int] = {"robustness": 2, "adapted-robustness": 2}


@dataclass(frozen=True, kw_only=True)
class Run:
    """An evaluation: `name` is how the report calls it, `place` gives it its colour everywhere; a baseline is what others are
    held against. `records` are by protocol and task.
    """

    name: str
    place: int
    folder: Path
    about: About
    records: Mapping[tuple[str, str], Record]
    is_baseline: bool = False

    def record(self, protocol: str, task: str) -> Record | None:
        return self.records.get((protocol, task))

    def of(self, protocol: str) -> dict[str, Record]:
        """The records of a protocol, by task."""
        return {task: record for (kind, task), record in self.records.items() if kind == protocol}

    def result(self, protocol: str, task: str) -> Result | None:
        """The task's own metric."""
        record = self.record(protocol, task)
        return None if record is None else record.results[0]

    @property
    def knows_words(self) -> bool:
        """Whether this is a CLIP."""
        return any(kind in ("zero-shot", "retrieval", "robustness") for kind, _ in self.records)


def read_runs(folders: Sequence[Path], *, baselines: Sequence[Path] = ()) -> tuple[Run, ...]:
    """The runs in the order given, baselines last. A folder that is among both is a baseline.

    ValueError for a folder that holds no evaluation, one given twice, a record that is damaged or lacks what is needed of it,
    and where nothing at all was measured.
    """
    aside = [folder.resolve() for folder in baselines]
    own = [folder for folder in folders if folder.resolve() not in aside]
    every = [*own, *baselines]
    twice = [folder for folder, count in Counter(folder.resolve() for folder in every).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice; give every evaluation once")
    abouts = [_about(folder) for folder in every]
    names = _names([about.model for about in abouts], every)
    runs = tuple(
        Run(name=name, place=place, folder=folder, about=about, records=_records(folder), is_baseline=place >= len(own))
        for place, (name, folder, about) in enumerate(zip(names, every, abouts, strict=True))
    )
    if not any(run.records for run in runs):
        where = ", ".join(str(folder) for folder in every) or "no folder is given"
        raise ValueError(f"{where}: nothing is measured yet; run `fullclip evaluate MODEL` first")
    return runs


def _about(folder: Path) -> About:
    about = read_about(folder)
    if about is None:
        inside = sorted(path.parent for path in folder.glob(f"*/{ABOUT_NAME}")) if folder.is_dir() else []
        advice = f"did you mean {inside[0]}?" if inside else "give a folder that `fullclip evaluate` has written"
        raise ValueError(f"{folder} holds no evaluation: {ABOUT_NAME} is not there; {advice}")
    return about


def _records(folder: Path) -> dict[tuple[str, str], Record]:
    found = {}
    for record in read_records(folder):
        path = folder / "tasks" / record.task / f"{record.protocol}.json"
        lacking = [f"details.{name}" for name in _DETAILS.get(record.protocol, ()) if name not in record.details]
        lacking += [
            name for name in ("keys", "values") if record.protocol in ("zero-shot", "probe") and name not in record.arrays
        ]
        num_results = len(record.details["shots"]) if record.protocol == "few-shot" and not lacking else 1
        if len(record.results) < _NUM_RESULTS.get(record.protocol, num_results):
            lacking.append("results")
        if lacking:
            raise ValueError(f"{path}: the record lacks {lacking[0]}; remove it and run `fullclip evaluate` again")
        found[record.protocol, record.task] = record
    return found


def _names(models: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The models' names; of those with one name, each with its folder's name, or its whole path where that is no help."""
    shorter = [f"{model} ({folder.name})" for model, folder in zip(models, folders, strict=True)]
    longer = [f"{model} ({folder})" for model, folder in zip(models, folders, strict=True)]
    named = [model if models.count(model) == 1 else short for model, short in zip(models, shorter, strict=True)]
    return [name if named.count(name) == 1 else long for name, long in zip(named, longer, strict=True)]


def shared_tasks(runs: Sequence[Run], protocol: str) -> list[str]:
    """The tasks that all of `runs` have a record of, in order of name."""
    tasks: list[set[str]] = [set(run.of(protocol)) for run in runs]
    return sorted(set.intersection(*tasks)) if tasks else []


def all_tasks(runs: Sequence[Run], protocol: str) -> list[str]:
    """The tasks that any of `runs` has a record of."""
    return sorted({task for run in runs for task in run.of(protocol)})


def fact(run: Run, name: str) -> Any:
    """What is known of a model, or None."""
    return run.about.facts.get(name)
