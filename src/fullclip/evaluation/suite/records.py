"""What an evaluation leaves on disk, and reads again: a folder that a later start goes on with, and a report is made of.

evaluation.json               the model (name, fingerprint, provenance), the settings, the version
results.jsonl                 one line per measured number
tasks/<task>/<protocol>.json  the same numbers with their details; whole, or not there
tasks/<task>/<protocol>.npz   what was found example by example, for paired tests and figures
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.config import to_dict
from fullclip.core.storage import atomic_file
from fullclip.core.types import Result

ABOUT_NAME, RESULTS_NAME = "evaluation.json", "results.jsonl"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class About:
    """Whose numbers these are. `fingerprint` is the SHA-256 of the weights and of how pictures are prepared."""

    model: str
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one protocol (`suite/plan.py` names them) found on one task.

    `results[0]` is the task's own metric. `details` is JSON-able: skipped examples, per-class accuracies, curves. `arrays`
    has at least `keys` (the examples, strings) and `values` (what the first result averages, float64), both [n]; and what else
    a paired test of its metric needs (`statistics/paired.py`).
    """

    task: str
    protocol: str
    results: tuple[Result, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_record(folder: Path, record: Record) -> None:
    """Keep a record. Its .json appears last and has the check sum of its .npz, so that a record is whole or damaged, and never
    of two measurements.
    """
    place, whole = folder / "tasks" / record.task, io.BytesIO()
    arrays: dict[str, Any] = dict(record.arrays)
    np.savez_compressed(whole, **arrays)
    content = whole.getvalue()
    with atomic_file(place / f"{record.protocol}.npz") as file:
        file.write(content)
    values: dict[str, Any] = {"task": record.task, "protocol": record.protocol, "details": dict(record.details)}
    values |= {"results": [to_dict(result) for result in record.results], "arrays": hashlib.sha256(content).hexdigest()}
    with atomic_file(place / f"{record.protocol}.json", "w") as file:
        json.dump(values, file, ensure_ascii=False)


def read_record(folder: Path, task: str, protocol: str) -> Record | None:
    """The record that was kept, or None; ValueError where its files are damaged."""
    path = folder / "tasks" / task / f"{protocol}.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        content = path.with_suffix(".npz").read_bytes()
        if hashlib.sha256(content).hexdigest() != found["arrays"]:
            raise ValueError(f"{protocol}.npz is not the one that was written with it")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Record(
                task=found["task"],
                protocol=found["protocol"],
                results=tuple(_result(result) for result in found["results"]),
                details=found["details"],
                arrays=dict(arrays),
            )
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{path}: damaged ({error}); remove it to measure again") from None


def _result(values: Mapping[str, Any]) -> Result:
    low, high = values["interval"]
    plain = {name: value for name, value in values.items() if name != "interval"}
    return Result(**plain, interval=(float(low), float(high)))


def read_records(folder: Path) -> Iterator[Record]:
    """All records of a folder, by task and protocol; ValueError where one is damaged."""
    for task, protocol in _kept(folder):
        record = read_record(folder, task, protocol)
        assert record is not None
        yield record


def set_damaged_aside(folder: Path) -> list[str]:
    """Rename the .json of each damaged record, so that it counts as not there; what was wrong with each, for people."""
    told = []
    for task, protocol in _kept(folder):
        try:
            read_record(folder, task, protocol)
        except ValueError as error:
            path = folder / "tasks" / task / f"{protocol}.json"
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            told.append(f"{str(error).rpartition(';')[0]}; renamed {aside.name}, and measured again where it is asked for")
    return told


def _kept(folder: Path) -> list[tuple[str, str]]:
    """(task, protocol) of each record that is there, whole or not."""
    root = folder / "tasks"
    return [(path.parent.relative_to(root).as_posix(), path.stem) for path in sorted(root.rglob("*.json"))]


def write_about(folder: Path, about: About) -> None:
    with atomic_file(folder / ABOUT_NAME, "w") as file:
        json.dump({**to_dict(about), "facts": dict(about.facts)}, file, indent=1, ensure_ascii=False)


def read_about(folder: Path) -> About | None:
    """Whose numbers a folder holds, or None where it holds none; ValueError where that cannot be read."""
    path = folder / ABOUT_NAME
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return About(**found)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error}); give another --out, or remove the folder") from None


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """All measured numbers of a folder, each as a line of results.jsonl has it. ValueError where it holds no evaluation, or a
    record is damaged.
    """
    about = read_about(folder)
    if about is None:
        raise ValueError(f"{folder} holds no evaluation: {ABOUT_NAME} is not there")
    return [
        {"model": about.model, "protocol": record.protocol, **to_dict(result)}
        for record in read_records(folder)
        for result in record.results
    ]


def write_results(folder: Path) -> None:
    """results.jsonl, anew, from all records that are there."""
    lines = lines_of(folder)
    with atomic_file(folder / RESULTS_NAME, "w") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
