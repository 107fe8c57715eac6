"""What an evaluation leaves on disk, and reads again: a folder that a later start goes on with, and a report is made of.

evaluation.json               the model (name, fingerprint, provenance), the settings, the version
results.jsonl                 one line per measured number
tasks/<task>/<protocol>.json  the same numbers with their details; whole, or not there
tasks/<task>/<protocol>.npz   what was found example by example, for paired tests and figures
"""

import io
import json
import zipfile
import zlib
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
    """What one protocol ("zero-shot", "probe", "few-shot", "retrieval", "calibration", "rejection") found on one task.

    `results[0]` is the task's own metric. `details` is JSON-able: skipped examples, per-class accuracies, curves. `arrays`
    has at least `keys` (the examples, strings) and `values` (what the first result averages, float64), both [n].
    """

    task: str
    protocol: str
    results: tuple[Result, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_record(folder: Path, record: Record) -> None:
    """Keep a record; its .json appears last, so that one that is there is whole."""
    place = folder / "tasks" / record.task
    with atomic_file(place / f"{record.protocol}.npz") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(record.arrays))
    values = {"task": record.task, "protocol": record.protocol, "details": dict(record.details)}
    with atomic_file(place / f"{record.protocol}.json", "w") as file:
        json.dump({**values, "results": [to_dict(result) for result in record.results]}, file, ensure_ascii=False)


def read_record(folder: Path, task: str, protocol: str) -> Record | None:
    """The record that was kept, or None; ValueError where its files are damaged."""
    place = folder / "tasks" / task
    path = place / f"{protocol}.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        whole = io.BytesIO((place / f"{protocol}.npz").read_bytes())  # np.load leaves a damaged file open
        with np.load(whole, allow_pickle=False) as arrays:
            return Record(
                task=found["task"],
                protocol=found["protocol"],
                results=tuple(_result(result) for result in found["results"]),
                details=found["details"],
                arrays=dict(arrays),
            )
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error}); remove it to measure again") from None


def _result(values: Mapping[str, Any]) -> Result:
    low, high = values["interval"]
    plain = {name: value for name, value in values.items() if name != "interval"}
    return Result(**plain, interval=(float(low), float(high)))


def read_records(folder: Path) -> Iterator[Record]:
    """All records of a folder, by task and protocol."""
    for path in sorted((folder / "tasks").rglob("*.json")):
        record = read_record(folder, path.parent.relative_to(folder / "tasks").as_posix(), path.stem)
        assert record is not None
        yield record


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
    """All measured numbers of a folder, each as a line of results.jsonl has it."""
    about = read_about(folder)
    if about is None:
        raise ValueError(f"{folder} holds no evaluation: {ABOUT_NAME} is not there")
    lines = []
    for path in sorted((folder / "tasks").rglob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        lines += [{"model": about.model, "protocol": found["protocol"], **result} for result in found["results"]]
    return lines


def write_results(folder: Path) -> None:
    """results.jsonl, anew, from all records that are there."""
    lines = lines_of(folder)
    with atomic_file(folder / RESULTS_NAME, "w") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
